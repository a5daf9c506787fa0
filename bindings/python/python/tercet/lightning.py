"""A module for Lightning that trains an encoder with a triplet loss and evaluates retrieval."""

import torch

import tercet

from .torch import GlobalBatch, Monitor, TripletLoss
from .torch.monitor import monitored

try:
    import lightning.pytorch as pl
except ModuleNotFoundError:
    import pytorch_lightning as pl

__all__ = ["TripletModule"]


class TripletModule(pl.LightningModule):
    """Trains ``encoder`` on batches of (inputs, labels).

    Over several processes the loss is that of the global batch (:class:`tercet.torch.GlobalBatch`). Each
    step logs ``train/loss`` and the census; each validation epoch logs ``val/recall_at_1``,
    ``val/r_precision`` and ``val/map_at_r`` of leave-one-out retrieval among the validation items. Each
    process evaluates the items that it has seen; the figures are averaged.

    Parameters
    ----------
    encoder : torch.nn.Module
        Maps inputs to embeddings (B, D).
    loss : optional
        :class:`tercet.torch.TripletLoss`, or one of the drop-in losses; batch-hard by default.
    learning_rate : float
        Of Adam; override ``configure_optimizers`` for another.
    monitor : dict, optional
        Arguments of :class:`tercet.torch.Monitor`, such as ``{"on_collapse": "error"}``.
    """

    def __init__(self, encoder, loss=None, learning_rate=1e-3, monitor=None):
        super().__init__()
        self.encoder, self.learning_rate = encoder, learning_rate
        self.loss = TripletLoss() if loss is None else loss
        self.global_batch = GlobalBatch(self.loss)
        self.monitor = Monitor(self.loss, **(monitor or {}))
        self._validation = []

    def forward(self, inputs):
        return self.encoder(inputs)

    def training_step(self, batch, index):
        inputs, labels = batch
        value = self.global_batch(self(inputs), labels)
        self.log("train/loss", value.detach(), prog_bar=True)
        self.log_dict({f"census/{name}": float(figure) for name, figure in self.monitor.observe().items()})
        return value

    def on_validation_epoch_start(self):
        self._validation.clear()

    def validation_step(self, batch, index):
        inputs, labels = batch
        self._validation.append((self(inputs).detach().float().cpu(), torch.as_tensor(labels).cpu()))

    def on_validation_epoch_end(self):
        embeddings, labels = (torch.cat(parts).numpy() for parts in zip(*self._validation))
        engine = monitored(self.loss)
        metric = {} if engine is None else {"distance": engine.objective.distance, "normalize": engine.objective.normalize}
        judged = tercet.Retrieval.leave_one_out(embeddings, labels, ranks=[1], **metric)
        figures = {"recall_at_1": judged.recall_at_1, "r_precision": judged.r_precision, "map_at_r": judged.map_at_r}
        self.log_dict({f"val/{name}": figure for name, figure in figures.items()}, prog_bar=True, sync_dist=True)

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), self.learning_rate)
