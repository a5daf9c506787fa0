"""Batches beyond memory with the exact gradient: gradient caching (Gao et al. 2021, arXiv 2101.06983)."""

import contextlib

import torch

BATCH_NORM = (torch.nn.modules.batchnorm._BatchNorm,)


class GradientCache:
    """Computes the gradient of ``loss(model(inputs), labels)`` with the memory of one chunk.

    The batch is embedded in chunks without a graph, the loss is evaluated on all embeddings, and each
    chunk is embedded again with a graph and back-propagated from its rows of ∂loss/∂embeddings. The
    parameters receive the gradient of the whole batch, up to rounding. The cost is one more forward pass;
    chunks whose rows have no gradient, as with batch-hard or late in training, are not embedded again.

    Dropout and other random operations of the model see the same random numbers in both passes.

    Parameters
    ----------
    model : torch.nn.Module
        Any module that maps a chunk of the inputs to a tensor (rows, D). Batch normalisation in training
        mode makes the rows of a chunk depend on each other and would see each chunk twice, so that the
        gradient is not that of the whole batch: it is refused. In evaluation mode it is accepted.
    loss : callable
        ``loss(embeddings, labels)`` with a gradient to the embeddings, also
        :class:`~tercet.torch.GlobalBatch`.
    chunk_size : int
        Rows of a chunk.

    Examples
    --------
    >>> cache = tercet.torch.GradientCache(model, loss, chunk_size=64)
    >>> optimizer.zero_grad()
    >>> value = cache(images, labels)      # in place of loss(model(images), labels).backward()
    >>> optimizer.step()
    """

    def __init__(self, model, loss, chunk_size):
        if chunk_size < 1:
            raise ValueError(f"chunk_size is {chunk_size}: expected a number above 0")
        self.model, self.loss, self.chunk_size = model, loss, chunk_size

    def __call__(self, inputs, labels, scaler=None):
        """Adds the gradient to the parameters, and returns the value.

        Parameters
        ----------
        inputs : tensor, or tuple, list or dict of tensors, whose first dimension is that of the rows
            A tuple or list becomes the arguments of the model, a dict its keywords.
        labels : what the loss takes
        scaler : torch.amp.GradScaler, optional
            Scales the gradient; unscale and step afterwards, as always.
        """
        normalised = next((name for name, module in self.model.named_modules() if isinstance(module, BATCH_NORM) and module.training), None)
        if normalised is not None:
            raise ValueError(f"`{normalised}` is batch normalisation in training mode: expected a model whose rows do not depend on each other")
        chunks = list(split(inputs, self.chunk_size))
        states, parts = [], []
        with torch.no_grad():
            for chunk in chunks:
                states.append(RandomState(chunk))
                parts.append(call(self.model, chunk))
        embeddings = torch.cat(parts).detach().requires_grad_()
        # Only the sizes are needed from here on.
        ends = torch.tensor([len(part) for part in parts]).cumsum(0).tolist()
        del parts
        with torch.enable_grad():
            value = self.loss(embeddings, labels)
        scaled = value if scaler is None else scaler.scale(value)
        gradient = torch.autograd.grad(scaled, embeddings)[0]
        pieces = [gradient[start:end] for start, end in zip([0, *ends], ends)]
        busy = [place for place, piece in enumerate(pieces) if piece.count_nonzero()]
        if not busy and hasattr(self.model, "no_sync"):
            busy = [len(chunks) - 1]  # The other processes wait for this one's gradients.
        with RandomState.preserved(inputs):
            for place in busy:
                # Distributed models exchange gradients once, after the last chunk.
                is_last = place == busy[-1]
                no_sync = getattr(self.model, "no_sync", None)
                with contextlib.nullcontext() if is_last or no_sync is None else no_sync():
                    states[place].restore()
                    with torch.enable_grad():
                        torch.autograd.backward(call(self.model, chunks[place]), pieces[place])
        return value.detach()


def split(inputs, size):
    """Chunks of the first dimension, of the same structure as the inputs."""
    leaves = tensors(inputs)
    if not leaves or any(len(leaf) != len(leaves[0]) for leaf in leaves):
        raise ValueError(f"inputs have {[len(leaf) for leaf in leaves]} rows: expected tensors with one number of rows")
    for start in range(0, len(leaves[0]), size):
        rows = slice(start, start + size)
        if isinstance(inputs, torch.Tensor):
            yield inputs[rows]
        elif hasattr(inputs, "keys"):
            yield {key: inputs[key][rows] for key in inputs.keys()}
        else:
            yield tuple(part[rows] for part in inputs)


def tensors(inputs):
    if isinstance(inputs, torch.Tensor):
        return [inputs]
    return list(inputs.values() if hasattr(inputs, "keys") else inputs)


def call(model, chunk):
    if isinstance(chunk, torch.Tensor):
        return model(chunk)
    return model(**chunk) if isinstance(chunk, dict) else model(*chunk)


class RandomState:
    """The state of the random numbers of the processor and of the inputs' devices."""

    def __init__(self, inputs):
        self.host = torch.get_rng_state()
        self.devices = {}
        for tensor in tensors(inputs):
            kind = tensor.device.type
            if kind not in ("cpu", "meta") and tensor.device not in self.devices:
                module = getattr(torch, kind)
                self.devices[tensor.device] = module.get_rng_state() if kind == "mps" else module.get_rng_state(tensor.device)

    def restore(self):
        torch.set_rng_state(self.host)
        for device, state in self.devices.items():
            module = getattr(torch, device.type)
            module.set_rng_state(state) if device.type == "mps" else module.set_rng_state(state, device)

    @staticmethod
    @contextlib.contextmanager
    def preserved(inputs):
        """The random numbers continue afterwards as if nothing had been drawn inside."""
        state = RandomState(inputs)
        try:
            yield
        finally:
            state.restore()
