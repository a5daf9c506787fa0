"""Batches to disagree about: sizes, shapes, ties, and everything degenerate."""

from dataclasses import dataclass
from typing import Callable

import numpy as np


@dataclass(frozen=True)
class Recipe:
    """A family of batches. `exact` says where float32 makes no rounding error in a distance."""

    name: str
    sizes: list | None
    dimensions: int
    vectors: Callable
    exact: str = "never"  # or for metrics that are "plain" (no sphere), "cosine", or "always"

    def draw(self, seed):
        """Embeddings (float32) and labels of one batch, in random order."""
        rng = np.random.default_rng(seed)
        sizes = self.sizes or list(rng.integers(2, 7, size=rng.integers(2, 6)))
        labels = np.repeat(np.arange(len(sizes)), sizes)
        rng.shuffle(labels)
        x = self.vectors(rng, labels, self.dimensions).astype(np.float32)
        return x, labels * 7 + 3  # labels are names, not indices

    def is_exact(self, config):
        return {
            "never": False,
            "plain": not config.on_sphere,
            "cosine": config.distance == "cosine",
            "always": True,
        }[self.exact]


def classes(spread=1.0, scale=1.0):
    """Gaussian classes around Gaussian centres; distances are about `scale`."""

    def vectors(rng, labels, dimensions):
        centres = rng.normal(size=(labels.max() + 1, dimensions))
        x = spread * centres[labels] + rng.normal(size=(len(labels), dimensions))
        return scale * x / np.sqrt(2 * dimensions * (1 + spread**2))

    return vectors


def grid(low, high, step=1.0, offset=0.0):
    """Coordinates on a grid: ties and duplicates."""

    def vectors(rng, labels, dimensions):
        return offset + step * rng.integers(low, high + 1, size=(len(labels), dimensions))

    return vectors


def doubled(rng, labels, dimensions):
    """Grid points, half of them copies of the other half, across classes."""
    x = rng.integers(-32, 33, size=(len(labels), dimensions)) / 64
    half = len(labels) // 2
    x[half : 2 * half] = x[:half]
    return x[rng.permutation(len(labels))]


def collapsed(rng, labels, dimensions):
    return np.full((len(labels), dimensions), 0.375)


def with_a_zero(rng, labels, dimensions):
    x = classes()(rng, labels, dimensions)
    x[rng.integers(len(labels))] = 0
    return x


RECIPES = [
    Recipe("four", [2, 2], 2, classes()),
    Recipe("pk-4x2", [2] * 4, 8, classes()),
    Recipe("pk-8x4", [4] * 8, 16, classes()),
    Recipe("pk-24x4", [4] * 24, 16, classes()),
    Recipe("two-classes", [20, 16], 6, classes(0.5)),
    Recipe("k-50", [50, 9], 4, classes(0.5)),
    Recipe("k-50-40", [50, 40], 3, classes(0.5)),
    Recipe("unbalanced", [12, 5, 3, 2, 2], 10, classes()),
    Recipe("random-sizes", None, 12, classes()),
    Recipe("lone-classes", [6, 4, 1, 1, 3, 1], 5, classes()),
    Recipe("all-lone", [1] * 6, 3, classes()),
    Recipe("one-class", [7], 4, classes()),
    Recipe("line", [5, 4, 3], 1, classes()),
    Recipe("wide-512", [3, 3, 2], 512, classes()),
    Recipe("wide-200", [3, 3, 2, 2], 200, classes()),
    Recipe("pk-12x4-d64", [4] * 12, 64, classes()),
    Recipe("grid", [6, 6, 4, 2], 3, grid(-2, 2), "plain"),
    Recipe("grid-line", [6, 5, 4, 3], 1, grid(-4, 4), "plain"),
    Recipe("signs", [4, 4, 3], 1, grid(1, 1, 2.0), "always"),
    Recipe("doubled", [5, 5, 4, 4], 6, doubled, "plain"),
    Recipe("collapsed", [3, 3, 3, 3], 5, collapsed, "always"),
    Recipe("offset-256", [4] * 6, 12, grid(-512, 512, 2.0**-10, 256.0), "plain"),
    Recipe("offset-4096", [4] * 4, 7, grid(-64, 64, 2.0**-7, 4096.0), "plain"),
    Recipe("small", [4] * 5, 9, classes(1.0, 1e-3)),
    Recipe("large", [4] * 5, 9, classes(1.0, 300.0)),
    Recipe("zero-vector", [4, 4, 3], 4, with_a_zero, "cosine"),
]
