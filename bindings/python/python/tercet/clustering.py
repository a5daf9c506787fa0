"""Groups of items that lie together, found without labels and evaluated by them."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from . import _tercet
from .results import Result

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["Agreement", "Clustering"]


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Clustering(Result):
    """Groups of items.

    Attributes:
        groups: the group of each item, int64, shape (N,); −1 for noise, which is in no group.
    """

    _shown: ClassVar = ("items", "clusters", "noise")

    groups: NDArray[np.int64]

    @classmethod
    def group(
        cls,
        embeddings: ArrayLike,
        algorithm: str = "average-linkage",
        *,
        threshold: float | None = None,
        clusters: int | None = None,
        min_items: int = 5,
        seed: int = 0,
        distance: str = "euclidean",
        normalize: bool = False,
    ) -> Clustering:
        """Groups the rows.

        Args:
            embeddings: shape (N, D).
            algorithm: "average-linkage", "complete-linkage", "single-linkage" and "ward" take a
                threshold or a number of clusters; "k-means" a number of clusters; "dbscan" and
                "chinese-whispers" a threshold; "hdbscan" neither.
            threshold: in the unit of the distance. That of a verification is a good choice.
            clusters: number of groups.
            min_items: items of a dense place ("dbscan") or of a group ("hdbscan").
            seed: of "k-means" and "chinese-whispers".

        Raises:
            ValueError: a cut that the algorithm does not take, parameters out of range, more items
                than memory is meant for.
        """
        return cls(_tercet.group(
            embeddings, algorithm, threshold=threshold, clusters=clusters, min_items=min_items,
            seed=seed, distance=distance, normalize=normalize,
        ))

    @property
    def items(self) -> int:
        """Number of items."""
        return len(self.groups)

    @property
    def clusters(self) -> int:
        """Number of groups, without noise."""
        return int(self.groups.max(initial=-1)) + 1

    @property
    def noise(self) -> int:
        """Items in no group."""
        return int((self.groups < 0).sum())

    def agreement(self, labels: ArrayLike) -> Agreement:
        """How far the groups agree with the classes of the items.

        Args:
            labels: shape (N,).

        Raises:
            ValueError: another number of labels than of items, or no items.
        """
        return Agreement(**_tercet.agreement(self.groups, labels))

    def _columns(self) -> dict[str, Any]:
        return {"item": np.arange(self.items), "group": self.groups}


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Agreement(Result):
    """How far groups agree with classes. Noise counts as groups of one item.

    Attributes:
        items, classes, clusters, noise: what was evaluated.
        nmi: normalised mutual information.
        ami: adjusted mutual information; 0 is what chance gives.
        ari: adjusted Rand index; 0 is what chance gives.
        pairwise_precision: share of the pairs within a group that are of one class.
        pairwise_recall: share of the pairs of one class that are within a group.
        pairwise_f1: harmonic mean of the two.
        bcubed_precision, bcubed_recall, bcubed_f1: the same by items (Amigó et al. 2009).
    """

    _shown: ClassVar = ("items", "classes", "clusters", "noise", "nmi", "ami", "ari", "pairwise_f1", "bcubed_f1")

    items: int
    classes: int
    clusters: int
    noise: int
    nmi: float
    ami: float
    ari: float
    pairwise_precision: float
    pairwise_recall: float
    pairwise_f1: float
    bcubed_precision: float
    bcubed_recall: float
    bcubed_f1: float

    def _columns(self) -> dict[str, Any]:
        return {name: [value] for name, value in self.to_dict().items()}
