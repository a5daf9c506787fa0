import copy
import pickle

import numpy as np
import pytest
import tercet
import tercet.torch
import torch
from torch.nn import functional


def batch(rows=48, classes=8, dimensions=12, seed=0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(rows, dimensions, generator=generator).to(dtype)
    return x.requires_grad_(), torch.arange(rows) % classes


def all_triplets_in_pytorch(x, labels, margin):
    """Batch-all by enumeration: the formula, evaluated by PyTorch alone."""
    distances = (x.unsqueeze(1) - x.unsqueeze(0)).square().sum(2)
    distances = torch.where(distances > 0, torch.where(distances > 0, distances, 1).sqrt(), 0)
    same = labels.unsqueeze(0) == labels.unsqueeze(1)
    positive = same & ~torch.eye(len(x), dtype=torch.bool)
    valid = positive.unsqueeze(2) & ~same.unsqueeze(1)
    return (distances.unsqueeze(2) - distances.unsqueeze(1) + margin)[valid].clamp(min=0).mean()


def test_value_and_gradient_are_those_of_the_enumerated_triplets():
    x, labels = batch()
    value = tercet.torch.TripletLoss("batch-all", margin=0.3)(x, labels)
    expected = all_triplets_in_pytorch(x, labels, 0.3)
    torch.testing.assert_close(value, expected)
    (gradient,) = torch.autograd.grad(3 * value, x)
    (expected,) = torch.autograd.grad(3 * expected, x)
    torch.testing.assert_close(gradient, expected, rtol=1e-5, atol=1e-7)


def test_reference_embeddings_receive_their_gradient():
    x, labels = batch()
    reference, reference_labels = batch(30, 8, seed=1)
    value = tercet.torch.TripletLoss("batch-hard")(x, labels, reference=(reference, reference_labels))
    gradients = torch.autograd.grad(value, [x, reference])
    distances = torch.cdist(x, reference, compute_mode="donot_use_mm_for_euclid_dist")
    same = labels.unsqueeze(1) == reference_labels.unsqueeze(0)
    farthest = torch.where(same, distances, -torch.inf).max(1).values
    nearest = torch.where(same, torch.inf, distances).min(1).values
    expected = functional.softplus(farthest - nearest).mean()
    torch.testing.assert_close(value, expected)
    for gradient, of_pytorch in zip(gradients, torch.autograd.grad(expected, [x, reference])):
        assert gradient.abs().sum() > 0
        torch.testing.assert_close(gradient, of_pytorch, rtol=1e-4, atol=1e-7)


def test_frozen_vectors_receive_none():
    x, labels = batch()
    frozen, frozen_labels = batch(seed=1)
    value = tercet.torch.TripletLoss("batch-hard")(x, labels, frozen=(frozen, frozen_labels))
    value.backward()
    assert frozen.grad is None and x.grad.abs().sum() > 0
    alone = tercet.torch.TripletLoss("batch-hard")(x, labels)
    assert value > alone


@pytest.mark.parametrize("dtype, tolerance", [(torch.float16, 2e-3), (torch.bfloat16, 2e-2), (torch.float64, 1e-6)])
def test_other_types_are_evaluated_in_float32(dtype, tolerance):
    x, labels = batch(dtype=dtype)
    value = tercet.torch.TripletLoss("batch-all")(x, labels)
    assert value.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    value.backward()
    assert x.grad.dtype == dtype
    wide = x.detach().float().requires_grad_()
    expected = tercet.torch.TripletLoss("batch-all")(wide, labels)
    torch.testing.assert_close(value.float(), expected)
    expected.backward()
    torch.testing.assert_close(x.grad.float(), wide.grad, rtol=tolerance, atol=tolerance * wide.grad.abs().max().item())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("path", ["host", "device"])
def test_mixed_precision_training_step(dtype, path):
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(12, 32), torch.nn.ReLU(), torch.nn.Linear(32, 8))
    loss = tercet.torch.TripletLoss("batch-all", path=path)
    x, labels = batch()
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**16)
    gradients = []
    for enabled in (True, False):
        model.zero_grad()
        with torch.autocast("cpu", dtype, enabled=enabled):
            embeddings = model(x)
            assert embeddings.dtype == (dtype if enabled else torch.float32)
            value = loss(embeddings, labels)
        assert value.dtype == torch.float32
        (scaler.scale(value) if enabled else value).backward()
        gradients.append(model[0].weight.grad / (2.0**16 if enabled else 1))
    assert torch.isfinite(gradients[0]).all()
    assert (gradients[0] - gradients[1]).norm() < 0.05 * gradients[1].norm()


@pytest.mark.parametrize("preset", ["batch-all", "batch-hard"])
def test_compiled_without_a_graph_break(preset):
    loss = tercet.torch.TripletLoss(preset)
    x, labels = batch()
    step = torch.compile(lambda x, labels: 2 * loss(torch.tanh(x), labels), fullgraph=True, backend="aot_eager")
    value = step(x, labels)
    value.backward()
    expected = torch.autograd.grad(2 * loss(torch.tanh(x), labels), x)[0]
    torch.testing.assert_close(x.grad, expected)
    assert loss.census.triplets == 48 * 5 * 42
    other, other_labels = batch(30, 5, seed=3)
    torch.testing.assert_close(step(other, other_labels), 2 * loss(torch.tanh(other), other_labels))


def test_compiled_with_reference_and_with_strings():
    loss = tercet.torch.TripletLoss("batch-hard")
    x, labels = batch()
    reference, reference_labels = batch(30, 8, seed=1)
    step = torch.compile(lambda *a: loss(a[0] * 1.5, a[1], reference=(a[2], a[3])), fullgraph=True, backend="aot_eager")
    gradients = torch.autograd.grad(step(x, labels, reference, reference_labels), [x, reference])
    expected = torch.autograd.grad(loss(x * 1.5, labels, reference=(reference, reference_labels)), [x, reference])
    for gradient, other in zip(gradients, expected):
        torch.testing.assert_close(gradient, other)
    names = [f"class {label}" for label in labels.tolist()]
    by_name = torch.compile(lambda x: loss(x * 1.5, names), backend="aot_eager")
    torch.testing.assert_close(by_name(x), loss(x * 1.5, labels))


def test_the_operation_is_registered_correctly():
    loss = tercet.torch.TripletLoss("batch-all")
    x, labels = batch(12, 3, 4)
    arguments = (x, labels, None, None, "frozen", loss._number)
    torch.library.opcheck(torch.ops.tercet.evaluate, arguments, test_utils=("test_schema", "test_faketensor"))
    frozen = x.detach().clone()
    arguments = (x, labels, frozen, labels, "reference", loss._number)
    torch.library.opcheck(torch.ops.tercet.evaluate, arguments, test_utils=("test_schema", "test_faketensor"))


def test_second_derivatives_are_refused_clearly():
    x, labels = batch()
    value = tercet.torch.TripletLoss("batch-all")(x, labels)
    (gradient,) = torch.autograd.grad(value, x, create_graph=True)
    with pytest.raises(RuntimeError, match="cannot be differentiated again"):
        gradient.square().sum().backward()


def test_losses_per_triplet():
    x, labels = batch()
    loss = tercet.torch.TripletLoss("batch-hard", margin=0.5)
    losses, triplets = loss.per_triplet(x, labels)
    assert losses.shape == (48,) and (labels[triplets.anchors] == labels[triplets.positives]).all()
    assert (labels[triplets.anchors] != labels[triplets.negatives]).all()
    torch.testing.assert_close(losses.mean(), loss(x, labels))
    weights = torch.linspace(0, 1, 48)
    assert torch.autograd.grad((losses * weights).sum(), x)[0].abs().sum() > 0
    np.testing.assert_allclose(losses.detach(), loss.objective.per_triplet(x.detach().numpy(), labels.numpy()), rtol=1e-5)


@pytest.mark.parametrize("path", ["host", "device"])
def test_no_valid_triplet(path):
    x = torch.randn(4, 3, requires_grad=True)
    for labels in ([0, 0, 0, 0], [0, 1, 2, 3]):
        value = tercet.torch.TripletLoss("batch-hard", path=path)(x, torch.tensor(labels))
        (gradient,) = torch.autograd.grad(value, x)
        assert value == 0 and (gradient == 0).all()
        strict = tercet.torch.TripletLoss("batch-hard", path=path, empty="error")
        with pytest.raises(ValueError, match="batch of 4 has no valid triplet"):
            strict(x, torch.tensor(labels))
    empty = tercet.torch.TripletLoss("batch-all", path=path)(torch.empty(0, 3), torch.empty(0, dtype=torch.long))
    assert empty == 0


def test_without_gradient():
    x, labels = batch()
    loss = tercet.torch.TripletLoss("batch-all")
    assert not loss(x.detach(), labels).requires_grad
    with torch.no_grad():
        assert not loss(x, labels).requires_grad
    assert loss(x, labels).requires_grad


@pytest.mark.parametrize("path", ["host", "device"])
def test_wrong_input_raises_the_usual_exceptions(path):
    loss = tercet.torch.TripletLoss("batch-all", path=path)
    x, labels = batch()
    with pytest.raises(TypeError, match="floating-point tensor"):
        loss(["a", "b"], labels)
    with pytest.raises(TypeError, match="floating-point tensor"):
        loss(x.detach().long(), labels)
    with pytest.raises(ValueError, match="two dimensions"):
        loss(x[0], labels)
    with pytest.raises(ValueError):
        loss(x, labels[:-1])
    with pytest.raises(ValueError):
        loss(x, labels.unsqueeze(1))
    with pytest.raises(TypeError):
        loss(x, labels.float())
    with pytest.raises(ValueError, match="5"):
        loss(torch.where(torch.arange(48).unsqueeze(1) == 5, torch.nan, x), labels)
    with pytest.raises(ValueError, match="meta"):
        loss(torch.empty(4, 3, device="meta"), torch.zeros(4))
    with pytest.raises(ValueError, match="expected one of them"):
        loss(x, labels, reference=(x, labels), frozen=(x, labels))
    with pytest.raises((ValueError, TypeError)):
        loss(x, labels, reference=(x, [str(label) for label in labels]))


def test_strided_tensors_and_lists_of_labels():
    x, labels = batch()
    loss = tercet.torch.TripletLoss("batch-all")
    expected = loss(x, labels)
    strided = torch.stack([x, x], dim=2)[:, :, 0]
    assert not strided.is_contiguous()
    torch.testing.assert_close(loss(strided, labels.tolist()), expected)
    torch.testing.assert_close(loss(x, [f"name {label}" for label in labels]), expected)
    torch.testing.assert_close(tercet.torch.TripletLoss("batch-all", path="device")(x, [f"name {label}" for label in labels]), expected)


def test_drawn_triplets_change_with_each_training_step_and_resume():
    x, labels = batch()
    loss = tercet.torch.TripletLoss("batch-all", selection="random:triplets=2", margin=5, seed=7)
    first, second = loss(x, labels), loss(x, labels)
    assert first != second
    state = loss.state_dict()
    third = loss(x, labels)
    resumed = tercet.torch.TripletLoss("batch-all", selection="random:triplets=2", margin=5, seed=7)
    resumed.load_state_dict(state)
    assert resumed(x, labels) == third
    loss.eval()
    assert loss(x, labels) == loss(x, labels)


def test_copies_and_pickles():
    x, labels = batch()
    loss = tercet.torch.TripletLoss("facenet", margin=0.4)
    for other in (copy.deepcopy(loss), pickle.loads(pickle.dumps(loss))):
        assert other(x, labels) == loss(x, labels) and other._number != loss._number


def test_miner_gives_the_triplets_of_the_selection():
    x, labels = batch()
    triplets = tercet.torch.TripletMiner("semi-hard", margin=1.0)(x, labels)
    distances = torch.cdist(x, x)
    gap = distances[triplets.anchors, triplets.negatives] - distances[triplets.anchors, triplets.positives]
    assert len(gap) > 0 and (gap > 0).all() and (gap < 1).all()
