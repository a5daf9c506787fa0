"""The classes of the evaluation, against definitions, scikit-learn and each other."""

import numpy as np
import pytest
from sklearn import metrics

import tercet


def distances(embeddings):
    return np.linalg.norm(embeddings[:, None].astype(np.float64) - embeddings[None], axis=2)


def test_retrieval_by_definition(batch):
    embeddings, labels = batch
    judged = tercet.Retrieval.leave_one_out(embeddings, labels, ranks=[1, 3])
    d = distances(embeddings)
    np.fill_diagonal(d, np.inf)
    order = d.argsort(axis=1)[:, :-1]
    relevant = labels[order] == labels[:, None]
    assert judged.recall_at(1) == pytest.approx(relevant[:, 0].mean())
    assert judged.recall_at_k[3] == pytest.approx(relevant[:, :3].any(axis=1).mean())
    assert judged.precision_at(3) == pytest.approx(relevant[:, :3].mean())
    assert judged.r_precision == pytest.approx(relevant[:, :5].mean())
    average = [metrics.average_precision_score(r, -np.arange(179)) for r in relevant]
    np.testing.assert_allclose(judged.per_query["average_precision"], average)
    assert judged.map == pytest.approx(np.mean(average))
    low, high = judged.ci95["map"]
    assert low < judged.map < high
    assert judged.worst(1)[0] == np.argmin(average) and judged.best(1)[0] == np.argmax(average)
    assert judged.queries == judged.gallery == 180 and judged.skipped_queries == 0
    assert judged.per_class["name"][:2] == ["0", "1"] and len(judged.per_class["map"]) == 30
    with pytest.raises(KeyError):
        judged.recall_at(7)


def test_a_gallery_without_the_query_itself(batch):
    embeddings, labels = batch
    rows = np.arange(180)
    everything = tercet.Retrieval.query_gallery(embeddings, labels, embeddings, labels, items=rows, gallery_items=rows)
    alone = tercet.Retrieval.leave_one_out(embeddings, labels)
    assert everything.map == pytest.approx(alone.map, rel=1e-12)
    found = tercet.Retrieval.query_gallery(embeddings, labels, embeddings, labels)
    assert found.recall_at_1 == 1.0
    twice = np.concatenate([embeddings, embeddings])
    same = tercet.Retrieval.leave_one_out(twice, np.tile(labels, 2), items=np.tile(rows, 2))
    assert same.recall_at_1 == pytest.approx(alone.recall_at_1)
    with pytest.raises(TypeError, match="expected both or none"):
        tercet.Retrieval.query_gallery(embeddings, labels, embeddings, labels, items=rows)
    with pytest.raises(ValueError, match="retrieval needs a query with another item of its class"):
        tercet.Retrieval.leave_one_out(embeddings, rows)


def test_re_ranking(batch):
    embeddings, labels = batch
    method = tercet.KReciprocal(k1=10, k2=3, lambda_=0.3)
    judged = tercet.Retrieval.leave_one_out(embeddings, labels, reranking=method)
    d = method.distances(embeddings)
    assert d.shape == (180, 180) and d.dtype == np.float32
    d = d.copy()
    np.fill_diagonal(d, np.inf)
    assert judged.recall_at_1 == pytest.approx((labels[d.argmin(axis=1)] == labels).mean(), abs=0.01)
    assert judged.map > tercet.Retrieval.leave_one_out(embeddings, labels).map
    assert method.distances(embeddings[:5], embeddings).shape == (5, 180)
    with pytest.raises(ValueError, match="lambda is 2: expected a share from 0 to 1"):
        tercet.KReciprocal(lambda_=2.0).distances(embeddings)


def test_verification(batch):
    embeddings, labels = batch
    pairs = tercet.Pairs.balanced(embeddings, labels)
    assert len(pairs) == 900 and pairs.same.sum() == 450
    np.testing.assert_allclose(
        pairs.distances, np.linalg.norm(embeddings[pairs.left] - embeddings[pairs.right], axis=1), rtol=1e-5
    )
    assert ((labels[pairs.left] == labels[pairs.right]) == pairs.same).all()
    judged = tercet.Verification.evaluate(pairs)
    assert judged.auc == pytest.approx(metrics.roc_auc_score(pairs.same, -pairs.distances))
    assert len(judged.by_fold["fold"]) == 10
    assert judged.accuracy["mean"] == pytest.approx(judged.by_fold["accuracy"].mean())
    assert judged.ci95["auc"][0] < judged.auc < judged.ci95["auc"][1]
    assert list(judged.val_at_far) == ["0.001", "0.01", "0.1"]
    at = tercet.Verification.evaluate(pairs, far_targets=[0.05])
    assert list(at.val_at_far) == ["0.05"]
    threshold = pairs.threshold_at_far(0.1)
    assert (pairs.distances[~pairs.same] < threshold).mean() <= 0.1
    plain = tercet.Verification.evaluate(tercet.Pairs([0.1, 0.9], [True, False]))
    assert plain.ci95 is None and plain.auc == 1.0
    with pytest.raises(ValueError, match="verification needs same pairs and different pairs, got 1 same and 0 different"):
        tercet.Verification.evaluate(tercet.Pairs([0.1], [True]))
    with pytest.raises(ValueError, match="distances have 1 entries and same 2"):
        tercet.Verification.evaluate(tercet.Pairs([0.1], [True, False]))
    with pytest.raises(TypeError, match="same are of type float64: expected booleans"):
        tercet.Verification.evaluate(tercet.Pairs([0.1], [0.5]))


def test_calibration(batch):
    pairs = tercet.Pairs.balanced(*batch)
    for kind in ("isotonic", "logistic"):
        calibration = getattr(tercet.Calibration, kind)(pairs)
        probabilities = calibration.probability(np.sort(pairs.distances))
        assert (np.diff(probabilities) <= 0).all() and 0 <= probabilities.min() <= probabilities.max() <= 1
        brier = np.mean((calibration.probability(pairs.distances) - pairs.same) ** 2)
        quality = calibration.quality(pairs)
        assert quality["brier"] == pytest.approx(brier) and quality["pairs"] == 900
        assert calibration.probability([calibration.distance(0.5)])[0] >= 0.5 - 1e-6  # of float32
        assert tercet.Calibration.from_dict(calibration.to_dict()) == calibration
    with pytest.raises(ValueError, match="a calibration needs 10 same and 10 different pairs"):
        tercet.Calibration.isotonic(tercet.Pairs([0.1], [True]))
    with pytest.raises(ValueError, match="no calibration"):
        tercet.Calibration.from_dict({})


def test_reidentification(batch):
    embeddings, labels = batch
    cameras = np.arange(180) % 3
    queries, gallery = np.arange(0, 180, 6), np.setdiff1d(np.arange(180), np.arange(0, 180, 6))
    columns = lambda rows: (embeddings[rows], labels[rows], cameras[rows])
    judged = tercet.Reidentification.evaluate(*columns(queries), *columns(gallery))
    d = tercet.distances(embeddings[queries], embeddings[gallery])
    hits = []
    for row, query in enumerate(queries):
        taking_part = ~((labels[gallery] == labels[query]) & (cameras[gallery] == cameras[query]))
        kept = gallery[taking_part][d[row][taking_part].argsort()]
        hits.append(labels[kept[0]] == labels[query])
    assert judged.rank_1 == judged.cmc[1] == pytest.approx(np.mean(hits))
    assert judged.ci95["map"][0] <= judged.map <= judged.ci95["map"][1]
    assert "Market-1501" in judged.convention
    reranked = tercet.Reidentification.evaluate(*columns(queries), *columns(gallery), reranking=tercet.KReciprocal())
    assert reranked.map != judged.map
    # Seen by another camera, the query itself would be the nearest match.
    elsewhere = (embeddings, labels, cameras + 10)
    assert tercet.Reidentification.evaluate(*columns(queries), *elsewhere).rank_1 == 1.0
    items = {"query_items": queries, "gallery_items": np.arange(180)}
    assert tercet.Reidentification.evaluate(*columns(queries), *elsewhere, **items).rank_1 < 1.0
    single = tercet.SingleShot.evaluate(*columns(queries), *columns(gallery), seed=1)
    assert single.cmc_ci95[1][0] <= single.rank_1 <= single.cmc_ci95[1][1]
    with pytest.raises(ValueError, match="re-identification needs a query whose identity another camera saw"):
        tercet.Reidentification.evaluate(embeddings, labels, labels, embeddings, labels, labels)


def test_one_shot(batch):
    embeddings, labels = batch
    runs = [(np.arange(0, 60, 6), labels[0:60:6], np.arange(3, 60, 6), labels[3:60:6])] * 2
    judged = tercet.OneShot.evaluate(embeddings, runs)
    d = tercet.distances(embeddings[3:60:6], embeddings[0:60:6])
    assert judged.error == pytest.approx((d.argmin(axis=1) != np.arange(10)).mean())
    assert judged.trials == 20 and len(judged.runs) == 2
    named = tercet.OneShot.evaluate(embeddings, [([0, 6], ["a", "b"], [1, 7], ["a", "b"])])
    assert named.trials == 2
    episodes = tercet.Episodes.evaluate(embeddings, labels, shots=2, episodes=200, prototype="mean")
    assert episodes.ci95[0] <= episodes.accuracy <= episodes.ci95[1] and episodes.accuracy > 0.9
    with pytest.raises(ValueError, match="row is 999 of 180 vectors"):
        tercet.OneShot.evaluate(embeddings, [([999], [0], [1], [0])])
    with pytest.raises(ValueError, match="unknown prototype `median`"):
        tercet.Episodes.evaluate(embeddings, labels, prototype="median")


@pytest.mark.parametrize("algorithm, cut", [
    ("average-linkage", {"clusters": 30}), ("complete-linkage", {"threshold": 4.0}), ("single-linkage", {"threshold": 2.0}),
    ("ward", {"clusters": 30}), ("k-means", {"clusters": 30}), ("dbscan", {"threshold": 3.0}), ("hdbscan", {}),
    ("chinese-whispers", {"threshold": 3.0}),
])
def test_clustering(batch, algorithm, cut):
    embeddings, labels = batch
    groups = tercet.Clustering.group(embeddings, algorithm, min_items=3, **cut)
    assert groups.groups.dtype == np.int64 and groups.items == 180
    assert groups.clusters == cut.get("clusters", groups.clusters) > 1
    agreement = groups.agreement(labels)
    # Noise counts as groups of one item.
    alone = np.where(groups.groups < 0, 1000 + np.arange(180), groups.groups)
    assert agreement.nmi == pytest.approx(metrics.normalized_mutual_info_score(labels, alone))
    assert agreement.ami == pytest.approx(metrics.adjusted_mutual_info_score(labels, alone), abs=1e-9)
    assert agreement.ari == pytest.approx(metrics.adjusted_rand_score(labels, alone))
    assert agreement.noise == groups.noise == (groups.groups < 0).sum()


def test_wrong_clusterings(batch):
    with pytest.raises(ValueError, match="expected one of them"):
        tercet.Clustering.group(batch[0], threshold=1.0, clusters=2)
    with pytest.raises(ValueError, match="cut is no cut for k-means: expected a number of groups"):
        tercet.Clustering.group(batch[0], "k-means")
    with pytest.raises(ValueError, match="unknown clustering `kmeans`"):
        tercet.Clustering.group(batch[0], "kmeans", clusters=2)
    groups = tercet.Clustering.group(batch[0], clusters=2)
    with pytest.raises(ValueError, match="expected one label for each of the 180 rows, got 3"):
        groups.agreement([1, 2, 3])


def test_comparison(batch):
    embeddings, labels = batch
    blurred = embeddings + np.random.default_rng(1).normal(size=embeddings.shape).astype(np.float32)
    sharp, blurry = (tercet.Retrieval.leave_one_out(x, labels) for x in (embeddings, blurred))
    (difference,) = tercet.compare({"sharp": sharp, "blurry": blurry}, labels)
    assert (difference.first, difference.second) == ("sharp", "blurry")
    assert difference.difference == pytest.approx(blurry.map - sharp.map)
    assert difference.real and difference.ci95[1] < 0 and difference.p_holm <= 0.05
    three = tercet.compare({"a": sharp, "b": blurry, "c": sharp.scores()}, labels)
    assert len(three) == 3 and not three[1].real
    nearest = tercet.compare({"a": sharp, "b": blurry}, labels, figure="recall_at_1")
    assert nearest[0].first_mean == pytest.approx(sharp.recall_at_1)
    of_folds = [tercet.Verification.evaluate(tercet.Pairs.balanced(x, labels)) for x in (embeddings, blurred)]
    assert tercet.compare(dict(zip("ab", of_folds, strict=True)))[0].queries == 10
    with pytest.raises(ValueError, match="a comparison needs two systems, got 1"):
        tercet.compare({"a": sharp}, labels)
    with pytest.raises(TypeError, match="labels are missing"):
        tercet.compare({"a": sharp, "b": blurry})
    low, high = tercet.bootstrap(sharp.per_query["average_precision"].tolist(), labels)
    assert (low, high) == pytest.approx(sharp.ci95["map"])


def test_open_set(batch):
    measured = tercet.OpenSet(*batch)
    threshold = measured.threshold(0.1, 1000, 100)
    assert 0 < threshold and measured.false_matches(threshold, 1000, 100) <= 0.1
    assert measured.threshold(0.1, 100_000) < threshold
    near, far = measured.probability(0.5, 1000, 100), measured.probability(6.0, 1000, 100)
    assert near > far
    assert 0 <= measured.known_found(threshold, 1000, 100) <= 1
    assert tercet.OpenSet.from_dict(measured.to_dict()) == measured
    with pytest.raises(ValueError, match="unknown bound `lower`"):
        tercet.OpenSet(*batch, bound="lower")


def test_vectors(batch):
    embeddings, labels = batch
    d = distances(embeddings)
    np.testing.assert_allclose(tercet.distances(embeddings, embeddings), d, atol=1e-4)
    cosine = tercet.distances(embeddings, embeddings, distance="cosine")
    np.testing.assert_allclose(cosine, metrics.pairwise.cosine_distances(embeddings), atol=1e-5)
    rows, near = tercet.nearest(embeddings, k=3)
    np.fill_diagonal(d, np.inf)
    np.testing.assert_array_equal(rows, d.argsort(axis=1)[:, :3])
    np.testing.assert_allclose(near, np.sort(d, axis=1)[:, :3], rtol=1e-4)
    rows, near = tercet.nearest(embeddings[:2], embeddings, k=500)
    assert rows.shape == near.shape == (2, 180) and (rows[:, 0] == [0, 1]).all()
    assert tercet.nearest(embeddings[:0], embeddings)[0].shape == (0, 0)
    better = tercet.Retrieval.leave_one_out(tercet.expand(embeddings, k=2), labels)
    assert better.map > tercet.Retrieval.leave_one_out(embeddings, labels).map
    assert tercet.expand(embeddings[:3], embeddings, alpha=3.0).shape == (3, 16)
    assert tercet.project(embeddings).shape == (180, 2)
    with pytest.raises(ValueError, match="k is 0: expected at least 1"):
        tercet.nearest(embeddings, k=0)


def test_transforms(batch):
    embeddings, _ = batch
    for kind, width, error in (("8-bit", 16, 0.05), ("8-bit-global", 16, 0.05), ("1-bit", 2, None)):
        quantiser = tercet.Quantiser(embeddings, kind)
        codes = quantiser.encode(embeddings)
        assert codes.shape == (180, width) and codes.dtype == np.uint8
        if error:
            assert np.abs(quantiser.decode(codes) - embeddings).max() < error
        assert quantiser.distances(codes, codes).shape == (180, 180)
        assert tercet.Quantiser.from_dict(quantiser.to_dict()) == quantiser
    with pytest.raises(TypeError, match="codes are no uint8 array"):
        quantiser.decode(embeddings)
    pca = tercet.Pca(embeddings, 4, whiten=True)
    np.testing.assert_allclose(pca.apply(embeddings).std(axis=0, ddof=1), 1, rtol=1e-4)
    np.testing.assert_allclose(pca.directions @ pca.directions.T, np.eye(4), atol=1e-9)
    assert pca.explained.shape == (4,) and (np.diff(pca.explained) <= 0).all()
    with pytest.raises(ValueError, match="components is 17 of 16 dimensions"):
        tercet.Pca(embeddings, 17)
