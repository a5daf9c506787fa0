import warnings

import pytest
import tercet.torch
import torch
from tercet.torch import callbacks, monitor


def steps(loss, watch, scale, count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    figures = {}
    for step in range(count):
        x = scale(step) * torch.randn(32, 8, generator=generator)
        loss(x, torch.arange(32) % 4)
        figures = watch.observe()
    return figures


def test_a_collapse_is_reported_once():
    loss = tercet.torch.TripletLoss("batch-hard")
    watch = tercet.torch.Monitor(loss, patience=60)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        figures = steps(loss, watch, lambda step: 0.9**step, 260)
    assert [warning.category for warning in caught] == [tercet.torch.CollapseWarning]
    assert "collapsed" in str(caught[0].message) and figures["collapsed"] == 1


def test_vanishing_distances_are_a_collapse_whatever_the_loss():
    loss = tercet.torch.TripletLoss("batch-all", reduction="sum", margin=0.1)
    with pytest.raises(tercet.torch.Collapsed):
        steps(loss, tercet.torch.Monitor(loss, on_collapse="error"), lambda step: 1.0 if step < 60 else 1e-6, 140)


def test_a_loss_at_its_collapse_value_is_healthy_while_classes_separate():
    loss = tercet.torch.TripletLoss("batch-hard")
    watch = tercet.torch.Monitor(loss, patience=60, on_collapse="error")
    generator = torch.Generator().manual_seed(0)
    centres = torch.randn(4, 8, generator=generator)
    for step in range(400):
        x = 0.01 * (torch.randn(32, 8, generator=generator) + step / 100 * centres[torch.arange(32) % 4])
        value = loss(x, torch.arange(32) % 4)
        watch.observe()
    assert abs(value - 0.693) < 0.05 and not watch.collapsed


@pytest.mark.parametrize("keywords", [dict(margin=0.3), dict(soft=True), dict(penalty="squared-hinge", margin=0.5),
                                      dict(margin=0.3, reduction="sum"), dict(margin=0.3, reduction="mean-anchors")])
def test_the_collapse_value_is_the_loss_of_equal_embeddings(keywords):
    loss = tercet.torch.TripletLoss("batch-all", **keywords)
    value = loss(torch.zeros(12, 3), torch.arange(12) % 3)
    assert monitor.collapse_value(loss.objective, loss.census) == pytest.approx(value.item(), rel=1e-5)


def test_tensorboard_writes_the_figures():
    loss = tercet.torch.TripletLoss("batch-all")
    written = {}

    class Writer:
        def add_scalar(self, name, figure, step):
            written[name] = figure

    census = callbacks.TensorBoardCensus(tercet.torch.GlobalBatch(loss), Writer())
    loss(torch.randn(12, 3), torch.arange(12) % 3)
    census.step(1)
    assert written["census/triplets"] == 12 * 3 * 8 and 0 < written["census/active_share"] <= 1


def test_a_loss_without_counts_is_refused():
    with pytest.raises(TypeError, match="counts nothing"):
        tercet.torch.Monitor(torch.nn.MSELoss())


def test_lightning_logs_the_census():
    lightning = pytest.importorskip("pytorch_lightning")
    loss = tercet.torch.TripletLoss("batch-all")

    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(8, 4)

        def training_step(self, batch, index):
            return loss(self.layer(batch[0]), batch[1])

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), 0.1)

    data = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.randn(24, 8), torch.arange(24) % 3), batch_size=12)
    trainer = lightning.Trainer(max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False,
                                enable_progress_bar=False, enable_model_summary=False,
                                callbacks=[callbacks.LightningCensus(loss)])
    trainer.fit(Module(), data)
    assert trainer.logged_metrics["census/triplets"] == 12 * 3 * 8
