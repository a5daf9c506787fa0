"""Golden values for query/gallery retrieval, re-identification, verification and calibration.

scikit-learn where it has the figure; otherwise the protocol's own loop, written down again in NumPy
from evaluate_market1501 (its Matlab code and torchreid) and facenet's validate_on_lfw.
"""

import numpy as np
from judges import without_ties
from scipy.optimize import brentq, minimize
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import (
    average_precision_score,
    brier_score_loss,
    log_loss,
    ndcg_score,
    precision_recall_curve,
    roc_auc_score,
    roc_curve,
)

SETS = 8
LEVELS = 101
RANKS = 10
FARS = [0.5, 0.1, 0.01]


def distances(queries, gallery):
    wide = queries.astype(np.float64)[:, None] - gallery.astype(np.float64)[None]
    return np.sqrt((wide**2).sum(axis=2))


# ---- retrieval -----------------------------------------------------------------------------------


def retrieval(rng, arrays, tied):
    """Unbalanced classes, some of them lone; a tenth of the pairs excluded; ties on a grid."""
    labels = rng.choice(6, size=60, p=[0.4, 0.25, 0.15, 0.1, 0.05, 0.05])
    if tied:
        x = (labels[:, None] % 3 + rng.integers(-2, 3, size=(60, 2))).astype(np.float32)
    else:
        x, _ = without_ties(rng, labels, int(rng.integers(2, 24)))
    queries, gallery, asked, there = x[:15], x[15:], labels[:15], labels[15:]
    excluded = rng.random((15, 45)) < 0.1
    d = distances(queries, gallery)
    per_query, curves = [], []
    for query in range(15):
        kept = ~excluded[query]
        relevant = (there[kept] == asked[query]).astype(int)
        if not relevant.any():
            continue
        score = -d[query, kept]
        precision, recall, _ = precision_recall_curve(relevant, score)
        # The last point, recall 0 at precision 1, is none of a cut.
        precision, recall = precision[:-1], recall[:-1]
        levels = np.arange(LEVELS) / (LEVELS - 1)
        curves.append([precision[recall >= level - 1e-12].max() for level in levels])
        ranked = relevant[np.argsort(-score, kind="stable")]
        per_query.append(
            {
                "query": query,
                "ndcg": float(ndcg_score([relevant], [score])),  # ties averaged
                "average_precision": None
                if tied
                else float(average_precision_score(relevant, score)),
                "precision_at_5": None if tied else float(ranked[:5].sum() / 5),
            }
        )
    return {
        "protocol": "retrieval",
        "dimensions": x.shape[1],
        "embeddings": arrays.add(x),
        "labels": labels.tolist(),
        "queries": 15,
        "excluded": np.argwhere(excluded).tolist(),
        "per_query": per_query,
        "precision_recall": np.mean(curves, axis=0).tolist(),
    }


# ---- re-identification ---------------------------------------------------------------------------


def market_average_precision(good):
    """compute_AP.m of Market-1501, over the ranked list without junk."""
    ap, old_recall, old_precision, hits = 0.0, 0.0, 1.0, 0
    for place, hit in enumerate(good):
        hits += hit
        recall, precision = hits / good.sum(), hits / (place + 1)
        ap += (recall - old_recall) * (old_precision + precision) / 2
        old_recall, old_precision = recall, precision
    return ap


def reid_figures(d, q_ids, q_cameras, g_ids, g_cameras):
    """eval_market1501 of torchreid, with fast-reid's mINP and Market's own AP beside it."""
    cmc, aps, market, inps, skipped = [], [], [], [], 0
    for query in range(len(q_ids)):
        order = np.argsort(d[query], kind="stable")
        removed = (g_ids[order] == q_ids[query]) & (g_cameras[order] == q_cameras[query])
        removed |= g_ids[order] == -1
        good = (g_ids[order] == q_ids[query])[~removed].astype(int)
        if not good.any():
            skipped += 1
            continue
        found = good.cumsum()
        capped = np.minimum(found, 1)[:RANKS]
        cmc.append(np.pad(capped, (0, RANKS - len(capped)), constant_values=1))
        aps.append((found / np.arange(1, len(good) + 1) * good).sum() / good.sum())
        market.append(market_average_precision(good))
        last = np.flatnonzero(good)[-1]
        inps.append(found[last] / (last + 1))
    return {
        "cmc": np.mean(cmc, axis=0).tolist(),
        "map": float(np.mean(aps)),
        "map_market": float(np.mean(market)),
        "minp": float(np.mean(inps)),
        "skipped": skipped,
    }


def reid_case(arrays, x, queries, ids, cameras):
    d = distances(x[:queries], x[queries:])
    q, g = slice(None, queries), slice(queries, None)
    return {
        "protocol": "reid",
        "dimensions": x.shape[1],
        "embeddings": arrays.add(x),
        "queries": queries,
        "ids": ids.tolist(),
        "cameras": cameras.tolist(),
        **reid_figures(d, ids[q], cameras[q], ids[g], cameras[g]),
    }


def reid(rng, arrays):
    people = rng.integers(-1, 9, size=100)
    people[:20] = rng.integers(1, 12, size=20)  # some whom no camera sees again
    x, _ = without_ties(rng, people + 1, int(rng.integers(2, 24)))
    return reid_case(arrays, x, 20, people, rng.integers(0, 4, size=100))


def known_lists(arrays):
    """Relevance [1, 0, 1, 0] and [0, 1], the two conventions apart: .8333/.7917 and .5/.25."""
    for relevance, plain, market in [([1, 0, 1, 0], 0.8333, 0.7917), ([0, 1], 0.5, 0.25)]:
        x = np.arange(len(relevance) + 1, dtype=np.float32)[:, None]
        ids = np.array([5, *(5 if hit else 0 for hit in relevance)])
        case = reid_case(arrays, x, 1, ids, np.array([0, *(1 for _ in relevance)]))
        assert abs(case["map"] - plain) < 1e-4 and abs(case["map_market"] - market) < 1e-4
        yield case


# ---- verification --------------------------------------------------------------------------------


def accuracy_at(threshold, d, same):
    return ((d < threshold) == same).mean()


def by_folds(d, same, fold, thresholds):
    """calculate_roc of facenet: the first best threshold on the other folds."""
    accuracies = []
    for number in np.unique(fold):
        train, test = fold != number, fold == number
        best = np.argmax([accuracy_at(t, d[train], same[train]) for t in thresholds(d[train])])
        accuracies.append(accuracy_at(thresholds(d[train])[best], d[test], same[test]))
    return [float(np.mean(accuracies)), float(np.std(accuracies))]


def halfway(d):
    at = np.unique(d)
    return np.concatenate([[at[0]], (at[1:] + at[:-1]) / 2, [at[-1] + 1]])


def threshold_at_far(d, same, far):
    """The largest at which the share of different pairs strictly below is at most `far`."""
    different = d[~same]
    candidates = np.append(np.unique(different), d.max() + 1)
    fars = np.array([(different < t).mean() for t in candidates])
    return candidates[fars <= far].max()


def val_at_far(d, same, fold, far):
    vals, fars = [], []
    for number in np.unique(fold):
        train, test = fold != number, fold == number
        threshold = threshold_at_far(d[train], same[train], far)
        vals.append((d[test & same] < threshold).mean())
        fars.append((d[test & ~same] < threshold).mean())
    return {"val": float(np.mean(vals)), "std": float(np.std(vals)), "far": float(np.mean(fars))}


def platt(d, same):
    """The sigmoid of Platt (1999) with his targets, by a general optimiser."""
    n, m = same.sum(), (~same).sum()
    truth = np.where(same, (n + 1) / (n + 2), 1 / (m + 2))

    def loss(ab):
        x = ab[0] * d + ab[1]
        return (truth * x + np.logaddexp(0, -x)).sum()

    def gradient(ab):
        error = truth - 1 / (1 + np.exp(ab[0] * d + ab[1]))
        return np.array([(error * d).sum(), error.sum()])

    found = minimize(loss, [0.0, 0.0], jac=gradient, method="BFGS", options={"gtol": 1e-9})
    return found.x


def verification(rng, arrays, kind):
    fold = np.repeat(np.arange(10), 12)
    same = np.tile([True, False], 60)
    centre = np.where(same, 0.9, 1.6)
    d = np.clip(centre + rng.normal(scale=0.35, size=120), 0.0, 4.0)
    if kind == "tied":
        d = np.round(d * 5) / 5
    elif kind == "perfect":
        d = np.where(same, rng.uniform(0.1, 0.9, 120), rng.uniform(1.1, 2.0, 120))
    elif kind == "duplicates":
        d = np.where(same, 0.0, d)
    d32 = d.astype(np.float32)
    d = d32.astype(np.float64)
    fpr, tpr, _ = roc_curve(same, -d, drop_intermediate=False)
    isotonic = IsotonicRegression(increasing=False, out_of_bounds="clip").fit(d, same)
    slope, intercept = platt(d, same)
    fitted = 1 / (1 + np.exp(slope * d + intercept))
    probes = np.linspace(0, 3, 31, dtype=np.float32)
    vals = {str(far): val_at_far(d, same, fold, far) for far in FARS}
    if kind in ("perfect", "duplicates"):
        assert all(at["val"] == 1 for at in vals.values())
    return {
        "protocol": "verification",
        "kind": kind,
        "distances": arrays.add(d32),
        "same": same.astype(int).tolist(),
        "fold": fold.tolist(),
        "accuracy": by_folds(d, same, fold, halfway),
        "facenet_accuracy": by_folds(d, same, fold, lambda _: np.arange(0, 4, 0.01)),
        "auc": float(roc_auc_score(same, -d)),
        "eer": float(brentq(lambda x: 1 - x - np.interp(x, *steps(fpr, tpr)), 0, 1)),
        "val_at_far": vals,
        "probes": arrays.add(probes),
        "isotonic": isotonic.predict(probes.astype(np.float64)).tolist(),
        "logistic": (1 / (1 + np.exp(slope * probes + intercept))).tolist(),
        "brier": float(brier_score_loss(same, fitted)),
        "log_loss": float(log_loss(same, fitted)),
    }


def steps(fpr, tpr):
    """A curve that np.interp can read: rises straight up lean by 1e-13."""
    return fpr + 1e-13 * np.arange(len(fpr)), tpr


def cases(seed, arrays):
    rng = np.random.default_rng([seed, 2])
    made = [retrieval(rng, arrays, tied) for tied in [False, True] for _ in range(SETS)]
    made += [*known_lists(arrays), *(reid(rng, arrays) for _ in range(SETS))]
    kinds = ["plain", "plain", "plain", "tied", "tied", "perfect", "duplicates"]
    return made + [verification(rng, arrays, kind) for kind in kinds]
