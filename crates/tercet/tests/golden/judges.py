"""Golden values for retrieval and verification."""

import numpy as np
import torch
from pytorch_metric_learning.distances import LpDistance
from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator
from pytorch_metric_learning.utils.inference import CustomKNN
from sklearn.metrics import average_precision_score, roc_auc_score

RETRIEVAL_SETS = 20
VERIFICATION_SETS = 20


def without_ties(rng, labels, dimensions):
    """Points whose distances from any one of them are further apart than float32 rounds."""
    while True:
        centres = rng.normal(size=(labels.max() + 1, dimensions))
        x = (0.7 * centres[labels] + rng.normal(size=(len(labels), dimensions))).astype(np.float32)
        wide = x.astype(np.float64)
        d = np.sqrt(((wide[:, None] - wide[None]) ** 2).sum(axis=2))
        gaps = np.diff(np.sort(d, axis=1), axis=1)
        if gaps.min() > 2e-6 * d.max():
            return x, d


def retrieval(rng, arrays):
    """Leave-one-out. pytorch-metric-learning for the means, scikit-learn for every query."""
    sizes = rng.integers(1, 9, size=rng.integers(2, 8))
    sizes[0] = max(sizes[0], 2)
    labels = np.repeat(np.arange(len(sizes)), sizes)
    rng.shuffle(labels)
    x, d = without_ties(rng, labels, int(rng.integers(2, 24)))
    distance = LpDistance(normalize_embeddings=False)
    calculator = AccuracyCalculator(
        include=(
            "precision_at_1",
            "r_precision",
            "mean_average_precision_at_r",
            "mean_average_precision",
            "mean_reciprocal_rank",
        ),
        device=torch.device("cpu"),
        knn_func=CustomKNN(distance),
    )
    means = calculator.get_accuracy(torch.tensor(x), torch.tensor(labels))
    average_precision = []
    for query in range(len(labels)):
        others = np.arange(len(labels)) != query
        relevant = labels[others] == labels[query]
        if relevant.any():
            score = average_precision_score(relevant, -d[query, others])
            average_precision.append([query, float(score)])
    return {
        "judge": "retrieval",
        "labels": labels.tolist(),
        "dimensions": x.shape[1],
        "embeddings": arrays.add(x),
        "recall_at_1": float(means["precision_at_1"]),
        "r_precision": float(means["r_precision"]),
        "map_at_r": float(means["mean_average_precision_at_r"]),
        "map": float(means["mean_average_precision"]),
        "mrr": float(means["mean_reciprocal_rank"]),
        "average_precision": average_precision,
    }


def verification(rng, arrays):
    """The area under the ROC curve, where ties count half; every other set is full of them."""
    count = int(rng.integers(10, 200))
    same = rng.random(count) < rng.uniform(0.2, 0.8)
    same[:2] = [True, False]
    distances = np.abs(rng.normal(size=count) + np.where(same, 1.0, 2.0)).astype(np.float32)
    if rng.random() < 0.5:
        distances = np.round(distances * 2) / 2
    return {
        "judge": "verification",
        "same": same.astype(int).tolist(),
        "distances": arrays.add(distances),
        "auc": float(roc_auc_score(same, -distances.astype(np.float64))),
    }


def cases(seed, arrays):
    rng = np.random.default_rng([seed, 1])
    made = [retrieval(rng, arrays) for _ in range(RETRIEVAL_SETS)]
    return made + [verification(rng, arrays) for _ in range(VERIFICATION_SETS)]
