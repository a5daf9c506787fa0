"""Is one system better than another, or did it have luck with these queries?"""

from __future__ import annotations

import dataclasses
import html
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from . import _tercet
from .verification import Verification

if TYPE_CHECKING:
    import pandas
    from numpy.typing import ArrayLike

    from .reidentification import Reidentification
    from .retrieval import Retrieval

__all__ = ["Comparison", "Difference", "compare"]


@dataclasses.dataclass(frozen=True)
class Difference:
    """The difference between two systems on the same queries.

    Attributes:
        first, second: names of the two.
        queries: queries that both were evaluated on.
        first_mean, second_mean: mean scores.
        difference: second minus first.
        ci95: 95 % interval of the difference, from a bootstrap over classes.
        p: two-sided p-value of the same bootstrap.
        p_holm: p after Holm's correction for all pairs of systems.
        real: whether the interval excludes 0 and p_holm is at most 0.05.
    """

    first: str
    second: str
    queries: int
    first_mean: float
    second_mean: float
    difference: float
    ci95: list[float]
    p: float
    p_holm: float
    real: bool


class Comparison(tuple[Difference, ...]):
    """The differences between all pairs of systems."""

    def to_pandas(self) -> pandas.DataFrame:
        """A row for each pair of systems. Needs pandas."""
        import pandas

        return pandas.DataFrame([dataclasses.asdict(difference) for difference in self])

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{html.escape(d.first)}</td><td>{html.escape(d.second)}</td><td>{d.difference:+.4f}</td>"
            f"<td>{d.ci95[0]:+.4f} to {d.ci95[1]:+.4f}</td><td>{d.p_holm:.4g}</td>"
            f"<td>{'yes' if d.real else 'no'}</td></tr>"
            for d in self
        )
        head = "<tr><th>first</th><th>second</th><th>difference</th><th>95 % interval</th><th>p (Holm)</th><th>real</th></tr>"
        return f"<table>{head}{rows}</table>"


def compare(
    systems: Mapping[str, Retrieval | Reidentification | Verification | Mapping[int, float]],
    labels: ArrayLike | None = None,
    *,
    figure: str | None = None,
    resamples: int = 10_000,
    seed: int = 0,
) -> Comparison:
    """Compares systems that were evaluated on the same queries.

    The difference of each query is free of what makes the query hard; its mean is resampled over whole
    classes.

    Args:
        systems: results by name, or scores by query row.
        labels: the class of every query row. Results of verification need none: each fold is a class.
        figure: which figure of a query counts; default: the average precision.
        resamples: of the bootstrap.
        seed: of the bootstrap.

    Raises:
        ValueError: fewer than two systems, other queries for one than for another, one class only.
    """
    scores: list[tuple[str, dict[int, float]]] = []
    for name, system in systems.items():
        if isinstance(system, Mapping):
            scores.append((name, dict(system)))
        elif isinstance(system, Verification):
            scores.append((name, system.scores()))
        else:
            scores.append((name, system.scores(*(() if figure is None else (figure,)))))
    if labels is None:
        if not all(isinstance(system, Verification) for system in systems.values()):
            raise TypeError("labels are missing: expected the class of every query row")
        last = max((query for _, of_queries in scores for query in of_queries), default=-1)
        labels = list(range(last + 1))
    found: list[dict[str, Any]] = _tercet.compare(scores, labels, resamples=resamples, seed=seed)
    return Comparison(Difference(**difference) for difference in found)
