"""One example a class: is the nearest one of the right class?"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar

from . import _tercet
from .results import Result

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["Episodes", "OneShot"]


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class OneShot(Result):
    """The error of classifying each test item by its nearest training item, as in Lake, Salakhutdinov &
    Tenenbaum (Science 2015).

    Attributes:
        error: mean of the errors of the runs.
        runs: share of the test items that are classified wrongly, by run.
        trials: test items of all runs.
    """

    _shown: ClassVar = ("error", "trials")

    error: float
    runs: list[float]
    trials: int

    @classmethod
    def evaluate(
        cls,
        embeddings: ArrayLike,
        runs: Iterable[tuple[ArrayLike, ArrayLike, ArrayLike, ArrayLike]],
        *,
        distance: str = "euclidean",
        normalize: bool = False,
    ) -> OneShot:
        """Evaluates given runs, such as those of Omniglot.

        Args:
            embeddings: shape (N, D).
            runs: for each run the rows of its training items, their classes, the rows of its test
                items, and their classes.

        Raises:
            ValueError: no runs, a run without items, rows that do not exist.
        """
        return cls(**_tercet.one_shot(
            embeddings, [tuple(run) for run in runs], distance=distance, normalize=normalize
        ))

    def _columns(self) -> dict[str, Any]:
        return {"run": list(range(len(self.runs))), "error": self.runs}


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Episodes(Result):
    """The accuracy of N-way K-shot tasks drawn at random.

    Attributes:
        accuracy: mean accuracy over the episodes.
        ci95: 95 % interval of that mean: 1.96 standard errors over episodes on both sides. It says how
            far more episodes might move the mean, not how far other classes would.
        episodes: tasks that were evaluated.
        classes: classes that could be drawn.
        skipped_classes: classes with no more than K items.
    """

    _shown: ClassVar = ("accuracy", "episodes", "classes", "skipped_classes")

    accuracy: float
    ci95: list[float]
    episodes: int
    classes: int
    skipped_classes: int

    @classmethod
    def evaluate(
        cls,
        embeddings: ArrayLike,
        labels: ArrayLike,
        *,
        ways: int = 5,
        shots: int = 1,
        queries: int = 15,
        episodes: int = 1000,
        prototype: str = "nearest",
        seed: int = 0,
        distance: str = "euclidean",
        normalize: bool = False,
    ) -> Episodes:
        """Draws and evaluates episodes.

        Args:
            embeddings: shape (N, D).
            labels: shape (N,).
            ways: N, the classes of a task.
            shots: K, the examples of each class.
            queries: queries of each class at most.
            prototype: "nearest" compares with the nearest example, "mean" with the mean of a class
                (Snell et al. 2017).

        Raises:
            ValueError: too few classes with more than K items, parameters out of range.
        """
        return cls(**_tercet.episodes(
            embeddings, labels, distance=distance, normalize=normalize, episodes=episodes, ways=ways,
            shots=shots, queries=queries, prototype=prototype, seed=seed,
        ))

    def _intervals(self) -> dict[str, Any]:
        return {"accuracy": self.ci95}
