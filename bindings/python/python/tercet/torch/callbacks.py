"""The census and the collapse monitor inside Lightning, Hugging Face's Trainer and TensorBoard.

The classes are made when they are first asked for, so that none of these libraries is needed otherwise:

- ``LightningCensus(loss, …)``: a `Callback` of Lightning; logs each training batch's figures by `log_dict`
- ``TrainerCensus(loss, …)``: a `TrainerCallback` of transformers (and of sentence-transformers); adds the
  figures to the log entries
- ``TensorBoardCensus(loss, writer, …)``: ``census.step(n)`` after a step writes them with a `SummaryWriter`

`loss` is a :class:`~tercet.torch.TripletLoss`, one of the drop-in losses, or a
:class:`~tercet.torch.GlobalBatch` around either; the options are those of :class:`~tercet.torch.Monitor`.
"""

import importlib

from .monitor import Monitor

PREFIX = "census/"


class TensorBoardCensus:
    """Writes the figures of the last call with a `torch.utils.tensorboard.SummaryWriter`."""

    def __init__(self, loss, writer, every=1, **options):
        self.monitor, self.writer, self.every = Monitor(loss, **options), writer, every

    def step(self, number):
        figures = self.monitor.observe()
        if number % self.every == 0:
            for name, figure in figures.items():
                self.writer.add_scalar(PREFIX + name, figure, number)
        return figures


def _lightning():
    try:
        base = importlib.import_module("lightning.pytorch").Callback
    except ModuleNotFoundError:
        base = importlib.import_module("pytorch_lightning").Callback

    class LightningCensus(base):
        """Logs the figures of each training batch, and watches for a collapse."""

        def __init__(self, loss, **options):
            self.monitor = Monitor(loss, **options)

        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            figures = self.monitor.observe()
            pl_module.log_dict({PREFIX + name: float(figure) for name, figure in figures.items()})

    return LightningCensus


def _trainer():
    base = importlib.import_module("transformers").TrainerCallback

    class TrainerCensus(base):
        """Adds the figures of the last step to the entries of the log, and watches for a collapse."""

        def __init__(self, loss, **options):
            self.monitor, self.figures = Monitor(loss, **options), {}

        def on_step_end(self, args, state, control, **kwargs):
            self.figures = {PREFIX + name: float(figure) for name, figure in self.monitor.observe().items()}

        def on_log(self, args, state, control, logs=None, **kwargs):
            if logs is not None and "loss" in logs:
                logs.update(self.figures)
                if state.log_history:
                    state.log_history[-1].update(self.figures)

    return TrainerCensus


_MAKERS = {"LightningCensus": _lightning, "TrainerCensus": _trainer}


def __getattr__(name):
    if name not in _MAKERS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = _MAKERS[name]()
    return globals()[name]
