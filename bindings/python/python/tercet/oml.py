"""Criterion and miner for Open Metric Learning (4.0).

`TripletLossWithMiner` is a drop-in replacement: for ``AllTripletsMiner`` without a limit and for
``HardTripletsMiner`` the engine evaluates the loss without a list of triplets; other miners, reduction
``none`` and ``need_logs`` call ``super()``. The engine's soft margin does not overflow. `calls` counts both
paths, as in :mod:`tercet.pml`.

`SelectionMiner` is a miner of the library that takes any selection of Tercet.
"""

import collections

import torch
from oml.interfaces.miners import ITripletsMinerInBatch, labels2list
from oml.losses import triplet
from oml.miners.inbatch_all_tri import AllTripletsMiner
from oml.miners.inbatch_hard_tri import HardTripletsMiner

from .torch import TripletLoss

__all__ = ["SelectionMiner", "TripletLossWithMiner", "calls"]

#: How often each class took which path: ``calls[class name, "fast"]`` and ``calls[class name, "super"]``.
calls = collections.Counter()


class SelectionMiner(ITripletsMinerInBatch):
    """The triplets that a selection takes; see :class:`tercet.TripletLoss` for the arguments."""

    def __init__(self, selection="semi-hard", *, margin=0.2, distance="euclidean", normalize=False):
        self.engine = TripletLoss("batch-all", selection=selection, margin=margin, distance=distance, normalize=normalize)

    def _sample(self, features, labels):
        return tuple(rows.tolist() for rows in self.engine.triplets(features, torch.as_tensor(labels)))


class TripletLossWithMiner(triplet.TripletLossWithMiner):
    __doc__ = triplet.TripletLossWithMiner.__doc__
    engine = None  # the TripletLoss of the last call on the fast path

    def _selection(self):
        if type(self.miner) is HardTripletsMiner:
            return "hard"
        # No batch has more triplets than this.
        unlimited = type(self.miner) is AllTripletsMiner and self.miner._max_out_triplets >= 1 << 48
        return "all" if unlimited else None

    def forward(self, features, labels):
        selection, margin = self._selection(), self.tri_loss.margin
        known = selection is not None and self.reduction in ("mean", "sum") and not self.need_logs
        if not known or features.dtype not in (torch.float32, torch.float16, torch.bfloat16):
            calls[type(self).__name__, "super"] += 1
            return super().forward(features, labels)
        calls[type(self).__name__, "fast"] += 1
        labels = labels2list(labels)
        self.miner._check_input_labels(labels)
        key = selection, margin, self.reduction
        if self.__dict__.get("_key") != key:
            penalty = {"soft": True} if margin is None else {"margin": float(margin)}
            self.__dict__["_key"] = key
            self.__dict__["engine"] = TripletLoss("batch-all", selection=selection, reduction=self.reduction, **penalty)
        return self.engine(features, torch.as_tensor(labels))
