"""A value that was computed elsewhere, with its gradients, as a node of the graph of PyTorch."""

import torch


def attach(value, first, second=None):
    """`value` as a differentiable tensor; `first` and `second` are pairs of a tensor and ∂value/∂tensor."""
    inputs, gradients = zip(*(pair for pair in (first, second) if pair is not None))
    return _Value.apply(value, len(inputs), *inputs, *gradients)


class _Value(torch.autograd.Function):
    @staticmethod
    def forward(ctx, value, count, *tensors):
        ctx.count = count
        ctx.save_for_backward(*tensors)
        return value

    @staticmethod
    def backward(ctx, by_value):
        inputs, gradients = ctx.saved_tensors[: ctx.count], ctx.saved_tensors[ctx.count :]
        results = []
        for place, (tensor, gradient) in enumerate(zip(inputs, gradients)):
            if not ctx.needs_input_grad[2 + place]:
                results.append(None)
                continue
            # The scale of mixed precision is applied before the gradient is rounded to half precision.
            result = (gradient.detach() * by_value).to(tensor.dtype)
            results.append(_Once.apply(result, tensor) if torch.is_grad_enabled() else result)
        return None, None, *results, *(None for _ in gradients)


class _Once(torch.autograd.Function):
    """The gradient under `create_graph=True`: it depends on the tensor, but its derivative is not known."""

    @staticmethod
    def forward(ctx, gradient, tensor):
        return gradient.clone()

    @staticmethod
    def backward(ctx, *_):
        raise RuntimeError(
            "the gradient of a Tercet loss cannot be differentiated again: it was computed outside of PyTorch; "
            "per_triplet() returns losses that are differentiable twice"
        )
