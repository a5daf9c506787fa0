"""Value, gradient and census, against values of other libraries and against the definition."""

import copy
import json
import pickle
from pathlib import Path

import numpy as np
import pytest

import tercet

GOLDEN = Path(__file__).parents[3] / "crates/tercet/tests/golden"


def test_values_of_other_libraries():
    cases = json.loads((GOLDEN / "objectives.json").read_text())["cases"]
    arrays = np.fromfile(GOLDEN / "objectives.f32", "<f4")
    compared = 0
    for case in cases:
        lifted = case["selection"] == "lifted"
        parts = {} if lifted else {"selection": case["selection"], "penalty": case["penalty"]["kind"]}
        loss = tercet.TripletLoss(
            "lifted" if lifted else None,
            margin=case["penalty"]["margin"],
            reduction=case["reduction"],
            **case["metric"],
            **parts,
        ) if case["penalty"]["margin"] > 0 or case["selection"] not in ("semi-hard", "semi-hard-all") else None
        if loss is None:  # an empty band, which the constructor refuses
            continue
        labels = np.array(case["labels"])
        shape = (len(labels), case["dimensions"])
        array = lambda start: arrays[start : start + shape[0] * shape[1]].reshape(shape)
        outcome = loss(array(case["embeddings"]), labels)
        counts = outcome.census.to_dict()
        for name, expected in case["census"].items():
            assert counts[name] == pytest.approx(expected, rel=1e-5), (case["batch"], name)
        if case.get("range"):
            low, high = case["range"]
            assert low * (1 - 1e-5) <= outcome.value <= high * (1 + 1e-5)
        if case.get("value") is not None:
            assert outcome.value == pytest.approx(case["value"], rel=1e-5), case
        if case.get("gradient") is not None:
            expected = array(case["gradient"])
            assert np.abs(outcome.gradient - expected).max(initial=0) <= 1e-4 * np.abs(expected).max(initial=0)
        if case.get("triplets") is not None and not lifted:
            found = np.stack(loss.triplets(array(case["embeddings"]), labels), axis=1)
            assert sorted(found.tolist()) == sorted(case["triplets"]), case["batch"]
        compared += 1
    assert compared > 270


def test_gradient_is_the_slope(batch):
    embeddings, labels = batch[0][:24].astype(np.float64), batch[1][:24]
    loss = tercet.TripletLoss("batch-all", margin=3.0, penalty="soft")
    gradient = loss(embeddings, labels).gradient
    direction = np.random.default_rng(1).normal(size=embeddings.shape)
    step = 1e-2
    slope = (loss(embeddings + step * direction, labels).value - loss(embeddings - step * direction, labels).value) / (2 * step)
    assert slope == pytest.approx(float((gradient * direction).sum()), rel=1e-3)


def test_reference_vectors_are_the_other_half_of_a_batch(batch):
    embeddings, labels = batch
    loss = tercet.TripletLoss("batch-all", margin=1.0)
    x, r = embeddings[::2], embeddings[1::2]
    outcome = loss(x, labels[::2], reference=(r, labels[1::2]))
    assert outcome.gradient.shape == x.shape and outcome.reference_gradient.shape == r.shape
    # By definition: every anchor of x with every positive and negative of r.
    d = np.linalg.norm(x[:, None].astype(float) - r[None], axis=2)
    same = labels[::2, None] == labels[None, 1::2]
    terms = d[:, :, None] - d[:, None, :] + 1.0
    valid = same[:, :, None] & ~same[:, None, :]
    assert outcome.census.triplets == valid.sum()
    assert outcome.value == pytest.approx(np.maximum(terms, 0)[valid].mean(), rel=1e-5)
    assert loss(x, labels[::2]).reference_gradient is None


def test_frozen_vectors_are_candidates(batch):
    embeddings, labels = batch
    loss = tercet.TripletLoss("batch-hard", margin=0.2)
    x, y, f, g = embeddings[:90], labels[:90], embeddings[90:], labels[90:]
    together = loss(embeddings, labels)
    anchors = loss(x, y, frozen=(f, g), frozen_anchors=True)
    assert anchors.value == pytest.approx(together.value, rel=1e-6)
    assert anchors.gradient.shape == x.shape
    # Its anchors are all of the batch; those of the frozen part have no gradient of their own.
    assert anchors.census == together.census
    assert loss(x, y, frozen=(f, g)).census.anchors == 90
    empty = loss(x, y, frozen=(np.empty((0, 16), np.float32), []))
    assert empty.value == loss(x, y).value


def test_triplets_and_their_penalties(batch):
    embeddings, labels = batch
    for selection in ("hard", "semi-hard", "semi-hard-all", "easy-positive", "n-hard", "random:triplets=3"):
        loss = tercet.TripletLoss(selection=selection, margin=0.5)
        anchors, positives, negatives = loss.triplets(embeddings, labels)
        assert anchors.dtype == positives.dtype == negatives.dtype == np.int64
        assert (labels[anchors] == labels[positives]).all() and (anchors != positives).all()
        assert (labels[anchors] != labels[negatives]).all()
        penalties = loss.per_triplet(embeddings, labels)
        assert penalties.dtype == np.float32 and penalties.shape == anchors.shape
        outcome = loss(embeddings, labels)
        assert outcome.value == pytest.approx(penalties.mean(dtype=np.float64), rel=1e-5)
        given = loss.evaluate_triplets(embeddings, (anchors, positives, negatives))
        assert given.value == pytest.approx(outcome.value, rel=1e-5)
        np.testing.assert_allclose(given.gradient, outcome.gradient, atol=2e-6)
        stacked = np.stack([anchors, positives, negatives], axis=1)
        assert loss.evaluate_triplets(embeddings, stacked).value == given.value


def test_a_seed_changes_draws_only(batch):
    drawn = tercet.TripletLoss(selection="random:triplets=2", margin=0.2)
    assert drawn(*batch, seed=1).value == drawn(*batch, seed=1).value
    assert drawn(*batch, seed=1).value != drawn(*batch, seed=2).value
    fixed = tercet.TripletLoss("batch-hard")
    assert fixed(*batch, seed=1).value == fixed(*batch, seed=2).value


def test_parts_and_presets():
    loss = tercet.TripletLoss()
    assert (loss.distance, loss.normalize, loss.selection, loss.penalty, loss.margin, loss.reduction) == (
        "euclidean", False, "hard", "soft", 0.0, "mean",
    )
    assert str(tercet.TripletLoss("facenet")) == "normalised squared-euclidean distance, semi-hard, hinge 0.2, mean"
    assert tercet.TripletLoss("batch-hard", margin=0.2).penalty == "hinge"
    assert tercet.TripletLoss("batch-all", soft=True) == tercet.TripletLoss("batch-all", margin="soft")
    assert tercet.TripletLoss("batch-hard", soft=False).margin == 0.2
    assert tercet.TripletLoss("batch-all", soft=True, margin=0.5).margin == 0.5
    assert tercet.TripletLoss(metric="cosine") == tercet.TripletLoss(distance="cosine")
    assert tercet.TripletLoss("facenet", normalize=False).normalize is False
    assert tercet.TripletLoss("lifted", distance="cosine", margin=0.5).margin == 0.5


@pytest.mark.parametrize("arguments, message", [
    ({"preset": "batch-hrad"}, "unknown objective `batch-hrad`: expected one of facenet, batch-hard"),
    ({"distance": "euclid"}, "unknown distance `euclid`: expected one of euclidean, squared-euclidean, cosine"),
    ({"selection": "hardest"}, "unknown selection `hardest`"),
    ({"penalty": "square"}, "unknown penalty `square`: expected one of hinge, soft, squared-hinge"),
    ({"reduction": "none"}, "unknown reduction `none`"),
    ({"margin": -1.0}, "margin is -1: expected a finite number, not negative for a hinge"),
    ({"margin": float("nan")}, "margin is NaN"),
    ({"margin": "hard"}, "margin is `hard`: expected a number of at least 0, or `soft`"),
    ({"margin": "soft", "penalty": "hinge"}, "margin is soft: expected a number, since the penalty is hinge"),
    ({"soft": True, "penalty": "hinge"}, "soft is True"),
    ({"soft": False, "margin": "soft"}, "soft is False"),
    ({"preset": "facenet", "margin": 0.0}, "margin is 0: expected a number above 0"),
    ({"preset": "lifted", "selection": "hard"}, "objective is lifted"),
    ({"preset": "lifted", "margin": "soft"}, "margin is soft"),
    ({"selection": "distance-weighted"}, "distance is euclidean: expected normalised vectors"),
])
def test_wrong_parts(arguments, message):
    with pytest.raises(ValueError) as raised:
        tercet.TripletLoss(**arguments)
    assert message in str(raised.value)


def test_wrong_types_of_parts():
    for arguments in ({"margin": []}, {"distance": "cosine", "metric": "cosine"}, {"preset": 3}, {"normalize": "yes"}):
        with pytest.raises(TypeError):
            tercet.TripletLoss(**arguments)


def test_losses_are_values():
    loss = tercet.TripletLoss("facenet", margin=0.3, selection="n-hard:positives=0..2,negatives=1..5")
    for other in (pickle.loads(pickle.dumps(loss)), copy.deepcopy(loss), eval(repr(loss), vars(tercet))):
        assert other == loss and hash(other) == hash(loss)
    assert loss != tercet.TripletLoss() and loss != 3
    lifted = tercet.TripletLoss("lifted", margin=2.0)
    assert pickle.loads(pickle.dumps(lifted)) == lifted
    assert repr(tercet.TripletLoss(margin=0.1)) == (
        "TripletLoss(distance='euclidean', normalize=False, margin=0.1, reduction='mean', selection='hard', penalty='hinge')"
    )


def test_outcomes_are_shown(batch):
    outcome = tercet.TripletLoss()(*batch)
    value, gradient, census = outcome
    assert (value, census) == (outcome.value, outcome.census) and gradient is outcome.gradient
    assert "gradient of shape (180, 16)" in repr(outcome)
    assert f"<td>{census.triplets}</td>" in outcome._repr_html_()
    assert f"<td>{census.triplets}</td>" in census._repr_html_()
    assert census.active_share == census.active / census.selected
    assert census.triplets == 30 * 6 * 5 * 174
