"""The path in PyTorch operations against the compiled engine, on CPU tensors (and on a GPU if there is one)."""

import itertools

import pytest
import tercet.torch
import torch
from tercet.torch import ondevice

DEVICES = ["cpu"] + [kind for kind, found in (("cuda", torch.cuda.is_available()), ("mps", torch.backends.mps.is_available()),
                                              ("xpu", torch.xpu.is_available())) if found]
PAIRS = [("all", "hinge"), *itertools.product(ondevice.ONE_PER_ANCHOR + ondevice.ONE_PER_PAIR, ["hinge", "soft", "squared-hinge"])]
METRICS = [("euclidean", False), ("euclidean", True), ("squared-euclidean", False), ("cosine", False)]


def uneven_batch(rows=70, dimensions=9, seed=0):
    """Classes of very different sizes, one of a single item, and a pair that is almost equal."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(rows, dimensions, generator=generator)
    labels = torch.randint(0, 6, (rows,), generator=generator)
    labels[labels == 5] = 0
    labels[3] = 77
    x[21], labels[21] = x[30] + 1e-4, labels[30]
    return x, labels


def compare(keywords, others=None, device="cpu", seed=0):
    x, labels = uneven_batch(seed=seed)
    if keywords.get("distance") == "cosine":
        x[40] = 0  # Its distance to all others is 1.
    results = []
    for path in ("host", "device"):
        loss = tercet.torch.TripletLoss("batch-all", path=path, **keywords)
        place = "cpu" if path == "host" else device
        rows = x.to(place).requires_grad_()
        inputs, extra = [rows], {}
        if others is not None:
            vectors, classes = uneven_batch(50, seed=seed + 1)
            vectors = vectors.to(place).requires_grad_(others == "reference")
            extra = {others.removesuffix("-anchors"): (vectors, classes.to(place)), "frozen_anchors": others == "frozen-anchors"}
            inputs += [vectors] if others == "reference" else []
        value = loss(rows, labels.to(place), **extra)
        results.append((value, torch.autograd.grad(value, inputs), loss.census.to_dict()))
    (expected, gradients, counts), (value, other_gradients, other_counts) = results
    # Rounding can move a triplet over the hinge or change the nearest of two: the value hardly, a gradient by one term.
    torch.testing.assert_close(value.cpu(), expected, rtol=2e-5, atol=1e-6)
    for gradient, other in zip(gradients, other_gradients):
        assert gradient.abs().sum() > 0
        torch.testing.assert_close(other.cpu(), gradient, rtol=1e-3, atol=1e-4 * gradient.abs().max().item() + 1e-7)
    for name, count in counts.items():
        assert other_counts[name] == pytest.approx(count, rel=1e-4), name


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("distance, normalize", METRICS)
@pytest.mark.parametrize("selection, penalty", PAIRS)
def test_equals_the_engine(selection, penalty, distance, normalize, device):
    margin = 0.3 if distance == "cosine" or normalize else 1.0
    compare(dict(selection=selection, penalty=penalty, margin=margin, distance=distance, normalize=normalize), device=device)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("reduction", ["mean", "mean-active", "mean-anchors", "sum"])
@pytest.mark.parametrize("selection", ["all", "hard", "semi-hard"])
def test_equals_the_engine_in_every_reduction(selection, reduction, device):
    compare(dict(selection=selection, penalty="hinge", margin=0.7, reduction=reduction), device=device)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("others", ["reference", "frozen", "frozen-anchors"])
@pytest.mark.parametrize("selection", ["all", "hard", "semi-hard-fallback"])
def test_equals_the_engine_with_other_vectors(selection, others, device):
    compare(dict(selection=selection, penalty="hinge", margin=0.7), others, device)
    compare(dict(selection=selection, penalty="hinge", margin=0.2, distance="cosine"), others, device)


@pytest.mark.parametrize("selection", ["all", "hard", "semi-hard"])
def test_tiles_change_nothing(selection, monkeypatch):
    monkeypatch.setattr(ondevice, "TILE", 70 * 8)
    compare(dict(selection=selection, penalty="hinge", margin=0.7))


def test_equal_items_have_the_gradient_zero_between_them():
    """Ties decide which triplet a selection takes, so this compares all triplets."""
    x, labels = uneven_batch()
    x[10], x[12:15] = x[11], x[15]
    gradients = []
    for path in ("host", "device"):
        rows = x.clone().requires_grad_()
        tercet.torch.TripletLoss("batch-all", margin=20, path=path)(rows, labels).backward()
        gradients.append(rows.grad)
    torch.testing.assert_close(gradients[1], gradients[0], rtol=1e-4, atol=1e-7)


def test_near_duplicates_far_from_the_origin_keep_their_distances():
    generator = torch.Generator().manual_seed(0)
    x = 100 + torch.randn(6, 8, generator=generator)
    x = torch.cat([x, x + 0.1 * torch.randn(6, 8, generator=generator)])
    labels = torch.arange(12) % 6
    values = [tercet.torch.TripletLoss("batch-hard", margin=10, path=path)(x, labels) for path in ("host", "device")]
    torch.testing.assert_close(values[1], values[0], rtol=1e-5, atol=0)


def test_what_is_not_supported_goes_through_the_host():
    assert not ondevice.supports(tercet.TripletLoss("batch-all", soft=True))
    assert not ondevice.supports(tercet.TripletLoss("lifted"))
    with pytest.raises(ValueError, match="implemented in PyTorch operations"):
        tercet.torch.TripletLoss("lifted", path="device")


def test_no_list_of_triplets_is_made():
    """600 items in 3 classes have 47.8 million triplets; the path needs a few arrays of 600 × 600."""
    x, labels = torch.randn(600, 8), torch.arange(600) % 3
    largest = 0

    class Watch(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            nonlocal largest
            result = function(*args, **(kwargs or {}))
            for tensor in result if isinstance(result, (tuple, list)) else [result]:
                if isinstance(tensor, torch.Tensor):
                    largest = max(largest, tensor.numel())
            return result

    loss = tercet.torch.TripletLoss("batch-all", path="device")
    with Watch():
        loss(x, labels)
    assert loss.census.triplets == 600 * 199 * 400
    assert largest <= 600 * 601
