"""Objectives over all pairs, false negatives and prefixes."""

import pickle

import numpy as np
import pytest

import tercet

X = np.random.default_rng(5).normal(size=(12, 6)).astype(np.float32)
LABELS = np.arange(12) % 4


def test_supervised_contrastive_agrees_with_its_definition():
    loss = tercet.TripletLoss("supervised-contrastive", temperature=0.5)
    unit = X / np.linalg.norm(X, axis=1, keepdims=True)
    logits = (unit @ unit.T).astype(np.float64) / 0.5
    np.fill_diagonal(logits, -np.inf)
    log_share = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    same = (LABELS[:, None] == LABELS) & ~np.eye(12, dtype=bool)
    expected = np.mean([-log_share[a, same[a]].mean() for a in range(12)])
    assert loss(X, LABELS).value == pytest.approx(expected, rel=1e-5)
    assert loss.temperature == 0.5
    assert pickle.loads(pickle.dumps(loss)) == loss
    assert eval(repr(loss), {"TripletLoss": tercet.TripletLoss}) == loss


def test_what_an_objective_does_not_have_is_refused():
    with pytest.raises(ValueError, match="multi-similarity has no margin"):
        tercet.TripletLoss("multi-similarity", margin=0.1)
    with pytest.raises(ValueError, match="facenet has no temperature"):
        tercet.TripletLoss("facenet", temperature=0.1)
    with pytest.raises(ValueError, match="temperature is 0"):
        tercet.TripletLoss("supervised-contrastive", temperature=0.0)


def test_false_negatives_and_prefixes():
    loss = tercet.TripletLoss("facenet")
    plain, filtered = loss(X, LABELS), loss(X, LABELS, false_negatives=0.95)
    assert plain.census.filtered == 0 < filtered.census.filtered
    both = loss(X, LABELS, matryoshka=[2, 6])
    first = loss(X[:, :2], LABELS)
    assert both.value == pytest.approx(first.value + plain.value)
    np.testing.assert_allclose(both.gradient[:, :2], first.gradient + plain.gradient[:, :2], rtol=1e-6)
    with pytest.raises(ValueError, match="normalised embeddings"):
        tercet.TripletLoss("batch-hard")(X, LABELS, false_negatives=0.95)
    with pytest.raises(ValueError, match="prefixes is 7"):
        loss(X, LABELS, matryoshka=[7])
