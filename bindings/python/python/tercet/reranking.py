"""Distances changed by what the neighbours of both items are: k-reciprocal re-ranking."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from . import _tercet

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

__all__ = ["KReciprocal"]


@dataclasses.dataclass(frozen=True)
class KReciprocal:
    """k-reciprocal re-ranking of Zhong et al., CVPR 2017.

    Attributes:
        k1: neighbours that may be reciprocal.
        k2: items of the local query expansion, the item itself included; 1 for none.
        lambda_: the share of the original distance, from 0 to 1.
    """

    k1: int = 20
    k2: int = 6
    lambda_: float = 0.3

    def distances(
        self,
        queries: ArrayLike,
        gallery: ArrayLike | None = None,
        *,
        distance: str = "euclidean",
        normalize: bool = False,
    ) -> NDArray[np.float32]:
        """The re-ranked distances of all queries to the gallery, or of all rows to all rows.

        Args:
            queries: shape (Q, D).
            gallery: shape (G, D).

        Returns:
            float32, shape (Q, G).

        Raises:
            ValueError: parameters out of range, vectors that do not fit together.
        """
        return _tercet.reranked_distances(
            queries, gallery, self.parameters(), distance=distance, normalize=normalize
        )

    def parameters(self) -> tuple[int, int, float]:
        """k1, k2 and lambda."""
        return (self.k1, self.k2, self.lambda_)
