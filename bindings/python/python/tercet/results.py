"""What results of the evaluation have in common: tables, dictionaries and the display in notebooks."""

from __future__ import annotations

import dataclasses
import html
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    import pandas
    import pyarrow

__all__ = ["Result"]


def _number(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Result:
    """Figures of an evaluation.

    Subclasses name the figures that their display shows and the table that `to_pandas` returns.
    """

    _shown: ClassVar[tuple[str, ...]] = ()
    _table: ClassVar[str | None] = None

    def to_dict(self) -> dict[str, Any]:
        """All figures by name; tables are dictionaries of arrays."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    def _columns(self) -> dict[str, Any]:
        if self._table is None:
            return {name: [value] for name, value in self.figures().items()}
        return getattr(self, self._table)

    def to_pandas(self) -> pandas.DataFrame:
        """The rows behind the figures as a data frame. Needs pandas."""
        import pandas

        return pandas.DataFrame(self._columns())

    def to_arrow(self) -> pyarrow.Table:
        """The rows behind the figures as a table. Needs pyarrow."""
        import pyarrow

        return pyarrow.table(self._columns())

    def figures(self) -> dict[str, Any]:
        """The figures that the display shows."""
        return {name: getattr(self, name) for name in self._shown}

    def _intervals(self) -> dict[str, Any]:
        return getattr(self, "ci95", None) or {}

    def __repr__(self) -> str:
        words = ", ".join(f"{name}={_number(value)}" for name, value in self.figures().items())
        return f"{type(self).__name__}({words})"

    def _repr_html_(self) -> str:
        intervals = self._intervals()
        rows = []
        for name, value in self.figures().items():
            interval = intervals.get(name)
            shown = "" if interval is None else f"{interval[0]:.4f} to {interval[1]:.4f}"
            rows.append(
                f"<tr><th>{html.escape(name)}</th><td>{html.escape(_number(value))}</td>"
                f"<td>{shown}</td></tr>"
            )
        head = "<tr><th></th><th>value</th><th>95 % interval</th></tr>"
        return f"<table><caption>{type(self).__name__}</caption>{head}{''.join(rows)}</table>"


def axes(ax: Any) -> Any:
    """The given axes of matplotlib, or new ones."""
    if ax is not None:
        return ax
    from matplotlib import pyplot

    return pyplot.subplots()[1]
