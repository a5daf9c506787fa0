"""Golden values for clusterings, their judges, re-ranking and principal components.

Writes `grouping.json` and `grouping.f32`: `python grouping.py`, with the packages of
`requirements.txt`.
"""

import json
from pathlib import Path

import numpy as np
import sklearn
from sklearn.cluster import DBSCAN, HDBSCAN, AgglomerativeClustering
from sklearn.decomposition import PCA
from sklearn.metrics import (
    adjusted_mutual_info_score,
    adjusted_rand_score,
    normalized_mutual_info_score,
    pair_confusion_matrix,
)

HERE = Path(__file__).parent
SEED = 2026


class Arrays:
    """float32 arrays one after another in a file, each known by its offset in values."""

    def __init__(self):
        self.parts, self.length = [], 0

    def add(self, values):
        values = np.ascontiguousarray(values, dtype="<f4").ravel()
        self.parts.append(values)
        self.length += len(values)
        return self.length - len(values)


def bcubed(groups, classes):
    """Bagga & Baldwin 1998, item by item."""
    together = groups[:, None] == groups[None]
    alike = classes[:, None] == classes[None]
    both = together & alike
    precision = (both.sum(axis=1) / together.sum(axis=1)).mean()
    recall = (both.sum(axis=1) / alike.sum(axis=1)).mean()
    return precision, recall, 2 * precision * recall / (precision + recall)


def judged(groups, classes):
    """Noise, −1, counts as groups of one item. scikit-learn, and pairs and BCubed by definition."""
    alone = groups.copy()
    noise = alone < 0
    alone[noise] = alone.max() + 1 + np.arange(noise.sum())
    (_, fp), (fn, tp) = pair_confusion_matrix(classes, alone) // 2
    share = lambda part, whole: 1.0 if whole == 0 else float(part / whole)
    precision, recall, f1 = bcubed(alone, classes)
    return {
        "case": "agreement",
        "groups": [None if group < 0 else group for group in groups.tolist()],
        "classes": classes.tolist(),
        "clusters": len(set(groups[~noise].tolist())),
        "nmi": float(normalized_mutual_info_score(classes, alone)),
        "ami": float(adjusted_mutual_info_score(classes, alone)),
        "ari": float(adjusted_rand_score(classes, alone)),
        "pairwise_precision": share(tp, tp + fp),
        "pairwise_recall": share(tp, tp + fn),
        "pairwise_f1": share(2 * tp, 2 * tp + fp + fn),
        "bcubed_precision": float(precision),
        "bcubed_recall": float(recall),
        "bcubed_f1": float(f1),
    }


def agreements(rng):
    """Random, alike, unbalanced, degenerate and noisy partitions."""
    for items in [7, 30, 90, 250]:
        classes = rng.integers(0, 1 + items // 6, size=items)
        yield judged(rng.integers(0, 5, size=items), classes)
        mixed = np.where(rng.random(items) < 0.2, rng.integers(0, 9, size=items), classes)
        yield judged(mixed, classes)
        yield judged(np.where(rng.random(items) < 0.3, -1, mixed), classes)
        yield judged(classes // 2, classes)
        yield judged(np.zeros(items, int), classes)
        yield judged(np.arange(items), classes)
        yield judged(np.full(items, -1), classes)
        yield judged((rng.random(items) ** 6 * 40).astype(int), (rng.random(items) ** 4 * 9).astype(int))
    yield judged(np.zeros(5, int), np.zeros(5, int))
    yield judged(np.arange(5), np.arange(5))
    yield judged(np.zeros(1, int), np.zeros(1, int))


def blobs(rng, items, dimensions, count, spread):
    """Points without ties: from any one no two others are nearer than float32 rounds."""
    while True:
        centres = rng.normal(size=(count, dimensions))
        classes = rng.integers(0, count, size=items)
        x = (centres[classes] + spread * rng.normal(size=(items, dimensions))).astype(np.float32)
        d = np.sqrt(((x[:, None].astype(float) - x[None]) ** 2).sum(axis=2))
        if np.diff(np.sort(d, axis=1), axis=1).min() > 2e-7 * d.max():
            return x, d


def dbscan(d, threshold, min_items):
    """scikit-learn says who is dense and which of the dense are joined. An item between two groups
    goes to that of its nearest dense item, which scikit-learn leaves to the order of the rows."""
    found = DBSCAN(eps=threshold, min_samples=min_items, metric="precomputed").fit(d)
    groups = np.full(len(d), -1)
    dense = found.core_sample_indices_
    groups[dense] = found.labels_[dense]
    for item in np.setdiff1d(np.arange(len(d)), dense):
        near = [other for other in dense if d[item, other] <= threshold]
        if near:
            groups[item] = found.labels_[min(near, key=lambda other: d[item, other])]
    assert ((groups < 0) == (found.labels_ < 0)).all()
    return groups


def hdbscan(rng, x, min_items):
    """Items that go elsewhere when the rows change places are left open: they hang on the order in
    which scikit-learn breaks ties. Joined by pairs: [item, item, whether they are together]."""
    rounds = []
    for _ in range(12):
        order = rng.permutation(len(x))
        labels = np.empty(len(x), int)
        labels[order] = HDBSCAN(min_cluster_size=min_items, copy=True).fit(x[order].astype(float)).labels_
        rounds.append(labels)
    together = np.array([(l[:, None] == l[None]) & (l[:, None] >= 0) for l in rounds])
    noise = np.array(rounds) < 0
    settled = (together == together[0]).all(axis=0).mean(axis=1) > 0.9
    settled &= (noise == noise[0]).all(axis=0)
    inside = np.ix_(settled, settled)
    assert (together[:, *inside] == together[0][inside]).all()
    groups = rounds[0].tolist()
    return [(group if ok else None) for group, ok in zip(groups, settled)]


def clusterings(rng, arrays):
    for items, dimensions, count, spread in [(40, 2, 4, 0.15), (90, 8, 6, 0.4), (120, 3, 5, 0.3)]:
        x, d = blobs(rng, items, dimensions, count, spread)
        place = arrays.add(x)
        shared = {"case": "clustering", "embeddings": place, "items": items, "dimensions": dimensions}
        threshold = float(np.float32(np.quantile(d, 0.12)))
        for name, linkage in [
            ("average-linkage", "average"),
            ("complete-linkage", "complete"),
            ("single-linkage", "single"),
            ("ward", "ward"),
        ]:
            by_count = AgglomerativeClustering(n_clusters=count, linkage=linkage).fit(x.astype(float))
            yield {**shared, "clustering": name, "clusters": count, "groups": by_count.labels_.tolist()}
            cut = threshold * (0.4 if linkage == "single" else 1.0)
            cut = float(np.float32(cut))
            by_cut = AgglomerativeClustering(None, distance_threshold=cut, linkage=linkage)
            groups = by_cut.fit(x.astype(float)).labels_.tolist()
            yield {**shared, "clustering": name, "threshold": cut, "groups": groups}
        cut = float(np.float32(threshold / 2))
        yield {
            **shared,
            "clustering": "dbscan",
            "threshold": cut,
            "min_items": 4,
            "groups": dbscan(d, cut, 4).tolist(),
        }
        yield {**shared, "clustering": "hdbscan", "min_items": 5, "groups": hdbscan(rng, x, 5)}


def k_reciprocal_neighbors(initial_rank, i, k1):
    forward = initial_rank[i, : k1 + 1]
    backward = initial_rank[forward, : k1 + 1]
    return forward[np.where(backward == i)[0]]


def re_ranked(all_distances, query_num, k1, k2, lambda_value):
    """The authors' published NumPy code (zhunzhong07/person-re-ranking), in float64."""
    original = all_distances**2
    original = np.transpose(original / np.max(original, axis=0))
    v = np.zeros_like(original)
    # Rows are sorted stably with the item itself first, which the published code takes for granted.
    initial_rank = np.argsort(original, axis=1, kind="stable")
    for i in range(len(original)):
        k_reciprocal = k_reciprocal_neighbors(initial_rank, i, k1)
        expansion = k_reciprocal
        for candidate in k_reciprocal:
            own = k_reciprocal_neighbors(initial_rank, candidate, int(np.around(k1 / 2)))
            if len(np.intersect1d(own, k_reciprocal)) > 2.0 / 3 * len(own):
                expansion = np.append(expansion, own)
        expansion = np.unique(expansion)
        weight = np.exp(-original[i, expansion])
        v[i, expansion] = weight / np.sum(weight)
    if k2 != 1:
        v = np.array([np.mean(v[initial_rank[i, :k2]], axis=0) for i in range(len(v))])
    jaccard = np.zeros((query_num, len(v)))
    for i in range(query_num):
        shared = np.minimum(v[i], v).sum(axis=1)
        jaccard[i] = 1 - shared / (2.0 - shared)
    final = jaccard * (1 - lambda_value) + original[:query_num] * lambda_value
    return final[:, query_num:]


def rerankings(rng, arrays):
    for queries, gallery, dimensions, k1, k2, lambda_value in [
        (10, 60, 4, 20, 6, 0.3),
        (15, 80, 12, 7, 3, 0.3),
        (5, 50, 3, 5, 1, 0.0),
        (20, 25, 6, 9, 4, 0.75),
        (3, 9, 2, 20, 6, 0.3),
    ]:
        x, d = blobs(rng, queries + gallery, dimensions, 5, 0.6)
        lambda_value = float(np.float32(lambda_value))
        yield {
            "case": "reranking",
            "embeddings": arrays.add(x),
            "queries": queries,
            "gallery": gallery,
            "dimensions": dimensions,
            "k1": k1,
            "k2": k2,
            "lambda": lambda_value,
            "distances": arrays.add(re_ranked(d, queries, k1, k2, lambda_value)),
        }


def components(rng, arrays):
    for items, dimensions, kept in [(30, 5, 5), (100, 16, 4), (12, 30, 8)]:
        mix = rng.normal(size=(dimensions, dimensions)) * np.linspace(3, 0.3, dimensions)
        x = (rng.normal(size=(items, dimensions)) @ mix + 5).astype(np.float32)
        wide = x.astype(float)
        case = {
            "case": "components",
            "embeddings": arrays.add(x),
            "items": items,
            "dimensions": dimensions,
            "components": kept,
        }
        pca = PCA(kept, svd_solver="full").fit(wide)
        # Signs are free; here the entry of greatest size of each direction is positive.
        rows = pca.components_
        signs = np.sign(rows[np.arange(kept), np.abs(rows).argmax(axis=1)])
        projected = pca.transform(wide) * signs
        case["explained"] = pca.explained_variance_ratio_.tolist()
        case["projected"] = arrays.add(projected)
        case["whitened"] = arrays.add(projected / np.sqrt(pca.explained_variance_))
        yield case


if __name__ == "__main__":
    arrays = Arrays()
    rng = np.random.default_rng([SEED, 2])
    cases = [
        *agreements(rng),
        *clusterings(rng, arrays),
        *rerankings(rng, arrays),
        *components(rng, arrays),
    ]
    made_with = json.dumps({"scikit-learn": sklearn.__version__, "numpy": np.__version__})
    lines = ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases)
    (HERE / "grouping.json").write_text(f'{{"made_with":{made_with},"cases":[\n{lines}\n]}}\n')
    np.concatenate(arrays.parts).tofile(HERE / "grouping.f32")
    print(f"{len(cases)} cases, {4 * arrays.length} bytes of arrays")
