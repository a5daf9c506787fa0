"""Drop-in replacements for the batch triplet losses of sentence-transformers: the same constructors and
``forward(sentence_features, labels)``, to be used in its own trainer.

    from tercet.sentence_transformers import BatchAllTripletLoss   # instead of sentence_transformers.losses

Each class is a subclass of its namesake. The engine evaluates Euclidean and cosine distances of float32,
float16 and bfloat16 embeddings; other arguments call ``super()``, and so do batches in which
the original counts anchors that have no triplet:

- ``BatchAllTripletLoss``: always the engine
- ``BatchHardTripletLoss``, ``BatchHardSoftMarginTripletLoss``: if each anchor has a positive and a negative
- ``BatchSemiHardTripletLoss``: if there are two classes

`calls` counts both paths by class, as in :mod:`tercet.pml`. The engine's counts are at ``loss.engine.census``.
"""

import collections

import torch

try:
    from sentence_transformers.sentence_transformer import losses
except ImportError:  # before version 6
    from sentence_transformers import losses

from .torch import TripletLoss

__all__ = [
    "BatchAllTripletLoss",
    "BatchHardSoftMarginTripletLoss",
    "BatchHardTripletLoss",
    "BatchSemiHardTripletLoss",
    "calls",
]

#: How often each class took which path: ``calls[class name, "fast"]`` and ``calls[class name, "super"]``.
calls = collections.Counter()

ENGINE_TYPES = (torch.float32, torch.float16, torch.bfloat16)


def _distance(function):
    functions = losses.BatchHardTripletLossDistanceFunction
    if function is functions.cosine_distance:
        return "cosine"
    # Earlier versions have the other spelling only.
    return "euclidean" if function is functions.eucledian_distance else None


class _EngineLoss:
    engine = None  # the TripletLoss of the last call on the fast path

    def _of_engine(self, labels, embeddings, margin, exact, **keywords):
        """The loss, or None where the original counts otherwise; `exact(census)` tells."""
        distance = _distance(self.distance_metric)
        if distance is not None and margin >= 0 and embeddings.dtype in ENGINE_TYPES and labels.numel() == len(embeddings):
            key = distance, float(margin), *keywords.items()
            if self.__dict__.get("_key") != key:
                self.__dict__["_key"] = key
                self.__dict__["engine"] = TripletLoss("batch-all", distance=distance, margin=float(margin), **keywords)
            value = self.engine(embeddings, labels.view(-1))
            if exact(self.engine.census):
                calls[type(self).__name__, "fast"] += 1
                return value
        calls[type(self).__name__, "super"] += 1
        return None


def _all_anchors(census):
    return census.anchors_without_positive == census.anchors_without_negative == 0


class BatchAllTripletLoss(_EngineLoss, losses.BatchAllTripletLoss):
    __doc__ = losses.BatchAllTripletLoss.__doc__

    def batch_all_triplet_loss(self, labels, embeddings):
        value = self._of_engine(labels, embeddings, self.triplet_margin, lambda census: True, reduction="mean-active")
        return super().batch_all_triplet_loss(labels, embeddings) if value is None else value


class BatchHardTripletLoss(_EngineLoss, losses.BatchHardTripletLoss):
    __doc__ = losses.BatchHardTripletLoss.__doc__

    def batch_hard_triplet_loss(self, labels, embeddings):
        value = self._of_engine(labels, embeddings, self.triplet_margin, _all_anchors, selection="hard")
        return super().batch_hard_triplet_loss(labels, embeddings) if value is None else value


class BatchHardSoftMarginTripletLoss(_EngineLoss, losses.BatchHardSoftMarginTripletLoss):
    __doc__ = losses.BatchHardSoftMarginTripletLoss.__doc__

    def batch_hard_triplet_soft_margin_loss(self, labels, embeddings):
        value = self._of_engine(labels, embeddings, 0.0, _all_anchors, selection="hard", penalty="soft")
        return super().batch_hard_triplet_soft_margin_loss(labels, embeddings) if value is None else value


class BatchSemiHardTripletLoss(_EngineLoss, losses.BatchSemiHardTripletLoss):
    __doc__ = losses.BatchSemiHardTripletLoss.__doc__

    def batch_semi_hard_triplet_loss(self, labels, embeddings):
        two_classes = lambda census: census.anchors_without_negative == 0
        value = self._of_engine(labels, embeddings, self.margin, two_classes, selection="semi-hard-fallback")
        return super().batch_semi_hard_triplet_loss(labels, embeddings) if value is None else value
