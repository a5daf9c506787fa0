"""Training of networks, by the trainer of the command `tercet train`."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from ._tercet import Model
from ._tercet import train as _train
from .results import Result

__all__ = ["Trained", "train"]


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Trained(Result):
    """A finished run.

    Attributes:
        model: path of the model file.
        run: path of the run's folder, with metrics, checkpoints and `report.html`.
        result: everything that `tercet train --json` prints: `before`, `after`, `verdict`, `seconds`…
    """

    _shown: ClassVar = ("model", "steps", "recall_at_1", "map_at_r")

    model: Path
    run: Path
    result: dict[str, Any]

    @property
    def steps(self) -> int:
        """Steps done."""
        return self.result["steps"]

    @property
    def verdict(self) -> str:
        """How the result compares with the raw input and the untrained network, in a sentence."""
        return str(self.result["verdict"])

    def _after(self) -> dict[str, Any]:
        after = self.result.get("after") or {}
        return after.get("retrieval", after)

    @property
    def recall_at_1(self) -> float:
        """Recall@1 on the held-out classes; NaN without any."""
        shares = self._after().get("recall_at_k", {})
        return float(shares.get(1, shares.get("1", float("nan"))))

    @property
    def map_at_r(self) -> float:
        """MAP@R on the held-out classes; NaN without any."""
        return float(self._after().get("map_at_r", float("nan")))

    def load(self) -> Model:
        """The trained model."""
        return Model.load(self.model)


def train(
    source: str | os.PathLike[str] | None = None,
    *,
    run: str | os.PathLike[str] | None = None,
    resume: str | os.PathLike[str] | None = None,
    progress: Callable[[dict[str, Any]], object] | None = None,
    **settings: Any,
) -> Trained:
    """Trains an encoder, and evaluates it on classes that it has not seen.

    The keyword arguments are the flags of `tercet train` with underscores: `steps=600`,
    `batch="16x4"` or `batch=(16, 4)`, `objective="batch-hard"`, `margin=0.2` or `margin="soft"`,
    `encoder="resnet18"`, `out="model.safetensors"`, `seed=1`… See `tercet train --help`.

    Ctrl-C, or an exception from `progress`, stops the run at the next step, after a checkpoint.

    Args:
        source: `kind:PATH`, or a path whose kind is recognised, such as a folder with one folder for
            each class. Default: the embedded glyphs.
        run: folder of the run; default: the first free of runs/SOURCE-1, runs/SOURCE-2…
        resume: folder of a run that continues from its newest checkpoint; only `steps` and `out` may
            be given beside it.
        progress: called with a dictionary for each event; `kind` says which: "preparing", "baseline",
            "started", "step", "judged", "checkpoint", "warning"… Lines of metrics have `logged`.

    Raises:
        ValueError: unknown settings, values out of range, a source that cannot be used.
        FileExistsError: a run folder that is in use.
        KeyboardInterrupt: Ctrl-C; the message says how to resume.
    """
    if resume is not None and (source is not None or run is not None):
        raise TypeError("resume continues a run with its own source and folder: expected neither")
    given: dict[str, Any] = {} if source is None else {"source": os.fspath(source)}
    for name, value in settings.items():
        if value is None:
            continue
        if name in ("batch", "pool") and isinstance(value, tuple):
            value = "x".join(map(str, value))
        given[name.replace("_", "-")] = os.fspath(value) if isinstance(value, os.PathLike) else value
    result = _train(given, run=run, resume=resume, progress=progress)
    return Trained(Path(result["model"]), Path(result["run"]), result)
