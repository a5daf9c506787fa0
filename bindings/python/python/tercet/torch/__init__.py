"""Tercet's objectives as modules of PyTorch; needs PyTorch 2.4 or newer.

- :class:`TripletLoss`: exact value and gradient, on the CPU by the compiled engine, on other devices in
  PyTorch operations
- :class:`TripletMiner`: the triplets that a selection takes
- :class:`GlobalBatch`: one batch over all processes of ``torch.distributed``
- :class:`GradientCache`: batches beyond memory with the exact gradient
- :class:`Monitor` and :mod:`tercet.torch.callbacks`: figures for a log, detection of collapse
"""

from .distributed import GlobalBatch
from .gradient_cache import GradientCache
from .loss import DeviceCensus, TripletLoss, TripletLosses, Triplets
from .miner import TripletMiner
from .monitor import Collapsed, CollapseWarning, Monitor

__all__ = [
    "CollapseWarning",
    "Collapsed",
    "DeviceCensus",
    "GlobalBatch",
    "GradientCache",
    "Monitor",
    "TripletLoss",
    "TripletLosses",
    "TripletMiner",
    "Triplets",
]
