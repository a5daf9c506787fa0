"""`tercet.torch.TripletLoss`: the objectives as a module with gradients."""

import itertools
import typing
import weakref

import numpy
import torch

import tercet

from . import ondevice
from .value import attach

#: Selections that draw: each call has a seed of its own.
DRAWING = ("violating-random", "distance-weighted", "random")

_modules = weakref.WeakValueDictionary()
_numbers = itertools.count()


class Triplets(typing.NamedTuple):
    """Rows of anchors, positives and negatives: int64 tensors of one length."""

    anchors: torch.Tensor
    positives: torch.Tensor
    negatives: torch.Tensor


class TripletLosses(typing.NamedTuple):
    """The penalty of each triplet (differentiable), and the triplets."""

    losses: torch.Tensor
    triplets: Triplets


class TripletLoss(torch.nn.Module):
    """The exact triplet loss of a batch, with gradients to embeddings and reference embeddings.

    Parameters
    ----------
    preset, margin, soft, distance, normalize, selection, penalty, reduction
        As for :class:`tercet.TripletLoss`.
    path : {"auto", "host", "device"}
        Where the objective is evaluated. ``"auto"``: CPU tensors by the compiled engine; tensors of
        another device where they are, if the selection and penalty are implemented in PyTorch operations
        (see :mod:`tercet.torch.ondevice`), otherwise by the engine, through the host's memory.
    empty : {"zero", "error"}
        What a batch without a valid triplet gives: the value 0 with the gradient 0, as everywhere in
        Tercet, or a ValueError.
    seed : int
        Of a selection that draws; every call in training mode draws anew, and the number of such calls is
        part of ``state_dict()``.

    Embeddings in float16 and bfloat16 are evaluated in float32; the value is float32, and the gradient
    arrives in the type of the embeddings, scaled before it is rounded. float64 is evaluated in float32 as
    well, and the value is float64. The loss is differentiable once.

    Examples
    --------
    >>> loss = tercet.torch.TripletLoss("batch-all", margin=0.2)
    >>> value = loss(model(images), labels)
    >>> value.backward()
    >>> loss.census.active_share
    """

    def __init__(self, preset=None, *, margin=None, soft=None, distance=None, normalize=None, selection=None,
                 penalty=None, reduction=None, path="auto", empty="zero", seed=0):
        super().__init__()
        self.objective = tercet.TripletLoss(preset, margin=margin, soft=soft, distance=distance, normalize=normalize,
                                            selection=selection, penalty=penalty, reduction=reduction)
        if path not in ("auto", "host", "device"):
            raise ValueError(f"path is `{path}`: expected auto, host or device")
        if path == "device" and not ondevice.supports(self.objective):
            raise ValueError(f"path is `device`: expected an objective that is implemented in PyTorch operations, got {self.objective}")
        if empty not in ("zero", "error"):
            raise ValueError(f"empty is `{empty}`: expected zero or error")
        self.path, self.empty, self.seed, self.draws = path, empty, seed, 0
        self.is_drawing = self.objective.selection.split(":")[0] in DRAWING
        self._counts = self.value = None
        self._register()

    def _register(self):
        self._number = next(_numbers)
        _modules[self._number] = self

    def __setstate__(self, state):
        super().__setstate__(state)
        self._register()

    @property
    def census(self):
        """What the last call counted, or None before the first: :class:`tercet.Census` or a mapping of the
        same names. Reading it waits for the device."""
        if isinstance(self._counts, dict):
            return DeviceCensus(**{name: count.item() for name, count in self._counts.items()})
        return self._counts

    def get_extra_state(self):
        return {"draws": self.draws}

    def set_extra_state(self, state):
        self.draws = state["draws"]

    def extra_repr(self):
        return repr(self.objective).removeprefix("TripletLoss(").removesuffix(")")

    def forward(self, embeddings, labels, *, reference=None, frozen=None, frozen_anchors=False):
        """The loss of a batch, a tensor without dimensions.

        Parameters
        ----------
        embeddings : floating-point tensor (B, D)
        labels : integer tensor (B,), or a sequence of integers or strings; on any device
        reference : (tensor (R, D), labels), optional
            Positives and negatives come from these vectors only. They receive a gradient.
        frozen : (tensor (F, D), labels), optional
            Further positives and negatives, which receive no gradient.
        frozen_anchors : bool
            Makes the frozen vectors anchors too.

        Raises
        ------
        TypeError
            Embeddings that are no floating-point tensor; labels that are neither integers nor strings.
        ValueError
            Shapes that do not fit together; NaN or infinity; no valid triplet, with ``empty="error"``.
        """
        if reference is not None and frozen is not None:
            raise ValueError("reference and frozen vectors are given: expected one of them")
        others, other_labels = reference if reference is not None else frozen if frozen is not None else (None, None)
        mode = "reference" if reference is not None else "frozen-anchors" if frozen_anchors else "frozen"
        if torch.compiler.is_compiling():
            return self._forward_compiled(embeddings, labels, others, other_labels, mode)
        check(embeddings, "embeddings")
        if others is not None:
            check(others, mode.removesuffix("-anchors"))
        elif frozen_anchors:
            raise ValueError("frozen_anchors is True: expected frozen vectors, which become the anchors")
        value, gradient, others_gradient = self._evaluate(embeddings.detach(), labels, others, other_labels, mode)
        return attach(value, (embeddings, gradient), (others, others_gradient) if mode == "reference" else None)

    def _forward_compiled(self, embeddings, labels, others, other_labels, mode):
        tensors = isinstance(labels, torch.Tensor) and (others is None or isinstance(other_labels, torch.Tensor))
        if self.is_drawing or not tensors:
            return _uncompiled(self, embeddings, labels, others, other_labels, mode)
        return _evaluate_op(embeddings, labels, others, other_labels, mode, self._number)[0]

    def _evaluate(self, embeddings, labels, others, other_labels, mode):
        """Value, gradient and reference gradient (or None) as tensors on the device of the embeddings."""
        on_device = self.path == "device" or self.path == "auto" and embeddings.device.type != "cpu"
        if on_device and ondevice.supports(self.objective):
            value, gradient, others_gradient = self._on_device(embeddings, labels, others, other_labels, mode)
        else:
            value, gradient, others_gradient = self._on_host(embeddings, labels, others, other_labels, mode)
        if self.empty == "error" and self.census.triplets == 0:
            raise ValueError(
                f"the batch of {len(embeddings)} has no valid triplet: expected two items of one class and one of another"
            )
        self.value = value.to(torch.float64 if embeddings.dtype == torch.float64 else torch.float32)
        return self.value.clone(), gradient, others_gradient

    def _on_host(self, embeddings, labels, others, other_labels, mode):
        keywords = {}
        if others is not None:
            keywords["reference" if mode == "reference" else "frozen"] = (host(others), host_labels(other_labels))
            keywords["frozen_anchors"] = mode == "frozen-anchors"
        if self.is_drawing:
            keywords["seed"] = self._next_seed()
        outcome = self.objective(host(embeddings), host_labels(labels), **keywords)
        self._counts = outcome.census
        back = lambda array: torch.from_numpy(array).to(embeddings.device)
        value = torch.tensor(outcome.value, dtype=torch.float64)
        value = value.float().to(embeddings.device) if embeddings.device.type == "mps" else value.to(embeddings.device)
        return value, back(outcome.gradient), None if outcome.reference_gradient is None else back(outcome.reference_gradient)

    def _on_device(self, embeddings, labels, others, other_labels, mode):
        classes, other_classes = device_labels(labels, other_labels, embeddings.device)
        check_count(embeddings, classes, "embeddings")
        if others is None:
            own = torch.arange(len(embeddings), device=embeddings.device)
            evaluated = ondevice.evaluate(self.objective, embeddings, classes, embeddings, classes, own)
            self._counts = evaluated.counts
            return evaluated.value, evaluated.anchor_gradient + evaluated.candidate_gradient, None
        check_count(others, other_classes, mode)
        others = others.detach().to(embeddings.device)
        if mode == "reference":
            evaluated = ondevice.evaluate(self.objective, embeddings, classes, others, other_classes)
            self._counts = evaluated.counts
            return evaluated.value, evaluated.anchor_gradient, evaluated.candidate_gradient
        candidates = torch.cat([embeddings.float(), others.float()])
        candidate_classes = torch.cat([classes, other_classes])
        batch = len(embeddings)
        count = len(candidates) if mode == "frozen-anchors" else batch
        own = torch.arange(count, device=embeddings.device)
        evaluated = ondevice.evaluate(self.objective, candidates[:count], candidate_classes[:count], candidates, candidate_classes, own)
        self._counts = evaluated.counts
        return evaluated.value, evaluated.anchor_gradient[:batch] + evaluated.candidate_gradient[:batch], None

    def _next_seed(self):
        seed = self.seed + self.draws
        if self.training:
            self.draws += 1
        return seed

    def triplets(self, embeddings, labels):
        """The triplets that the selection takes, on the device of the embeddings."""
        check(embeddings, "embeddings")
        keywords = {"seed": self._next_seed()} if self.is_drawing else {}
        rows = self.objective.triplets(host(embeddings), host_labels(labels), **keywords)
        return Triplets(*(torch.from_numpy(row).to(embeddings.device) for row in rows))

    def per_triplet(self, embeddings, labels):
        """The penalty of each selected triplet, as a differentiable tensor, and the triplets.

        Memory is that of the selected triplets: meant for selections of few, or small batches.
        """
        triplets = self.triplets(embeddings, labels)
        distance = lambda others: pair_distance(self.objective, embeddings[triplets.anchors], embeddings[others])
        excess = distance(triplets.positives) - distance(triplets.negatives) + self.objective.margin
        if self.objective.penalty == "soft":
            losses = torch.nn.functional.softplus(excess, threshold=100)
        elif self.objective.penalty == "squared-hinge":
            losses = excess.clamp(min=0).square()
        else:
            losses = excess.clamp(min=0)
        return TripletLosses(losses, triplets)


class DeviceCensus(typing.NamedTuple):
    """The counts of an evaluation on a device, under the names of :class:`tercet.Census`."""

    triplets: int
    selected: int
    active: int
    violated: int
    anchors: int
    anchors_without_positive: int
    anchors_without_negative: int
    mean_positive_distance: float
    mean_negative_distance: float

    @property
    def active_share(self):
        return self.active / self.selected if self.selected else 0.0

    def to_dict(self):
        return self._asdict()


def pair_distance(objective, left, right):
    """Distances between rows, with the gradient 0 at the Euclidean distance 0."""
    left, right = left.float(), right.float()
    if objective.normalize or objective.distance == "cosine":
        left, right = (torch.nn.functional.normalize(rows, dim=1) for rows in (left, right))
    if objective.distance == "cosine":
        return 1 - (left * right).sum(1)
    squared = (left - right).square().sum(1)
    if objective.distance == "squared-euclidean":
        return squared
    apart = squared > 0
    return torch.where(apart, torch.where(apart, squared, 1).sqrt(), 0)


def check(tensor, what):
    if not isinstance(tensor, torch.Tensor) or not tensor.is_floating_point():
        got = f"a tensor of {tensor.dtype}" if isinstance(tensor, torch.Tensor) else f"a {type(tensor).__name__}"
        raise TypeError(f"{what} are {got}: expected a floating-point tensor")
    if tensor.ndim != 2:
        raise ValueError(f"{what} have the shape {tuple(tensor.shape)}: expected two dimensions, a row for each item")
    if tensor.device.type == "meta":
        raise ValueError(f"{what} are on the device `meta`, which holds no values")


def check_count(rows, labels, what):
    if labels.ndim != 1 or len(rows) != len(labels):
        raise ValueError(f"{what}: {len(rows)} rows and labels of the shape {tuple(labels.shape)}: expected a label for each row")


def host(tensor):
    """A float32 array; CPU tensors of that type are not copied."""
    return tensor.detach().to("cpu", torch.float32).numpy()


def host_labels(labels):
    return labels.detach().cpu().numpy() if isinstance(labels, torch.Tensor) else labels


def device_labels(labels, other_labels, device):
    """Classes as integer tensors on the device; equal labels have equal classes in both."""
    given = [part for part in (labels, other_labels) if part is not None]
    if not all(isinstance(part, torch.Tensor) for part in given):
        arrays = [numpy.asarray(host_labels(part)) for part in given]
        if len({array.dtype.kind in "US" for array in arrays}) > 1:
            raise TypeError("one of the label sequences holds strings, another integers: expected the same type")
        _, classes = numpy.unique(numpy.concatenate(arrays), return_inverse=True)
        given = [torch.from_numpy(part) for part in numpy.split(classes, [len(arrays[0])])][: len(given)]
    for part in given:
        if part.is_floating_point() or part.is_complex():
            raise TypeError(f"labels are of type {str(part.dtype).removeprefix('torch.')}: expected integers or strings")
    given = [part.detach().to(device) for part in given]
    return given[0], given[1] if len(given) > 1 else None


@torch.compiler.disable
def _uncompiled(module, embeddings, labels, others, other_labels, mode):
    keywords = {} if others is None else {"reference" if mode == "reference" else "frozen": (others, other_labels)}
    return module.forward(embeddings, labels, frozen_anchors=mode == "frozen-anchors", **keywords)


# Inside `torch.compile` the evaluation is one opaque operation, so that the graph does not break.
@torch.library.custom_op("tercet::evaluate", mutates_args=())
def _evaluate_op(
    embeddings: torch.Tensor,
    labels: torch.Tensor,
    others: typing.Optional[torch.Tensor],
    other_labels: typing.Optional[torch.Tensor],
    mode: str,
    module: int,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    check(embeddings, "embeddings")
    value, gradient, others_gradient = _modules[module]._evaluate(embeddings, labels, others, other_labels, mode)
    return value, gradient, torch.empty(0, device=gradient.device) if others_gradient is None else others_gradient


@_evaluate_op.register_fake
def _(embeddings, labels, others, other_labels, mode, module):
    wide = torch.float64 if embeddings.dtype == torch.float64 else torch.float32
    gradient = torch.empty_like(embeddings, dtype=torch.float32, memory_format=torch.contiguous_format)
    of_reference = mode == "reference" and others is not None
    others_gradient = torch.empty_like(others, dtype=torch.float32, memory_format=torch.contiguous_format) if of_reference else embeddings.new_empty(0, dtype=torch.float32)
    return embeddings.new_empty((), dtype=wide), gradient, others_gradient


def _keep(ctx, inputs, output):
    embeddings, _, others, _, mode, _ = inputs
    ctx.types = embeddings.dtype, others.dtype if others is not None and mode == "reference" else None
    ctx.save_for_backward(output[1], output[2])
    ctx.mark_non_differentiable(output[1], output[2])


def _backward(ctx, by_value, *_):
    gradient, others_gradient = ctx.saved_tensors
    own, other = ctx.types
    return (gradient * by_value).to(own), None, None if other is None else (others_gradient * by_value).to(other), None, None, None


_evaluate_op.register_autograd(_backward, setup_context=_keep)
