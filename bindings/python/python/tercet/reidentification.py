"""Is a person seen by one camera found again among what the others saw?"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, ClassVar

from . import _tercet
from .reranking import KReciprocal
from .results import Result, axes

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["Reidentification", "SingleShot"]


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Reidentification(Result):
    """Re-identification by the rules of Market-1501 (Zheng et al., ICCV 2015).

    A gallery item with the query's identity and camera takes no part, nor does any of identity −1.
    Distractors, identity 0 there, stay in the gallery and match nobody. Ties in distance count by their
    expected value.

    Attributes:
        queries: queries with a match in the gallery.
        gallery: items that were searched.
        skipped_queries: queries without a match from another camera.
        cmc: share of the queries with a match among the first k, by k.
        cmc_all_queries: the same share of all queries, as if the skipped had failed.
        map: mean average precision, as a finite sum (torchreid, fast-reid).
        map_market: mean average precision by trapezoids, as in Market-1501's own code.
        minp: mean inverse negative penalty (Ye et al. 2021).
        ci95: 95 % intervals by figure, from a bootstrap over identities.
        convention: which conventions these figures follow.
        per_query: a column for each figure, a row for each query that was not skipped.
    """

    _shown: ClassVar = ("queries", "gallery", "skipped_queries", "rank_1", "map", "map_market", "minp")
    _table: ClassVar = "per_query"

    queries: int
    gallery: int
    skipped_queries: int
    cmc: dict[int, float]
    cmc_all_queries: dict[int, float]
    map: float
    map_market: float
    minp: float
    ci95: dict[str, Any]
    convention: str
    per_query: dict[str, NDArray[Any]]

    @classmethod
    def evaluate(
        cls,
        queries: ArrayLike,
        query_ids: ArrayLike,
        query_cameras: ArrayLike,
        gallery: ArrayLike,
        gallery_ids: ArrayLike,
        gallery_cameras: ArrayLike,
        *,
        distance: str = "euclidean",
        normalize: bool = False,
        ranks: int = 50,
        query_items: ArrayLike | None = None,
        gallery_items: ArrayLike | None = None,
        reranking: KReciprocal | None = None,
    ) -> Reidentification:
        """Every query searches the gallery.

        Args:
            queries: shape (Q, D).
            query_ids, query_cameras: integers, shape (Q,).
            gallery: shape (G, D).
            gallery_ids, gallery_cameras: integers, shape (G,).
            ranks: the last rank of the CMC.
            query_items, gallery_items: numbers of the items, where a query may be in the gallery too.
            reranking: k-reciprocal re-ranking of the distances.

        Raises:
            ValueError: columns of other lengths than the vectors, a query of identity −1, no query
                with a match.
        """
        return cls(**_tercet.reidentification(
            (queries, query_ids, query_cameras), (gallery, gallery_ids, gallery_cameras),
            query_items=query_items, gallery_items=gallery_items, distance=distance,
            normalize=normalize, ranks=ranks,
            reranking=None if reranking is None else reranking.parameters(),
        ))

    @property
    def rank_1(self) -> float:
        """Share of the queries whose nearest item is a match."""
        return self.cmc[1]

    def _intervals(self) -> dict[str, Any]:
        return {**self.ci95, "rank_1": self.ci95["cmc"][1]}

    def scores(self, figure: str = "average_precision") -> dict[int, float]:
        """One figure of every query by its row, for `tercet.compare`."""
        queries = self.per_query["query"].tolist()
        return dict(zip(queries, self.per_query[figure].tolist(), strict=True))

    def plot(self, ax: Any = None) -> Any:
        """The CMC curve. Needs matplotlib; returns the axes."""
        ax = axes(ax)
        ax.plot(list(self.cmc), list(self.cmc.values()), label=f"mAP {self.map:.3f}")
        ax.set(xlabel="rank", ylabel="queries with a match", ylim=(0, 1.02))
        ax.legend()
        return ax


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class SingleShot(Result):
    """The CMC where the gallery holds one item of each identity, as in CUHK03: the mean over galleries
    that are drawn at random.

    Attributes:
        queries: queries with a match in the gallery.
        skipped_queries: queries without one.
        repetitions: galleries drawn for each query.
        seed: of the draws.
        cmc: share of the queries with a match among the first k, by k.
        cmc_ci95: 95 % intervals by k, from a bootstrap over identities.
    """

    _shown: ClassVar = ("queries", "skipped_queries", "repetitions", "rank_1")

    queries: int
    skipped_queries: int
    repetitions: int
    seed: int
    cmc: dict[int, float]
    cmc_ci95: dict[int, Any]

    @classmethod
    def evaluate(
        cls,
        queries: ArrayLike,
        query_ids: ArrayLike,
        query_cameras: ArrayLike,
        gallery: ArrayLike,
        gallery_ids: ArrayLike,
        gallery_cameras: ArrayLike,
        *,
        distance: str = "euclidean",
        normalize: bool = False,
        ranks: int = 50,
        repetitions: int = 10,
        seed: int = 0,
    ) -> SingleShot:
        """Every query searches so many galleries; otherwise as `Reidentification.evaluate`."""
        return cls(**_tercet.single_shot(
            (queries, query_ids, query_cameras), (gallery, gallery_ids, gallery_cameras),
            distance=distance, normalize=normalize, ranks=ranks, repetitions=repetitions, seed=seed,
        ))

    @property
    def rank_1(self) -> float:
        """Share of the queries whose nearest item is a match."""
        return self.cmc[1]

    def _intervals(self) -> dict[str, Any]:
        return {"rank_1": self.cmc_ci95[1]}
