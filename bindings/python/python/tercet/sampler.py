"""P×K batches: P classes, K items of each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from . import _tercet

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["PkSampler"]


class PkSampler:
    """Draws P classes and K items of each ("In Defense of the Triplet Loss", section 2).

    Every anchor of a batch has K − 1 positives and (P − 1)·K negatives. Iterating yields the batches of
    one epoch as lists of rows, so that it serves as `batch_sampler` of a PyTorch `DataLoader`; the next
    iteration is the next epoch. A batch is a function of seed and step alone.

    Each epoch visits the classes in a fresh order; fewer than P classes that remain are left out of
    it. Classes with a single item take no part; classes with fewer than K repeat items.

    Args:
        labels: the class of each item of the data set, shape (N,).
        p: classes of a batch, over all processes.
        k: items of each class.
        seed: of the draws.
        cameras: of each item; the K items come from as many cameras as possible.
        categories: of each item; the classes of a batch are of one category.
        rank: this process among `world_size`. It receives its P / world_size classes of the batch that
            a single process would draw.
        world_size: number of processes; divides P.

    Raises:
        ValueError: P or K below 2, fewer than P classes with two items, a world size that does not
            divide P.
    """

    def __init__(
        self,
        labels: ArrayLike,
        p: int,
        k: int,
        seed: int = 0,
        *,
        cameras: ArrayLike | None = None,
        categories: ArrayLike | None = None,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        if world_size < 1 or p % world_size != 0:
            raise ValueError(f"world_size is {world_size}: expected a divisor of P = {p}")
        if not 0 <= rank < world_size:
            raise ValueError(f"rank is {rank}: expected one from 0 to {world_size - 1}")
        self._arguments = (labels, p, k, seed, cameras, categories)
        self._batches = _tercet.PkBatches(*self._arguments)
        self.p = p
        self.k = k
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
        #: The step of the next batch, over all epochs.
        self.step = 0

    @property
    def batch_size(self) -> int:
        """Items of this process's share of a batch."""
        return self.p // self.world_size * self.k

    @property
    def left_out(self) -> int:
        """Classes left out because they have one item only."""
        return self._batches.left_out

    @property
    def repeating(self) -> int:
        """Classes with fewer than K items, which repeat items within a batch."""
        return self._batches.repeating

    @property
    def epoch(self) -> int:
        """The epoch of the next batch."""
        return self.step // len(self)

    def batch(self, step: int) -> list[int]:
        """Rows of this process's share of the batch of a step, class by class."""
        rows = self._batches.batch(step)
        start = self.rank * self.batch_size
        return rows[start : start + self.batch_size]

    def __len__(self) -> int:
        """Batches of an epoch."""
        return self._batches.steps_per_epoch

    def __iter__(self) -> Iterator[list[int]]:
        """The batches from `step` to the end of its epoch."""
        end = (self.epoch + 1) * len(self)
        while self.step < end:
            self.step += 1
            yield self.batch(self.step - 1)

    def state_dict(self) -> dict[str, int]:
        """What a checkpoint needs. With a `DataLoader` that prefetches, `step` is ahead of training:
        store the number of trained steps instead."""
        return {"step": self.step, "seed": self.seed, "p": self.p, "k": self.k}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Continues after the step of a checkpoint.

        Raises:
            ValueError: another seed, P or K than those of the checkpoint.
        """
        for name in ("seed", "p", "k"):
            given, own = state.get(name, getattr(self, name)), getattr(self, name)
            if given != own:
                raise ValueError(f"the state has {name} = {given}: expected {own}")
        self.step = int(state["step"])

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_batches"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._batches = _tercet.PkBatches(*self._arguments)

    def __repr__(self) -> str:
        return f"PkSampler(p={self.p}, k={self.k}, seed={self.seed}, rank={self.rank}, world_size={self.world_size})"
