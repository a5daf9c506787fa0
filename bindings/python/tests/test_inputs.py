"""What is read where it is, what is converted, and what is refused with which message."""

import warnings

import ml_dtypes
import numpy as np
import pytest

import tercet

LOSS = tercet.TripletLoss("batch-all", margin=1.0)


def test_float32_is_read_whatever_its_strides(batch):
    embeddings, labels = batch
    expected = LOSS(embeddings, labels)
    read_only = embeddings.copy()
    read_only.flags.writeable = False
    doubled = np.repeat(embeddings, 2, axis=0)[::2]
    columns = np.asfortranarray(embeddings)
    reversed_ = embeddings[::-1].copy()[::-1]
    wide = np.concatenate([embeddings, embeddings], axis=1)[:, :16]
    swapped = embeddings.astype(">f4")
    packed = np.zeros(180, dtype=[("flag", "i1"), ("vector", "f4", 16)])
    packed["vector"] = embeddings
    assert not packed["vector"].flags.aligned
    for same in (read_only, doubled, columns, reversed_, wide, swapped, packed["vector"], embeddings.tolist()):
        outcome = LOSS(same, labels)
        assert outcome.value == expected.value
        np.testing.assert_array_equal(outcome.gradient, expected.gradient)


def test_float32_is_not_copied():
    embeddings = np.zeros((4, 1 << 24), np.float32)  # 256 MiB
    before = memory()
    tercet.distances(embeddings[:1, :8], embeddings[:, :8])
    # All vectors are equal, so that the first pair decides; only the engine's own buffers are taken.
    with pytest.raises(ValueError, match="one label for each of the 4 rows"):
        LOSS(embeddings, [1])
    assert memory() - before < 32 << 20
    with pytest.raises(ValueError, match="one label for each of the 4 rows"):
        LOSS(embeddings.astype(np.float16), [1])


def memory():
    """The most memory that the process has taken, in bytes."""
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@pytest.mark.parametrize("dtype", ["float16", "float64", "longdouble", "int8", "uint16", "int64", ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn])
def test_other_numbers_are_rounded_to_float32(batch, dtype):
    labels = batch[1]
    embeddings = (3 * batch[0]).astype(dtype)
    outcome = LOSS(embeddings, labels)
    expected = LOSS(embeddings.astype(np.float32), labels)
    assert outcome.value == expected.value
    assert outcome.gradient.dtype == np.float32
    np.testing.assert_array_equal(outcome.gradient, expected.gradient)


def test_float64_beyond_float32_is_refused(batch):
    embeddings = batch[0].astype(np.float64)
    embeddings[7, 3] = 1e60
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ValueError, match="row 7, column 3 holds inf: expected finite numbers"):
            LOSS(embeddings, batch[1])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_not_finite(batch, value):
    embeddings = batch[0].copy()
    embeddings[11, 5] = value
    for call in (
        lambda: LOSS(embeddings, batch[1]),
        lambda: LOSS.triplets(embeddings, batch[1]),
        lambda: tercet.Retrieval.leave_one_out(embeddings, batch[1]),
        lambda: tercet.Clustering.group(embeddings, "k-means", clusters=2),
        lambda: tercet.Pairs.balanced(embeddings, batch[1]),
        lambda: tercet.Quantiser(embeddings),
        lambda: tercet.nearest(embeddings),
    ):
        with pytest.raises(ValueError, match="row 11, column 5 holds"):
            call()
    with pytest.raises(ValueError, match="among the reference vectors: row 11, column 5 holds"):
        LOSS(*batch, reference=(embeddings, batch[1]))
    with pytest.raises(ValueError, match="among the frozen vectors: row 11, column 5 holds"):
        LOSS(*batch, frozen=(embeddings, batch[1]))


@pytest.mark.parametrize("embeddings, kind, message", [
    (["a", "b"], TypeError, "embeddings are of type str32: expected numbers"),
    ([["a", "b"]], TypeError, "expected numbers"),
    (np.array([["a"], [None]], object), TypeError, "embeddings are of type object: expected numbers"),
    (np.ones((2, 2), bool), TypeError, "embeddings are of type bool: expected numbers"),
    (np.ones((2, 2), complex), TypeError, "embeddings are of type complex128: expected numbers"),
    (None, TypeError, "expected numbers"),
    (np.ones(3, np.float32), ValueError, r"embeddings have the shape \(3,\): expected two dimensions"),
    (np.ones((2, 2, 2)), ValueError, r"embeddings have the shape \(2, 2, 2\)"),
    (3.5, ValueError, r"embeddings have the shape \(\)"),
    ([[1.0, 2.0], [1.0]], ValueError, "embeddings are no array"),
    (np.ones((2, 0), np.float32), ValueError, "the vectors have no dimensions"),
    (np.full((2, 2), 3e38, np.float32), ValueError, "row 0 is too long"),
    (np.ones((3, 2), np.float32), ValueError, "expected one label for each of the 3 rows, got 2"),
])
def test_wrong_embeddings(embeddings, kind, message):
    with pytest.raises(kind, match=message):
        LOSS(embeddings, [0, 1])


@pytest.mark.parametrize("labels, kind, message", [
    ([0.5, 1.0], TypeError, "labels hold a float at 0: expected integers or strings"),
    (np.array([0.5, 1.0]), TypeError, "labels are of type float64: expected integers or strings"),
    ([0, "a"], TypeError, "labels hold a int at 0"),
    (["a", None], TypeError, "labels hold a NoneType at 1"),
    ("ab", TypeError, "labels are one string"),
    (None, ValueError, r"labels have the shape \(\)"),
    (np.zeros((2, 1), int), ValueError, r"labels have the shape \(2, 1\): expected one dimension"),
    ([0], ValueError, "expected one label for each of the 2 rows, got 1"),
])
def test_wrong_labels(labels, kind, message):
    with pytest.raises(kind, match=message):
        LOSS(np.ones((2, 2), np.float32), labels)


def test_labels_of_all_kinds(batch):
    import pandas
    import pyarrow

    embeddings, labels = batch
    names = [f"class {label}" for label in labels]
    expected = LOSS(embeddings, labels).value
    for same in (
        labels.astype(np.int8), labels.astype(np.uint64) + np.uint64(2**63), labels - 7, labels[::-1].copy()[::-1],
        np.repeat(labels, 2)[::2], labels.tolist(), tuple(labels.tolist()), names, np.array(names), np.array(names, object),
        np.array(names, "S"), pandas.Series(names), pandas.Series(names, dtype="category"), pandas.Series(labels),
        pyarrow.array(names), pyarrow.array(labels), [b"%d" % label for label in labels],
    ):
        assert LOSS(embeddings, same).value == expected, type(same)
    assert LOSS(embeddings, labels > 14).census.triplets == 180 * 89 * 90


def test_labels_are_matched_by_value(batch):
    embeddings, labels = batch
    outcome = LOSS(embeddings, labels, reference=(embeddings, labels[::-1].copy()[::-1].astype(np.int32)))
    assert outcome.census.anchors == 180
    shuffled = np.random.default_rng(0).permutation(180)
    again = LOSS(embeddings, labels, reference=(embeddings[shuffled], labels[shuffled]))
    assert again.census == outcome.census
    with pytest.raises(TypeError, match="labels are integers and reference labels strings: expected the same type"):
        LOSS(embeddings, labels, reference=(embeddings, [str(label) for label in labels]))


def test_wrong_others(batch):
    embeddings, labels = batch
    for wrong in (embeddings, 3, (embeddings,), (embeddings, labels, labels)):
        with pytest.raises(TypeError, match="expected a tuple"):
            LOSS(embeddings, labels, frozen=wrong)
    with pytest.raises(ValueError, match="expected one of them"):
        LOSS(embeddings, labels, frozen=(embeddings, labels), reference=(embeddings, labels))
    with pytest.raises(ValueError, match="queries have 16 dimensions and the gallery 3"):
        LOSS(embeddings, labels, reference=(embeddings[:, :3], labels))
    with pytest.raises(ValueError, match="among the frozen vectors: expected one label"):
        LOSS(embeddings, labels, frozen=(embeddings, labels[:3]))
    with pytest.raises(ValueError, match="frozen_anchors is true: expected frozen vectors"):
        LOSS(embeddings, labels, frozen_anchors=True)


def test_nothing_to_learn_from():
    vectors = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
    for rows, labels in ((0, []), (1, [0]), (6, [0] * 6), (6, range(6))):
        for preset in ("batch-hard", "batch-all", "facenet", "lifted"):
            outcome = tercet.TripletLoss(preset)(vectors[:rows], list(labels))
            assert outcome.value == 0 and outcome.census.triplets == 0
            assert outcome.gradient.shape == (rows, 3) and not outcome.gradient.any()
    anchors, positives, negatives = LOSS.triplets(vectors, [0] * 6)
    assert len(anchors) == len(positives) == len(negatives) == 0
    assert len(LOSS.per_triplet(vectors, [0] * 6)) == 0
    assert LOSS.evaluate_triplets(vectors, ([], [], [])).value == 0


def test_wrong_triplets(batch):
    embeddings = batch[0]
    with pytest.raises(ValueError, match=r"triplet 1 is \[0, 1, 180\]: expected three different rows of the 180"):
        LOSS.evaluate_triplets(embeddings, ([0, 0], [1, 1], [2, 180]))
    with pytest.raises(ValueError, match="triplet 0"):
        LOSS.evaluate_triplets(embeddings, ([-1], [1], [2]))
    with pytest.raises(ValueError, match="triplet 0"):
        LOSS.evaluate_triplets(embeddings, ([1], [1], [2]))
    with pytest.raises(ValueError, match=r"have the shape \[2, 2\]"):
        LOSS.evaluate_triplets(embeddings, [[0, 1], [1, 2]])
    with pytest.raises(TypeError, match="expected rows"):
        LOSS.evaluate_triplets(embeddings, ([0.5], [1.0], [2.0]))
    with pytest.raises(ValueError, match="lifted"):
        tercet.TripletLoss("lifted").triplets(*batch)
