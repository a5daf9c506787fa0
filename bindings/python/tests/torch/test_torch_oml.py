"""Criterion and miner for Open Metric Learning, against the originals."""

import pytest
import torch

pytest.importorskip("oml.losses.triplet")
import tercet.oml  # noqa: E402
from oml.losses.triplet import TripletLossWithMiner  # noqa: E402
from oml.miners.inbatch_all_tri import AllTripletsMiner  # noqa: E402
from oml.miners.inbatch_hard_tri import HardTripletsMiner  # noqa: E402


def compare(miner, fast=True, **keywords):
    torch.manual_seed(0)
    x, labels = torch.randn(30, 7, requires_grad=True), torch.arange(30) % 5
    original = TripletLossWithMiner(miner=miner, **keywords)(x, labels)
    before = tercet.oml.calls.copy()
    value = tercet.oml.TripletLossWithMiner(miner=miner, **keywords)(x, labels.tolist())
    path = "fast" if fast else "super"
    assert tercet.oml.calls["TripletLossWithMiner", path] == before["TripletLossWithMiner", path] + 1
    torch.testing.assert_close(value, original, rtol=1e-4, atol=1e-5)
    expected, found = (torch.autograd.grad(loss, x)[0] for loss in (original, value))
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("margin", [0.5, None])
@pytest.mark.parametrize("miner", [AllTripletsMiner(), HardTripletsMiner()])
def test_as_the_original(miner, margin, reduction):
    compare(miner, margin=margin, reduction=reduction)


def test_other_arguments_call_the_original():
    compare(HardTripletsMiner(), fast=False, margin=0.5, need_logs=True)


def test_the_soft_margin_does_not_overflow():
    x = torch.tensor([[0.0], [500.0], [1.0], [2.0]], requires_grad=True)
    value = tercet.oml.TripletLossWithMiner(None, HardTripletsMiner())(x, torch.tensor([0, 0, 1, 1]))
    assert value.isfinite() and torch.autograd.grad(value, x)[0].isfinite().all()


def test_selections_as_a_miner_of_the_library():
    x, labels = torch.randn(30, 7), torch.arange(30) % 5
    loss = TripletLossWithMiner(0.5, tercet.oml.SelectionMiner("semi-hard", margin=0.5))
    engine = tercet.torch.TripletLoss("batch-all", selection="semi-hard", margin=0.5)
    torch.testing.assert_close(loss(x, labels), engine(x, labels), rtol=1e-4, atol=1e-5)
    with pytest.raises(AssertionError):
        loss(x, torch.zeros(30))
