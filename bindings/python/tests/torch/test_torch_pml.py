"""Each drop-in class against its original on the same input, and which path it took."""

import pytest
import torch

pytest.importorskip("pytorch_metric_learning")
from pytorch_metric_learning import distances, losses, miners, reducers, samplers  # noqa: E402
from pytorch_metric_learning.regularizers import LpRegularizer  # noqa: E402
from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator  # noqa: E402
from pytorch_metric_learning.utils.inference import CustomKNN  # noqa: E402

import tercet.pml  # noqa: E402

METRICS = [lambda: distances.LpDistance(), lambda: distances.LpDistance(power=2), lambda: distances.LpDistance(normalize_embeddings=False),
           lambda: distances.CosineSimilarity()]
REDUCERS = [lambda: None, reducers.MeanReducer, reducers.SumReducer]


def batch(rows=40, classes=6, dtype=torch.float32, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(rows, 9, generator=generator).to(dtype).requires_grad_(), torch.arange(rows) % classes


def paths(name, function):
    before = tercet.pml.calls.copy()
    result = function()
    return result, {path: tercet.pml.calls[name, path] - before[name, path] for path in ("fast", "super")}


def compare(name, keywords, dtype=torch.float32, ref=False, indices=None, fast=True, tolerance=1e-5, classes=6):
    x, labels = batch(classes=classes, dtype=dtype)
    extra, inputs = {}, [x]
    if ref:
        ref_emb, ref_labels = batch(30, 6, dtype, 1)
        extra, inputs = {"ref_emb": ref_emb, "ref_labels": ref_labels}, [x, ref_emb]
    expected = getattr(losses, name)(**keywords())(x, labels, indices, **extra)
    gradients = torch.autograd.grad(expected, inputs)
    value, taken = paths(name, lambda: getattr(tercet.pml, name)(**keywords())(x, labels, indices, **extra))
    assert taken == {"fast": int(fast), "super": int(not fast)}
    assert value.dtype == expected.dtype
    torch.testing.assert_close(value, expected, rtol=tolerance, atol=tolerance)
    for gradient, original in zip(torch.autograd.grad(value, inputs), gradients):
        assert original.abs().sum() > 0
        torch.testing.assert_close(gradient, original, rtol=50 * tolerance, atol=10 * tolerance * original.abs().max().item())


@pytest.mark.parametrize("smooth", [False, True])
@pytest.mark.parametrize("reducer", REDUCERS)
@pytest.mark.parametrize("metric", METRICS)
def test_triplet_margin_loss(metric, reducer, smooth):
    compare("TripletMarginLoss", lambda: dict(margin=0.3, distance=metric(), reducer=reducer(), smooth_loss=smooth))


def test_triplet_margin_loss_with_reference_embeddings():
    compare("TripletMarginLoss", dict, ref=True)


@pytest.mark.parametrize("dtype, tolerance", [(torch.float16, 5e-3), (torch.bfloat16, 4e-2)])
def test_triplet_margin_loss_in_half_precision(dtype, tolerance):
    compare("TripletMarginLoss", dict, dtype=dtype, tolerance=tolerance)


@pytest.mark.parametrize("keywords", [
    lambda: dict(swap=True), lambda: dict(triplets_per_anchor=10**6, reducer=reducers.MeanReducer()) and dict(swap=True, margin=0.1),
    lambda: dict(distance=distances.LpDistance(p=1)), lambda: dict(reducer=reducers.ThresholdReducer(low=0.1)),
    lambda: dict(embedding_regularizer=LpRegularizer()), lambda: dict(margin=-0.1, distance=distances.LpDistance(normalize_embeddings=False)),
])
def test_other_arguments_call_the_original(keywords):
    compare("TripletMarginLoss", keywords, fast=False)


def test_other_inputs_call_the_original():
    compare("TripletMarginLoss", dict, dtype=torch.float64, fast=False)
    x, labels = batch()
    compare("TripletMarginLoss", dict, indices=miners.BatchHardMiner()(x, labels), fast=False)


def test_the_same_labels_object_removes_the_diagonal_as_in_the_original():
    x, labels = batch()
    views = x.detach() + 0.1
    loss = lambda module: module.TripletMarginLoss()(x, labels, ref_emb=views, ref_labels=labels)
    torch.testing.assert_close(loss(tercet.pml), loss(losses))


def test_gradients_in_double_precision_are_those_of_the_original():
    x, labels = batch(12, 3, torch.float64)
    assert torch.autograd.gradcheck(lambda x: tercet.pml.TripletMarginLoss(margin=0.31)(x, labels), x)


@pytest.mark.parametrize("metric", METRICS[:3])
@pytest.mark.parametrize("reducer", REDUCERS)
def test_generalized_lifted_structure_loss(metric, reducer):
    compare("GeneralizedLiftedStructureLoss", lambda: dict(neg_margin=1.5, pos_margin=0.2, distance=metric(), reducer=reducer()))


def test_generalized_lifted_structure_loss_otherwise_calls_the_original():
    compare("GeneralizedLiftedStructureLoss", lambda: dict(distance=distances.CosineSimilarity()), fast=False)
    compare("GeneralizedLiftedStructureLoss", dict, classes=33, fast=False)  # classes of one item
    compare("GeneralizedLiftedStructureLoss", dict, ref=True)


def triplet_set(indices):
    return {row for row in zip(*(rows.tolist() for rows in indices))}


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("name, keywords, fast", [
    ("BatchHardMiner", {}, True),
    ("BatchEasyHardMiner", dict(pos_strategy="hard", neg_strategy="hard"), True),
    ("BatchEasyHardMiner", dict(pos_strategy="easy", neg_strategy="hard"), True),
    ("BatchEasyHardMiner", dict(pos_strategy="easy", neg_strategy="semihard"), True),
    ("BatchEasyHardMiner", dict(pos_strategy="easy", neg_strategy="easy"), False),
    ("BatchEasyHardMiner", dict(pos_strategy="hard", neg_strategy="hard", allowed_neg_range=(0, 1)), False),
    *[("TripletMarginMiner", dict(type_of_triplets=kind), True) for kind in ("all", "hard", "semihard", "easy")],
])
def test_miners(name, keywords, fast, metric):
    x, labels = batch(41, 7)
    labels[40] = 99
    expected = getattr(miners, name)(distance=metric(), **keywords)(x, labels)
    found, taken = paths(name, lambda: getattr(tercet.pml, name)(distance=metric(), **keywords)(x, labels))
    assert taken["fast" if fast else "super"] == 1
    assert len(found) == len(expected) and triplet_set(found) == triplet_set(expected)


def test_triplet_margin_miner_with_reference_in_parts(monkeypatch):
    monkeypatch.setattr(tercet.pml.ondevice, "TILE", 100)
    (x, labels), (ref, ref_labels) = batch(), batch(30, 6, seed=1)
    found = tercet.pml.TripletMarginMiner()(x, labels, ref, ref_labels)
    for rows, others in zip(found, miners.TripletMarginMiner()(x, labels, ref, ref_labels)):
        assert torch.equal(rows, others)


def test_distance_weighted_miner_draws_by_the_same_law():
    torch.manual_seed(0)
    x, labels = batch(24, 4)
    labels[23] = 99
    shares = []
    for module in (miners, tercet.pml):
        counts = torch.zeros(24, 24, 2)
        miner = module.DistanceWeightedMiner()
        for _ in range(400):
            a, p, n = miner(x, labels)
            assert (labels[a] == labels[p]).all() and (a != p).all() and (labels[a] != labels[n]).all()
            counts.index_put_((a, p, torch.zeros_like(a)), torch.ones(len(a)), accumulate=True)
            counts.index_put_((a, n, torch.ones_like(a)), torch.ones(len(a)), accumulate=True)
        shares.append(counts)
    # Counts of 400 draws × up to 6 a row: Poisson, so √(mean) apart.
    expected, found = shares
    assert torch.equal(found.sum((1, 2)), expected.sum((1, 2)))
    assert ((found - expected).abs() <= 6 * (expected + found + 1).sqrt()).all()
    counted = (expected + found) > 20
    assert ((found - expected)[counted].square() / (expected + found)[counted]).mean() == pytest.approx(1, abs=0.25)


@pytest.mark.parametrize("with_mask", [False, True])
def test_cross_batch_memory(with_mask):
    modules = [module.CrossBatchMemory(module.TripletMarginLoss(margin=0.2), 9, memory_size=50) for module in (losses, tercet.pml)]
    before = tercet.pml.calls["CrossBatchMemory", "fast"]
    for step in range(5):
        x, labels = batch(32, 5, seed=step)
        mask = torch.arange(32) % 3 > 0 if with_mask else None
        values = [module(x, labels, enqueue_mask=mask) for module in modules]
        torch.testing.assert_close(values[1], values[0], rtol=1e-5, atol=1e-6)
        gradients = [torch.autograd.grad(value, x)[0] for value in values]
        assert gradients[0].abs().sum() > 0
        torch.testing.assert_close(gradients[1], gradients[0], rtol=1e-4, atol=1e-6)
    assert tercet.pml.calls["CrossBatchMemory", "fast"] == before + 5


def test_cross_batch_memory_with_a_miner_calls_the_original():
    module = tercet.pml.CrossBatchMemory(tercet.pml.TripletMarginLoss(), 9, memory_size=64, miner=tercet.pml.TripletMarginMiner())
    original = losses.CrossBatchMemory(losses.TripletMarginLoss(), 9, memory_size=64, miner=miners.TripletMarginMiner())
    x, labels = batch()
    (value, taken), expected = paths("CrossBatchMemory", lambda: module(x, labels)), original(x, labels)
    assert taken == {"fast": 0, "super": 1}
    torch.testing.assert_close(value, expected)


@pytest.mark.parametrize("k", [None, "max_bin_count", 5])
@pytest.mark.parametrize("case", ["leave one out", "reference", "reference with queries"])
def test_accuracy_calculator(case, k):
    device = torch.device("cpu")
    (x, labels), (ref, ref_labels) = batch(), batch(60, 8, seed=1)
    labels[5] = 99
    x, ref = x.detach(), ref.detach()
    given = [x, labels] if case == "leave one out" else [x, labels, ref, ref_labels]
    if case == "reference with queries":
        given = [x, labels, torch.cat([x, ref]), torch.cat([labels, ref_labels]), True]
    include = ("precision_at_1", "r_precision", "mean_average_precision_at_r", "mean_average_precision", "mean_reciprocal_rank")
    original = AccuracyCalculator(include=include, k=k, device=device, knn_func=CustomKNN(distances.LpDistance(normalize_embeddings=False)))
    expected = original.get_accuracy(*given)
    found, taken = paths("AccuracyCalculator", lambda: tercet.pml.AccuracyCalculator(include=include, k=k, device=device).get_accuracy(*given))
    assert taken["fast"] == (0 if k == 5 else 1)
    assert found == pytest.approx(expected, abs=1e-6) and list(found) == list(expected)


def test_sampler():
    labels = torch.arange(60) % 10
    torch.manual_seed(0)
    sampler = tercet.pml.MPerClassSampler(labels, 3, batch_size=15, length_before_new_iter=150, seed=4)
    original = samplers.MPerClassSampler(labels, 3, batch_size=15, length_before_new_iter=150)
    assert len(list(sampler)) == len(list(original)) == len(sampler) == 150
    for rows in torch.tensor(list(sampler)).split(15):
        assert sorted(torch.bincount(labels[rows], minlength=10).tolist()) == [0] * 5 + [3] * 5
    state = sampler.state_dict()
    following = list(sampler)
    resumed = tercet.pml.MPerClassSampler(labels, 3, batch_size=15, length_before_new_iter=150, seed=4)
    resumed.load_state_dict(state)
    assert list(resumed) == following
    assert len(list(tercet.pml.MPerClassSampler(labels, 3, batch_size=15, length_before_new_iter=150))) == 150


WORDS = [
    (lambda: losses.TripletMarginLoss(margin=0.05), dict(preset="batch-all-nonzero", margin=0.05, normalize=True)),
    (lambda: losses.TripletMarginLoss(smooth_loss=True), dict(preset="batch-all", penalty="soft", margin=0.05, normalize=True)),
    (lambda: mined(miners.BatchHardMiner()), dict(preset="batch-hard", margin=0.05, normalize=True, reduction="mean-active")),
    (lambda: mined(miners.TripletMarginMiner(0.2, "semihard"), 0.2),
     dict(preset="batch-all-nonzero", selection="semi-hard-all", margin=0.2, normalize=True)),
]


def mined(miner, margin=0.05):
    loss = losses.TripletMarginLoss(margin=margin)
    return lambda x, labels: loss(x, labels, miner(x, labels))


@pytest.mark.parametrize("original, words", WORDS)
def test_the_words_of_the_page_for_users_of_the_library(original, words):
    x, labels = batch()
    torch.testing.assert_close(tercet.torch.TripletLoss(**words)(x, labels), original()(x, labels), rtol=1e-5, atol=1e-6)
