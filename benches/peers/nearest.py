"""Exact nearest neighbours: Tercet against faiss-cpu's IndexFlatL2, in turns, on the same arrays.

Run with the packages of `requirements-nearest.txt`, after
`cargo build --release -p tercet --example nearest`. Prints a Markdown table.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import faiss
import numpy as np

SIZES = [(1_000, 60_000), (10_000, 60_000), (60_000, 60_000)]
KS = [1, 10, 100]


def time_faiss(queries, gallery, k):
    """Seconds from the vectors to the neighbours: building the index copies the gallery."""
    began = time.perf_counter()
    index = faiss.IndexFlatL2(gallery.shape[1])
    index.add(gallery)
    _, found = index.search(queries, k)
    return time.perf_counter() - began, found


def time_tercet(options, folder, k):
    command = [options.nearest, folder / "q.f32", folder / "g.f32", options.dimensions, k, 1]
    command = [str(part) for part in [*command, folder / "found.u32"]]
    environment = {**os.environ, "RAYON_NUM_THREADS": str(options.threads)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr}")
    return float(done.stdout), np.fromfile(folder / "found.u32", "<u4").reshape(-1, k)


def disagreements(queries, gallery, ours, theirs):
    """Queries whose farthest neighbours differ by more than float32 rounds."""
    last = [((queries - gallery[found[:, -1]]) ** 2).sum(axis=1) for found in (ours, theirs)]
    return int((np.abs(last[0] - last[1]) > 1e-4 * np.maximum(*last)).sum())


def compare(options, rng, q, g, k):
    queries = rng.normal(size=(q, options.dimensions)).astype(np.float32)
    gallery = rng.normal(size=(g, options.dimensions)).astype(np.float32)
    ours, theirs = [], []
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        queries.tofile(folder / "q.f32")
        gallery.tofile(folder / "g.f32")
        for _ in range(options.repetitions):
            seconds, peer = time_faiss(queries, gallery, k)
            theirs.append(seconds)
            seconds, own = time_tercet(options, folder, k)
            ours.append(seconds)
    differ = disagreements(queries, gallery, own, peer)
    if differ:
        print(f"{differ} of {q} queries have other neighbours", file=sys.stderr)
    own, other = median(ours), median(theirs)
    return [f"{q:,}", f"{g:,}", str(k), f"{own:.2f}", f"{other:.2f}", f"{other / own:.2f}"]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nearest", default="target/release/examples/nearest")
    parser.add_argument("--dimensions", type=int, default=128)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--quick", action="store_true", help="only the smallest size")
    options = parser.parse_args()
    faiss.omp_set_num_threads(options.threads)
    if (load := os.getloadavg()[0]) > 0.5:
        print(f"warning: load average {load:.1f}; wait for a quiet machine", file=sys.stderr)
    rng = np.random.default_rng(1)
    print(f"D = {options.dimensions}, {options.threads} threads, faiss {faiss.__version__}\n")
    print("| queries | gallery | k | Tercet, s | faiss, s | ratio |")
    print("|--:|--:|--:|--:|--:|--:|")
    for q, g in SIZES[: 1 if options.quick else None]:
        for k in KS:
            print("|", " | ".join(compare(options, rng, q, g, k)), "|", flush=True)


if __name__ == "__main__":
    main()
