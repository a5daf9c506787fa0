"""Do the nearest items of a query belong to its class?"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from . import _tercet
from .reranking import KReciprocal
from .results import Result, axes

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

__all__ = ["Retrieval"]


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Retrieval(Result):
    """What retrieval by distance achieves, as means over the queries that have a relevant item.

    Items at equal distance have no order: each figure is its expected value over all orderings of the
    tied items. An item is never its own match, by identity and not by rank. Queries without a relevant
    item are skipped and counted.

    Attributes:
        queries: queries that were evaluated.
        gallery: items that were searched.
        skipped_queries: queries whose class the gallery does not hold.
        recall_at_k: share of the queries with a relevant item among the first k, by k.
        precision_at_k: mean share of relevant items among the first k, by k.
        r_precision: mean share of relevant items among the first R, where R is their number.
        map_at_r: mean average precision cut at R (Musgrave et al. 2020).
        map: mean average precision over all ranks.
        mrr: mean reciprocal rank of the first relevant item.
        ndcg: mean normalised discounted cumulative gain.
        macro_average: the same figures as means over classes.
        ci95: 95 % intervals by figure, from a bootstrap over the queries' classes.
        precision_recall: interpolated precision at the recall levels 0, 0.01, …, 1; shape (101,).
        per_class: a column for each figure, a row for each class.
        per_query: a column for each figure, a row for each query that was not skipped.
    """

    _shown: ClassVar = ("queries", "gallery", "skipped_queries", "recall_at_1", "r_precision", "map_at_r", "map", "mrr", "ndcg")
    _table: ClassVar = "per_query"

    queries: int
    gallery: int
    skipped_queries: int
    recall_at_k: dict[int, float]
    precision_at_k: dict[int, float]
    r_precision: float
    map_at_r: float
    map: float
    mrr: float
    ndcg: float
    macro_average: dict[str, float]
    ci95: dict[str, Any]
    precision_recall: NDArray[np.float64]
    per_class: dict[str, Any]
    per_query: dict[str, NDArray[Any]]

    @classmethod
    def leave_one_out(
        cls,
        embeddings: ArrayLike,
        labels: ArrayLike,
        *,
        distance: str = "euclidean",
        normalize: bool = False,
        ranks: Sequence[int] | None = None,
        items: ArrayLike | None = None,
        reranking: KReciprocal | None = None,
    ) -> Retrieval:
        """Every item in turn queries all the others.

        Args:
            embeddings: shape (N, D).
            labels: integers or strings, shape (N,).
            distance: "euclidean", "squared-euclidean" or "cosine".
            normalize: L2-normalise first.
            ranks: the k of recall and precision; default 1, 2, 4, 5, 8, 10, and 100 and 1,000 in
                larger galleries.
            items: rows with equal keys show the same item, and are no match of each other.
            reranking: k-reciprocal re-ranking of the distances.

        Raises:
            ValueError: another number of labels than of rows, vectors that are not finite, no class
                with two items.
        """
        return cls(**_tercet.retrieval(
            embeddings, labels, None, None, distance=distance, normalize=normalize,
            ranks=None if ranks is None else list(ranks), items=items, gallery_items=None,
            reranking=None if reranking is None else reranking.parameters(),
        ))

    @classmethod
    def query_gallery(
        cls,
        queries: ArrayLike,
        query_labels: ArrayLike,
        gallery: ArrayLike,
        gallery_labels: ArrayLike,
        *,
        distance: str = "euclidean",
        normalize: bool = False,
        ranks: Sequence[int] | None = None,
        items: ArrayLike | None = None,
        gallery_items: ArrayLike | None = None,
        reranking: KReciprocal | None = None,
    ) -> Retrieval:
        """Every query searches the gallery; classes are matched by their label.

        Args:
            queries: shape (Q, D).
            query_labels: shape (Q,).
            gallery: shape (G, D).
            gallery_labels: shape (G,).
            items, gallery_items: keys of the items; gallery rows with the key of a query are that
                query itself, and neither found nor missed. Give both or none.

        Raises:
            ValueError: as `leave_one_out`, and no query with an item of its class in the gallery.
        """
        if (items is None) != (gallery_items is None):
            raise TypeError("items and gallery_items belong together: expected both or none")
        return cls(**_tercet.retrieval(
            queries, query_labels, gallery, gallery_labels, distance=distance, normalize=normalize,
            ranks=None if ranks is None else list(ranks), items=items, gallery_items=gallery_items,
            reranking=None if reranking is None else reranking.parameters(),
        ))

    @property
    def recall_at_1(self) -> float:
        """Share of the queries whose nearest item is relevant; NaN if rank 1 was not asked for."""
        return self.recall_at_k.get(1, float("nan"))

    def recall_at(self, k: int) -> float:
        """Recall at one of the ranks; KeyError at others."""
        return self.recall_at_k[k]

    def precision_at(self, k: int) -> float:
        """Precision at one of the ranks; KeyError at others."""
        return self.precision_at_k[k]

    def scores(self, figure: str = "average_precision") -> dict[int, float]:
        """One figure of every query by its row, for `tercet.compare`."""
        queries = self.per_query["query"].tolist()
        return dict(zip(queries, self.per_query[figure].tolist(), strict=True))

    def worst(self, count: int = 10) -> NDArray[np.int64]:
        """Rows of the queries of least average precision, the worst first."""
        order = self.per_query["average_precision"].argsort(kind="stable")
        return self.per_query["query"][order[:count]]

    def best(self, count: int = 10) -> NDArray[np.int64]:
        """Rows of the queries of highest average precision, the best first."""
        order = (-self.per_query["average_precision"]).argsort(kind="stable")
        return self.per_query["query"][order[:count]]

    def plot(self, ax: Any = None) -> Any:
        """The precision–recall curve. Needs matplotlib; returns the axes."""
        ax = axes(ax)
        levels = [step / 100 for step in range(len(self.precision_recall))]
        ax.plot(levels, self.precision_recall, label=f"mAP {self.map:.3f}")
        ax.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02))
        ax.legend()
        return ax
