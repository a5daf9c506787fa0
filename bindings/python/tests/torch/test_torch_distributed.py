"""GlobalBatch with real processes of the gloo backend: as many as the loss of one process."""

import copy
import os

import numpy as np
import pytest
import tercet.torch
import torch
import torch.distributed as dist
from ranks import run

PRESETS = ["batch-all", "batch-hard", "facenet", "lifted"]


def model():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(10, 16), torch.nn.Tanh(), torch.nn.Linear(16, 6))


def data():
    generator = torch.Generator().manual_seed(1)
    return torch.randn(26, 10, generator=generator), torch.arange(26) % 5


def share(rank, world, uneven):
    """The rows of a process: near-equal parts, or parts of very different sizes, one of them empty."""
    ends = np.linspace(0, 26, world + 1).astype(int) if not uneven else np.array([0, 3, 20, 20, 26] if world == 4 else [0, 3, 26])
    return slice(ends[rank], ends[rank + 1])


def gradients(network):
    return torch.cat([parameter.grad.flatten() for parameter in network.parameters()]).numpy()


def one_process(preset):
    network, (x, labels) = model(), data()
    value = tercet.torch.TripletLoss(preset)(network(x), labels)
    value.backward()
    return value.item(), gradients(network)


def ddp(rank, world, uneven):
    """Under DistributedDataParallel, which averages, and by a sum of one's own."""
    results = {}
    for preset in PRESETS:
        x, labels = data()
        rows = share(rank, world, uneven)
        network = torch.nn.parallel.DistributedDataParallel(model())
        value = tercet.torch.GlobalBatch(tercet.torch.TripletLoss(preset))(network(x[rows]), labels[rows])
        value.backward()
        by_ddp = gradients(network)
        network = model()
        tercet.torch.GlobalBatch(tercet.torch.TripletLoss(preset), averaged=False)(network(x[rows]), labels[rows].tolist()).backward()
        summed = torch.from_numpy(gradients(network))
        dist.all_reduce(summed)
        results[preset] = value.item(), by_ddp, summed.numpy()
    # Strings, evaluation without a gradient, and the gradient cache around it.
    x, labels = data()
    rows = share(rank, world, uneven)
    loss = tercet.torch.GlobalBatch(tercet.torch.TripletLoss("batch-all"))
    with torch.no_grad():
        results["strings"] = loss(model()(x[rows]), [f"class {label}" for label in labels[rows].tolist()]).item()
    if not uneven:
        network = torch.nn.parallel.DistributedDataParallel(model())
        value = tercet.torch.GradientCache(network, loss, chunk_size=2)(x[rows], labels[rows])
        results["cached"] = value.item(), gradients(network)
    return results


@pytest.mark.parametrize("world, uneven", [(2, False), (4, False), (4, True), (2, True)])
def test_as_many_processes_as_one(world, uneven):
    results = run(ddp, world, uneven)
    for rank, (result, error) in results.items():
        assert error is None, error
        for preset in PRESETS:
            value, gradient = one_process(preset)
            got, by_ddp, summed = result[preset]
            assert got == pytest.approx(value, rel=1e-6)
            largest = np.abs(gradient).max()
            assert np.abs(by_ddp - gradient).max() <= 1e-6 * max(1, largest)
            assert np.abs(summed - gradient).max() <= 1e-6 * max(1, largest)
        value, gradient = one_process("batch-all")
        assert result["strings"] == pytest.approx(value, rel=1e-6)
        if not uneven:
            assert result["cached"][0] == pytest.approx(value, rel=1e-6)
            np.testing.assert_allclose(result["cached"][1], gradient, atol=1e-6)


CASES = {
    "label types": ("TypeError", "labels differ between processes: integers in process 0, strings in process 1"),
    "dimensions": ("ValueError", "dimensions differ between processes: 10 in process 0, 9 in process 1"),
    "embedding types": ("TypeError", "torch.float32 in process 0, torch.float16 in process 1"),
    "float labels": ("ValueError", "process 1 has"),
    "missing label": ("ValueError", "process 1 has"),
}


def invalid(rank, world):
    """For each case the error; the group remains usable after each."""
    loss, errors = tercet.torch.GlobalBatch(tercet.torch.TripletLoss()), {}
    for case in CASES:
        x, labels = data()
        if rank == 1:
            x = {"dimensions": x[:, :9], "embedding types": x.half()}.get(case, x)
            strings = [str(label) for label in labels.tolist()]
            labels = {"label types": strings, "float labels": labels.float(), "missing label": labels[:7]}.get(case, labels)
        try:
            loss(x, labels)
        except Exception as error:
            errors[case] = type(error).__name__, str(error)
    errors["valid"] = loss(*data()).item()
    return errors


def test_all_processes_refuse_what_does_not_fit_together():
    for rank, (errors, failure) in run(invalid, 2).items():
        assert failure is None, failure
        for case, (kind, words) in CASES.items():
            assert errors[case][0] == kind, (case, rank, errors[case])
            assert words in errors[case][1] or (rank == 0 and "process 1 has not" in errors[case][1]), (case, rank, errors[case])
        assert errors["valid"] > 0


def killed(rank, world):
    x, labels = data()
    loss = tercet.torch.GlobalBatch(tercet.torch.TripletLoss())
    loss(x, labels)
    if rank == 1:
        os._exit(9)
    return loss(x, labels).item()


def test_a_killed_process_is_an_error_in_the_others():
    (result, error), = run(killed, 2, timeout=20, answers=1).values()
    assert result is None and error[0] == "RuntimeError"
    assert "process 0 could not gather the batch of 2 processes: one of them has stopped" in error[1]


def late(rank, world):
    x, labels = data()
    if rank == 1:
        import time

        time.sleep(8)
        return None
    return tercet.torch.GlobalBatch(tercet.torch.TripletLoss())(x, labels).item()


def test_a_process_that_does_not_call_the_loss_is_an_error_after_the_timeout():
    result, error = run(late, 2, timeout=3)[0]
    assert result is None and "timeout of the process group" in error[1]


def test_a_single_process_needs_no_group():
    x, labels = data()
    x.requires_grad_()
    loss = tercet.torch.TripletLoss("batch-all")
    torch.testing.assert_close(tercet.torch.GlobalBatch(loss)(x, labels), loss(x, labels))


def test_a_loss_that_learns_is_refused():
    with pytest.raises(ValueError, match="parameters that learn"):
        tercet.torch.GlobalBatch(torch.nn.Linear(2, 2))
