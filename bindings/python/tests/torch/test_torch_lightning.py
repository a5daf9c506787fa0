import pytest
import torch

pytest.importorskip("pytorch_lightning")
from tercet.lightning import TripletModule, pl  # noqa: E402
import tercet.torch  # noqa: E402


def test_a_module_learns_and_logs_retrieval():
    torch.manual_seed(0)
    centres = torch.randn(8, 16)
    labels = torch.arange(160) % 8
    x = torch.cat([centres[labels], 3 * torch.randn(160, 16)], dim=1)
    data = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, labels), batch_size=80)
    module = TripletModule(torch.nn.Linear(32, 8), tercet.torch.TripletLoss("batch-all", margin=1.0), learning_rate=0.01)
    trainer = pl.Trainer(max_epochs=15, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
                         enable_model_summary=False, num_sanity_val_steps=0)
    before = trainer.validate(module, data, verbose=False)[0]["val/map_at_r"]
    trainer.fit(module, data, data)
    assert trainer.logged_metrics["val/map_at_r"] > before + 0.1
    assert trainer.logged_metrics["census/triplets"] == 80 * 9 * 70
