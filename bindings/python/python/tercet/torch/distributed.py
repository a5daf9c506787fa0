"""One global batch over the processes of `torch.distributed`."""

import torch
import torch.distributed as dist

from .value import attach

INTEGERS, STRINGS, INVALID = 0, 1, 2
TYPES = (torch.float32, torch.float16, torch.bfloat16, torch.float64)


class GlobalBatch(torch.nn.Module):
    """Evaluates a loss once on the batches of all processes, and gives each the gradient of its rows.

    A triplet loss of each process's own batch compares B/N items instead of B, and its average over N
    processes has another gradient than the loss of the whole batch. This module gathers embeddings and
    labels (B×D numbers, not the activations), evaluates the loss on all of them in each process, and
    keeps the rows of its own: N processes give the gradient of one, up to rounding.

    Parameters
    ----------
    loss : callable
        ``loss(embeddings, labels)``, such as :class:`tercet.torch.TripletLoss`. It must not hold
        parameters that learn.
    group : ProcessGroup, optional
        The default group if it is not given. Without one, in a single process, the loss is called as it
        is.
    averaged : bool
        Whether gradients are averaged over the processes afterwards, as DistributedDataParallel, FSDP and
        everything that is built on them do: the gradient of the rows is multiplied by the number of
        processes, so that the average is their sum. The value is the global one in each process.

    The processes may hold different numbers of rows, also none. All must call the loss equally often.

    Raises
    ------
    ValueError, TypeError
        In every process, if dimensions or types of embeddings or labels differ between them, or one
        process has an invalid batch.
    RuntimeError
        If a process has stopped, or does not call the loss within the timeout of the process group.
    """

    def __init__(self, loss, group=None, averaged=True):
        super().__init__()
        parameters = loss.parameters() if isinstance(loss, torch.nn.Module) else ()
        if any(parameter.requires_grad for parameter in parameters):
            raise ValueError("the loss has parameters that learn: expected a loss without, since each process would keep its own")
        self.loss, self.group, self.averaged = loss, group, averaged

    @torch.compiler.disable
    def forward(self, embeddings, labels):
        if not dist.is_available() or not dist.is_initialized():
            return self.loss(embeddings, labels)
        rank, world = dist.get_rank(self.group), dist.get_world_size(self.group)
        try:
            rows, classes, start = self._gather(embeddings, labels, rank, world)
        except RuntimeError as error:
            raise RuntimeError(
                f"process {rank} could not gather the batch of {world} processes: one of them has stopped, or did "
                f"not call the loss within the timeout of the process group ({error})"
            ) from error
        learns = torch.is_grad_enabled() and embeddings.requires_grad
        with torch.set_grad_enabled(learns):
            value = self.loss(rows.requires_grad_(learns), classes)
        if not learns:
            return value
        gradient = torch.autograd.grad(value, rows)[0][start : start + len(embeddings)]
        return attach(value.detach(), (embeddings, gradient * world if self.averaged else gradient))

    def _gather(self, embeddings, labels, rank, world):
        """All rows (float32 or float64), all labels, and where the rows of this process begin."""
        kind, labels, problem = read(embeddings, labels)
        device = embeddings.device
        header = torch.tensor([kind, 0, 0, 0], device=device)
        if kind != INVALID:
            header = torch.tensor([kind, *embeddings.shape, TYPES.index(embeddings.dtype)], device=device)
        headers = [torch.empty_like(header) for _ in range(world)]
        dist.all_gather(headers, header, group=self.group)
        headers = [header.tolist() for header in headers]
        compare(headers, rank, problem)
        counts = [header[1] for header in headers]
        # A process without rows takes part in what the others exchange.
        kind = next((header[0] for header in headers if header[1]), INTEGERS)
        wide = torch.float64 if embeddings.dtype == torch.float64 else torch.float32
        rows = self._gather_rows(embeddings.detach().to(wide), counts)
        if kind == INTEGERS:
            labels = torch.empty(0, dtype=torch.int64) if len(labels) == 0 else labels
            classes = self._gather_rows(labels.to(device), counts)
        else:
            lists = [None] * world
            dist.all_gather_object(lists, list(labels), group=self.group)
            classes = [label for part in lists for label in part]
        return rows, classes, sum(counts[:rank])

    def _gather_rows(self, tensor, counts):
        """The rows of all processes, padded to equal numbers on the way."""
        most = max(counts)
        padded = tensor.new_zeros((most, *tensor.shape[1:]))
        padded[: len(tensor)] = tensor
        parts = [torch.empty_like(padded) for _ in counts]
        dist.all_gather(parts, padded, group=self.group)
        return torch.cat([part[:count] for part, count in zip(parts, counts)])


def read(embeddings, labels):
    """The kind of the labels, the labels as a tensor or a list, and what is wrong with the batch."""
    if embeddings.ndim != 2 or embeddings.dtype not in TYPES:
        return INVALID, None, f"embeddings of the shape {tuple(embeddings.shape)} and type {embeddings.dtype}"
    if not isinstance(labels, torch.Tensor):
        labels = list(labels)
        if labels and all(isinstance(label, str) for label in labels):
            kind = STRINGS
        elif all(hasattr(label, "__index__") for label in labels):
            kind, labels = INTEGERS, torch.tensor([int(label) for label in labels], dtype=torch.int64)
        else:
            return INVALID, None, "labels that are neither all integers nor all strings"
    elif labels.is_floating_point() or labels.ndim != 1:
        return INVALID, None, f"labels of the shape {tuple(labels.shape)} and type {labels.dtype}"
    else:
        kind, labels = INTEGERS, labels.detach().to(torch.int64)
    if len(labels) != len(embeddings):
        return INVALID, None, f"{len(embeddings)} rows and {len(labels)} labels"
    return kind, labels, None


def compare(headers, rank, problem):
    """Raises the same kind of error in every process, so that none waits for the others."""
    invalid = [place for place, header in enumerate(headers) if header[0] == INVALID]
    if problem is not None:
        raise ValueError(f"process {rank} has {problem}")
    if invalid:
        raise ValueError(f"process {rank} has a valid batch, but process {invalid[0]} has not: see its error")
    words = {INTEGERS: "integers", STRINGS: "strings"}
    checks = [
        (TypeError, "labels", [words[header[0]] if header[1] else None for header in headers]),
        (ValueError, "dimensions", [header[2] for header in headers]),
        (TypeError, "types of embeddings", [str(TYPES[header[3]]) for header in headers]),
    ]
    for error, what, values in checks:
        present = [place for place, value in enumerate(values) if value is not None]
        other = next((place for place in present if values[place] != values[present[0]]), None)
        if other is not None:
            first = present[0]
            raise error(f"{what} differ between processes: {values[first]} in process {first}, {values[other]} in process {other}")
