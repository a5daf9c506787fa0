"""A training step of Tercet beside PyTorch's: the same network, batch and threads, in one run.

Network: blocks of convolution 3x3, batch norm, ReLU and max-pooling 2x2, then a linear layer;
objective: batch-hard with a soft margin; optimiser: Adam. Tercet's time is that of `tercet train`
itself, loader and all, from its metrics; PyTorch's batch lies in memory. Both take turns.
"""

import argparse
import json
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import torch
from network import batch_hard, network

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--tercet", default="target/release/tercet")
parser.add_argument("--threads", type=int, default=torch.get_num_threads())
parser.add_argument("--rounds", type=int, default=3)
parser.add_argument("--steps", type=int, default=60)
arguments = parser.parse_args()
torch.set_num_threads(arguments.threads)

# classes, items, side, channels, blocks, width, dimensions
CASES = [
    (32, 4, 28, 1, 4, 64, 64),
    (16, 4, 28, 1, 3, 64, 64),
    (32, 4, 32, 3, 3, 128, 128),
    (16, 4, 64, 3, 4, 64, 64),
]


def peer(case, memory_format):
    p, k, side, channels, blocks, width, dimensions = case
    torch.manual_seed(0)
    model = network(side, channels, blocks, width, dimensions).to(memory_format=memory_format)
    images = torch.randn(p * k, channels, side, side).contiguous(memory_format=memory_format)
    labels = torch.arange(p).repeat_interleave(k)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
    times = []
    for step in range(arguments.steps):
        began = time.perf_counter()
        optimiser.zero_grad()
        batch_hard(model(images), labels).backward()
        optimiser.step()
        if step >= 10:
            times.append(time.perf_counter() - began)
    return statistics.median(times)


def ours(case):
    p, k, side, channels, blocks, width, dimensions = case
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        command = [
            arguments.tercet, "train", "glyphs", "--run", run, "--quiet",
            "--steps", arguments.steps, "--log-every", 5, "--holdout", 0,
            "--batch", f"{p}x{k}", "--size", side, "--channels", channels,
            "--depth", blocks, "--width", width, "--embedding-dim", dimensions,
            "--threads", arguments.threads,
        ]  # fmt: skip
        subprocess.run([str(part) for part in command], check=True, capture_output=True)
        lines = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
        rates = [x["items_per_second"] for x in lines if x["kind"] == "step" and x["step"] > 10]
        return p * k / statistics.median(rates)


print(f"PyTorch {torch.__version__}, {arguments.threads} threads, milliseconds a step\n")
print("| batch | blocks × width | PyTorch | PyTorch, channels last | Tercet | Tercet / PyTorch |")
print("|---|---|--:|--:|--:|--:|")
for case in CASES:
    p, k, side, channels, blocks, width, dimensions = case
    times = {"plain": [], "last": [], "tercet": []}
    for _ in range(arguments.rounds):
        times["plain"].append(peer(case, torch.contiguous_format))
        times["tercet"].append(ours(case))
        times["last"].append(peer(case, torch.channels_last))
    plain, last, tercet = (1000 * statistics.median(values) for values in times.values())
    best = min(plain, last)
    print(
        f"| {p * k}×{channels}×{side}×{side} | {blocks} × {width} "
        f"| {plain:.1f} | {last:.1f} | {tercet:.1f} | {tercet / best:.2f} |",
        flush=True,
    )
