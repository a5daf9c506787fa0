"""The network and the objective that `step.py` and `train.py` give to PyTorch."""

import torch
from torch import nn


def network(side, channels, blocks, width, dimensions):
    layers, inputs = [], channels
    for _ in range(blocks):
        layers += [
            nn.Conv2d(inputs, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2),
        ]
        inputs = width
    left = side >> blocks
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(left * left * width, dimensions))


def batch_hard(embeddings, labels):
    distance = torch.sqrt(torch.cdist(embeddings, embeddings).square() + 1e-12)
    same = labels[:, None] == labels[None, :]
    farthest = distance.masked_fill(~same, -1).max(1).values
    nearest = distance.masked_fill(same, float("inf")).min(1).values
    return nn.functional.softplus(farthest - nearest).mean()
