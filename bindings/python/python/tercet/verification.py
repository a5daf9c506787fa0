"""Do two items show the same class? Evaluated on pairs, as LFW does."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from . import _tercet
from .results import Result, axes

if TYPE_CHECKING:
    import pandas
    import pyarrow
    from numpy.typing import ArrayLike, NDArray

__all__ = ["Pairs", "Verification"]

#: Same pairs of a fold at most, as the command line draws them.
PAIRS_PER_FOLD = 30_000


@dataclasses.dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs of items with their distance.

    Attributes:
        distances: float, shape (P,); any unit, but one for all pairs.
        same: bool, shape (P,); whether the two are of one class.
        folds: int, shape (P,), or None for one fold: the fold that a pair is tested in.
        left, right: rows of the two, if they are known.
    """

    distances: ArrayLike
    same: ArrayLike
    folds: ArrayLike | None = None
    left: ArrayLike | None = None
    right: ArrayLike | None = None

    @classmethod
    def measure(
        cls,
        embeddings: ArrayLike,
        left: ArrayLike,
        right: ArrayLike,
        same: ArrayLike,
        folds: ArrayLike | None = None,
        *,
        distance: str = "euclidean",
        normalize: bool = False,
    ) -> Pairs:
        """Listed pairs, such as those of LFW's pairs.txt.

        Args:
            embeddings: shape (N, D).
            left, right: rows of the two items of each pair, shape (P,).
            same: shape (P,).
            folds: shape (P,).
        """
        distances = _tercet.pair_distances(
            embeddings, left, right, distance=distance, normalize=normalize
        )
        return cls(distances, same, folds, left, right)

    @classmethod
    def balanced(
        cls,
        embeddings: ArrayLike,
        labels: ArrayLike,
        *,
        limit_per_fold: int = PAIRS_PER_FOLD,
        seed: int = 0,
        distance: str = "euclidean",
        normalize: bool = False,
    ) -> Pairs:
        """As many different pairs as same ones, in up to ten folds that share no class.

        Args:
            embeddings: shape (N, D).
            labels: shape (N,).
            limit_per_fold: same pairs of a fold at most.
            seed: of the draws.

        Raises:
            ValueError: fewer than two classes, or no class with two items.
        """
        rows = _tercet.balanced_rows(labels, limit_per_fold, seed)
        return cls.measure(embeddings, **rows, distance=distance, normalize=normalize)

    def __len__(self) -> int:
        return len(np.asarray(self.distances))

    def threshold_at_far(self, far: float) -> float:
        """The largest distance below which at most this share of the different pairs lies."""
        return _tercet.threshold_at_far(self.distances, self.same, far)

    def _columns(self) -> dict[str, Any]:
        columns = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {name: np.asarray(column) for name, column in columns.items() if column is not None}

    def to_pandas(self) -> pandas.DataFrame:
        """A row for each pair. Needs pandas."""
        import pandas

        return pandas.DataFrame(self._columns())

    def to_arrow(self) -> pyarrow.Table:
        """A row for each pair. Needs pyarrow."""
        import pyarrow

        return pyarrow.table(self._columns())

    def plot(self, ax: Any = None, bins: int = 60) -> Any:
        """Histograms of the distances of same and different pairs. Needs matplotlib."""
        ax = axes(ax)
        distances, same = np.asarray(self.distances), np.asarray(self.same, bool)
        edges = np.histogram_bin_edges(distances, bins)
        for of, name in ((same, "same"), (~same, "different")):
            ax.hist(distances[of], edges, alpha=0.6, density=True, label=name)
        ax.set(xlabel="distance", ylabel="density")
        ax.legend()
        return ax


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Verification(Result):
    """What accepting pairs below a distance achieves (Huang et al. 2007; Schroff et al. 2015).

    A pair is accepted as *same* if its distance is strictly below a threshold. FAR is the share of
    different pairs that are accepted, VAL the share of same pairs. Thresholds are chosen on all folds
    but one and applied to that one; with a single fold they are chosen on all pairs, and the figures
    are optimistic by that much.

    Attributes:
        pairs: pairs that were evaluated.
        accuracy: `mean` and `std` over the folds.
        auc: area under the ROC curve.
        eer: equal error rate.
        threshold: the best threshold over all pairs, for use on other data.
        val_at_far: `val`, `std` and `far` at each false accept rate, by the rate as text.
        fnmr_at_fmr: the share of same pairs refused at each rate, over all pairs.
        ci95: 95 % intervals from a bootstrap over folds; None with one fold.
        roc: columns `threshold`, `far`, `val`.
        by_fold: columns `fold`, `pairs`, `threshold`, `accuracy`.
    """

    _shown: ClassVar = ("pairs", "accuracy", "auc", "eer", "threshold")
    _table: ClassVar = "by_fold"

    pairs: int
    accuracy: dict[str, float]
    auc: float
    eer: float
    threshold: float
    val_at_far: dict[str, dict[str, float]]
    fnmr_at_fmr: dict[str, dict[str, float]]
    ci95: dict[str, Any] | None
    roc: dict[str, NDArray[Any]]
    by_fold: dict[str, NDArray[Any]]

    @classmethod
    def evaluate(cls, pairs: Pairs, *, far_targets: Sequence[float] | None = None) -> Verification:
        """Evaluates pairs at these false accept rates (default: 0.1, 0.01 and 0.001).

        Raises:
            ValueError: a distance that is not finite, no same pairs, no different pairs, a rate
                outside 0 to 1.
        """
        targets = None if far_targets is None else list(far_targets)
        return cls(**_tercet.verification(
            pairs.distances, pairs.same, pairs.folds, far_targets=targets
        ))

    def figures(self) -> dict[str, Any]:
        """The figures that the display shows."""
        figures = super().figures()
        figures["accuracy"] = self.accuracy["mean"]
        return figures

    def scores(self) -> dict[int, float]:
        """The accuracy of every fold, for `tercet.compare`."""
        folds = self.by_fold["fold"].tolist()
        return dict(zip(folds, self.by_fold["accuracy"].tolist(), strict=True))

    def plot(self, ax: Any = None) -> Any:
        """The ROC curve. Needs matplotlib; returns the axes."""
        ax = axes(ax)
        ax.plot(self.roc["far"], self.roc["val"], label=f"AUC {self.auc:.3f}")
        ax.set(xlabel="false accept rate", ylabel="validation rate", xlim=(0, 1), ylim=(0, 1.02))
        ax.legend()
        return ax
