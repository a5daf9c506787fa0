"""Times value and gradient of triplet objectives: Tercet beside its peers, on the same arrays.

Prints a Markdown table of medians and ratios. See `README.md`.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Callable

import numpy as np
import torch
from pytorch_metric_learning.distances import LpDistance
from pytorch_metric_learning.losses import TripletMarginLoss
from pytorch_metric_learning.miners import (
    BatchHardMiner,
    DistanceWeightedMiner,
    TripletMarginMiner,
)
from pytorch_metric_learning.reducers import AvgNonZeroReducer, MeanReducer
from sentence_transformers.sentence_transformer.losses import (
    BatchAllTripletLoss,
    BatchHardTripletLoss,
    BatchSemiHardTripletLoss,
)

PML, ST = "pytorch-metric-learning", "sentence-transformers"
MARGIN = 0.2
SIZES = [(128, 4), (512, 4), (1024, 4), (2048, 4), (512, 51), (1024, 102)]

# What the peers hold at their peak, in bytes, from measurements at B = 1024 and 2048.
BYTES_PER_TRIPLET = 600  # pytorch-metric-learning lists triplets
BYTES_PER_PAIR_AND_ITEM = 40  # sentence-transformers: positive pairs × B
BYTES_PER_DISTANCE = 2200  # pytorch-metric-learning, distance-weighted: copies by class


@dataclass(frozen=True)
class Objective:
    """One thing to compute: how Tercet is asked, and how one peer is."""

    name: str
    tercet: list
    peer: str
    loss: Callable  # (embeddings, labels) → value
    peak: Callable  # (B, K) → bytes
    random: bool = False


def triplets(b, k):
    return BYTES_PER_TRIPLET * b * (k - 1) * (b - k)


def pairs_by_items(b, k):
    return BYTES_PER_PAIR_AND_ITEM * b * (k - 1) * b


def draws(b, k):
    return BYTES_PER_DISTANCE * b * b


def little(b, k):
    return 64 * b * b


def pml(reducer, miner=None, normalize=False):
    distance = LpDistance(normalize_embeddings=normalize)
    loss = TripletMarginLoss(margin=MARGIN, distance=distance, reducer=reducer)
    miner = miner(distance) if miner else None
    return lambda e, labels: loss(e, labels, miner(e, labels) if miner else None)


def st(kind, method):
    loss = getattr(kind(torch.nn.Identity(), margin=MARGIN), method)
    return lambda e, labels: loss(labels, e)


def asked(selection, reduction, *more):
    return ["--distance", "euclidean", "--selection", selection, "--penalty", "hinge",
            "--margin", str(MARGIN), "--reduction", reduction, *more]  # fmt: skip


OBJECTIVES = [
    Objective("batch-all", asked("all", "mean-active"), PML, pml(AvgNonZeroReducer()), triplets),
    Objective(
        "batch-all",
        asked("all", "mean-active"),
        ST,
        st(BatchAllTripletLoss, "batch_all_triplet_loss"),
        pairs_by_items,
    ),
    Objective(
        "batch-hard",
        asked("hard", "mean"),
        PML,
        pml(MeanReducer(), lambda d: BatchHardMiner(distance=d)),
        little,
    ),
    Objective(
        "batch-hard",
        asked("hard", "mean"),
        ST,
        st(BatchHardTripletLoss, "batch_hard_triplet_loss"),
        little,
    ),
    Objective(
        "semi-hard, whole band",
        asked("semi-hard-all", "mean"),
        PML,
        pml(MeanReducer(), lambda d: TripletMarginMiner(MARGIN, "semihard", distance=d)),
        triplets,
    ),
    Objective(
        "semi-hard, fallback",
        asked("semi-hard-fallback", "mean"),
        ST,
        st(BatchSemiHardTripletLoss, "batch_semi_hard_triplet_loss"),
        little,
    ),
    Objective(
        "distance-weighted",
        asked("distance-weighted", "mean", "--normalize"),
        PML,
        pml(MeanReducer(), lambda d: DistanceWeightedMiner(distance=d), normalize=True),
        draws,
        random=True,
    ),
]


def batch(b, k, dimensions, seed):
    """Overlapping Gaussian classes: some triplets are active and some are not."""
    rng = np.random.default_rng([seed, b, k])
    labels = np.arange(b) // k
    centres = rng.normal(size=(labels.max() + 1, dimensions))
    x = centres[labels] + rng.normal(size=(b, dimensions))
    return (x / np.sqrt(4 * dimensions)).astype(np.float32), labels.astype(np.int64)


def time_peer(objective, x, labels):
    """Seconds for value and gradient, and the value."""
    embeddings = torch.tensor(x, requires_grad=True)
    classes = torch.tensor(labels)
    began = time.perf_counter()
    value = objective.loss(embeddings, classes)
    value.backward()
    return time.perf_counter() - began, value.item()


def time_tercet(options, objective, folder):
    """Median seconds that the kernel took, as `tercet loss` tells, and the value."""
    command = [options.tercet, "loss", str(folder / "x.npy"), "--labels", str(folder / "y.npy")]
    command += objective.tercet
    command += ["--gradient", str(folder / "g.npy"), "--threads", str(options.threads)]
    command += ["--repeat", "5", "--json"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr}")
    answer = json.loads(done.stdout)
    return answer["seconds"], answer["value"]


def compare(options, objective, b, k):
    """A row of the table."""
    start = [objective.name, f"{b:,}", str(k)]
    peak = objective.peak(b, k) / 2**30
    if peak > options.max_gib:
        return [*start, "–", objective.peer, f"not run: about {peak:.0f} GiB", "–"]
    x, labels = batch(b, k, options.dimensions, options.seed)
    ours, theirs = [], []
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        np.save(folder / "x.npy", x)
        np.save(folder / "y.npy", labels)
        time_peer(objective, x, labels)
        time_tercet(options, objective, folder)
        began = time.perf_counter()
        for repetition in range(options.repetitions):
            seconds, peer_value = time_peer(objective, x, labels)
            theirs.append(seconds)
            seconds, value = time_tercet(options, objective, folder)
            ours.append(seconds)
            if repetition >= 2 and time.perf_counter() - began > options.patience:
                break
    if not objective.random and abs(value - peer_value) > 1e-4 * abs(peer_value):
        row = f"{objective.name}, {b} items, K = {k}"
        print(f"{row}: {value}, but {objective.peer} {peer_value}", file=sys.stderr)
    own, other = median(ours), median(theirs)
    return [*start, f"{1e3 * own:.2f}", objective.peer, f"{1e3 * other:.2f}", f"{other / own:.1f}"]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tercet", default="tercet", help="the binary, of a release build")
    parser.add_argument("--dimensions", type=int, default=128)
    parser.add_argument("--repetitions", type=int, default=9)
    parser.add_argument("--patience", type=float, default=60, help="seconds a row, roughly")
    parser.add_argument("--max-gib", type=float, default=4.5, help="leave out what needs more")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    load = os.getloadavg()[0]
    if load > 0.5:
        print(f"warning: load average {load:.1f}; wait for a quiet machine", file=sys.stderr)

    print(f"D = {options.dimensions}, {options.threads} threads, torch {torch.__version__}\n")
    print("| objective | B | K | Tercet, ms | peer | peer, ms | ratio |")
    print("|---|--:|--:|--:|---|--:|--:|")
    for objective in OBJECTIVES:
        for b, k in SIZES:
            print("|", " | ".join(compare(options, objective, b, k)), "|", flush=True)


if __name__ == "__main__":
    main()
