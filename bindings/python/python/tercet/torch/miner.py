"""Miners: the triplets of a batch, for a loss of one's own."""

import torch

from .loss import Triplets, TripletLoss


class TripletMiner(torch.nn.Module):
    """Finds the triplets that a selection takes, without evaluating a loss.

    The result is a named tuple of three index tensors, which is also the ``indices_tuple`` of
    pytorch-metric-learning.

    Parameters
    ----------
    selection, margin, distance, normalize
        As for :class:`tercet.TripletLoss`; the margin bounds the semi-hard band.

    Examples
    --------
    >>> anchors, positives, negatives = tercet.torch.TripletMiner("semi-hard", margin=0.2)(x, labels)
    """

    def __init__(self, selection="hard", *, margin=0.2, distance="euclidean", normalize=False, seed=0):
        super().__init__()
        self.loss = TripletLoss("batch-all", selection=selection, margin=margin, distance=distance, normalize=normalize, seed=seed)

    @torch.compiler.disable
    def forward(self, embeddings, labels) -> Triplets:
        return self.loss.triplets(embeddings, labels)
