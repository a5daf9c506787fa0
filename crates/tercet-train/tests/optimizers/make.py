"""Writes optimizers.json: what torch.optim makes of given weights and gradients.

    pip install -r requirements.txt && python make.py

Ten steps on two tensors with gradients that do not depend on the weights, each optimiser with the
numbers that Tercet gives it; weight decay, momentum and clipping in turn.
"""

import json
import math

import torch

SHAPES = [(3, 2), (2,)]
STEPS = 10
RATE = 0.05


def numbers(count, phase):
    """Deterministic, no random generator: sines."""
    return [math.sin(1.7 * i + phase) for i in range(count)]


def tensor(shape, phase, scale=1.0):
    count = math.prod(shape)
    return scale * torch.tensor(numbers(count, phase), dtype=torch.float32).reshape(shape)


def gradient(shape, step):
    return tensor(shape, 0.9 * step + 0.3, 1.0 + 0.5 * step)


CASES = {
    "adam": lambda p: torch.optim.Adam(p, lr=RATE),
    "adam, weight decay": lambda p: torch.optim.Adam(p, lr=RATE, weight_decay=0.1),
    "adamw": lambda p: torch.optim.AdamW(p, lr=RATE),
    "adamw, weight decay": lambda p: torch.optim.AdamW(p, lr=RATE, weight_decay=0.1),
    "sgd": lambda p: torch.optim.SGD(p, lr=RATE, momentum=0.9),
    "sgd, no momentum, weight decay": lambda p: torch.optim.SGD(p, lr=RATE, weight_decay=0.1),
    "adagrad": lambda p: torch.optim.Adagrad(p, lr=RATE),
    "adagrad, weight decay": lambda p: torch.optim.Adagrad(p, lr=RATE, weight_decay=0.1),
    "sgd, clipped": lambda p: torch.optim.SGD(p, lr=RATE, momentum=0.9),
    "adam, falling": lambda p: torch.optim.Adam(p, lr=RATE),
}


def run(name, make):
    parameters = [torch.nn.Parameter(tensor(shape, 0.1)) for shape in SHAPES]
    optimizer = make(parameters)
    norms = []
    for step in range(STEPS):
        for parameter, shape in zip(parameters, SHAPES):
            parameter.grad = gradient(shape, step)
        if "clipped" in name:
            norms.append(torch.nn.utils.clip_grad_norm_(parameters, 2.0).item())
        if "falling" in name and step == STEPS // 2:
            for group in optimizer.param_groups:
                group["betas"] = (0.5, group["betas"][1])
        optimizer.step()
    return {
        "weights": [value for p in parameters for value in p.detach().flatten().tolist()],
        "norms": norms,
    }


with open("optimizers.json", "w") as file:
    golden = {name: run(name, make) for name, make in CASES.items()}
    json.dump({"torch": torch.__version__.split("+")[0], "cases": golden}, file, indent=1)
    file.write("\n")
