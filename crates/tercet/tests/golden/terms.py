"""Writes `terms.json`: multi-similarity and supervised contrastive loss by pytorch-metric-learning.

    python terms.py

Run with the packages of `requirements.txt`. Values and gradients are of float64 tensors. Every item has
a positive and a negative, since pytorch-metric-learning also counts items without a positive.
"""

import json
from pathlib import Path

import numpy as np
import torch
from pytorch_metric_learning.distances import CosineSimilarity, LpDistance
from pytorch_metric_learning.losses import MultiSimilarityLoss, SupConLoss

CASES = [
    ("multi-similarity", "cosine", {"alpha": 2, "beta": 50, "base": 0.5}),
    ("multi-similarity", "cosine", {"alpha": 20, "beta": 5, "base": 0.2}),
    ("multi-similarity", "squared-euclidean", {"alpha": 1.5, "beta": 3, "base": 0.75}),
    ("supervised-contrastive", "cosine", {"temperature": 0.1}),
    ("supervised-contrastive", "cosine", {"temperature": 0.02}),
]


def loss(name, distance, parameters):
    if distance == "cosine":
        measure = CosineSimilarity()
    else:
        measure = LpDistance(normalize_embeddings=True, p=2, power=2)
    if name == "multi-similarity":
        return MultiSimilarityLoss(distance=measure, **parameters)
    return SupConLoss(distance=measure, **parameters)


def parameters_of(name, distance, parameters):
    """The parameters in terms of distances: the base of a similarity s is the distance 1 - base."""
    parameters = dict(parameters)
    if name == "multi-similarity" and distance == "cosine":
        parameters["base"] = 1 - parameters["base"]
    return parameters


draws = np.random.default_rng(2026)
cases = []
for name, distance, parameters in CASES:
    for classes, dimensions in [([0, 0, 1, 1, 2, 2, 2, 0], 4), ([0, 1] * 8, 16)]:
        embeddings = draws.normal(size=(len(classes), dimensions)).astype(np.float32)
        tensor = torch.tensor(embeddings.astype(np.float64), requires_grad=True)
        value = loss(name, distance, parameters)(tensor, torch.tensor(classes))
        value.backward()
        cases.append({
            "objective": name,
            "distance": distance,
            "parameters": parameters_of(name, distance, parameters),
            "labels": classes,
            "embeddings": embeddings.tolist(),
            "value": value.item(),
            "gradient": tensor.grad.tolist(),
        })
Path(__file__).with_name("terms.json").write_text(
    "[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]\n"
)
print(f"{len(cases)} cases")
