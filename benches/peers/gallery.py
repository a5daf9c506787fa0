"""A gallery of a million vectors beside faiss-cpu and usearch, in one run, on the same arrays.

Run with the packages of `requirements-gallery.txt`, after
`cargo build --release -p tercet-gallery --features hnsw --example million`. Prints a Markdown table.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import faiss
import numpy as np
from usearch.index import Index

K = 10
CLIENTS = 32


def draw(rng, rows, dimensions, world):
    """Points of a thousand clusters in 16 dimensions, seen in all of them, as embeddings lie."""
    centres, seen = world
    out = np.empty((rows, dimensions), np.float32)
    for start in range(0, rows, 100_000):
        count = min(100_000, rows - start)
        hidden = centres[rng.integers(0, len(centres), count)]
        hidden = hidden + rng.uniform(-0.25, 0.25, hidden.shape)
        noise = rng.uniform(-0.05, 0.05, (count, dimensions))
        out[start : start + count] = hidden @ seen + noise
    return out


def ask(search, queries, clients, rounds):
    """Clients that ask for one query after another: milliseconds, and queries a second."""

    def client(own):
        times = []
        for round in range(rounds):
            row = (own * rounds + round) % len(queries)
            began = time.perf_counter()
            search(queries[row : row + 1])
            times.append(time.perf_counter() - began)
        return times

    began = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        times = sorted(sum(pool.map(client, range(clients)), []))
    rate = len(times) / (time.perf_counter() - began)
    at = lambda share: 1e3 * times[int((len(times) - 1) * share)]
    return {"p50": at(0.5), "p99": at(0.99), "rate": rate}


def memory():
    """MiB of this process."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def recall(found, exact):
    hits = sum(len(set(one) & set(other)) for one, other in zip(found.tolist(), exact.tolist()))
    return hits / exact.size


def measure_faiss(vectors, queries, threads):
    before = memory()
    began = time.perf_counter()
    index = faiss.IndexFlatL2(vectors.shape[1])
    index.add(vectors)
    build = time.perf_counter() - began
    search = lambda query: index.search(query, K)
    faiss.omp_set_num_threads(threads)
    alone = ask(search, queries, 1, 60)
    # Whichever way of sharing the processor suits it better: a thread a client, or all for each.
    together = []
    for each in (1, threads):
        faiss.omp_set_num_threads(each)
        together.append(ask(search, queries, CLIENTS, 20))
    together = max(together, key=lambda figures: figures["rate"])
    faiss.omp_set_num_threads(threads)
    _, exact = index.search(queries[:100], K)
    figures = {"build": build, "alone": alone, "together": together, "recall_at_10": 1.0}
    return {**figures, "mib": memory() - before}, exact


def measure_usearch(vectors, queries, exact, threads):
    before = memory()
    began = time.perf_counter()
    index = Index(
        ndim=vectors.shape[1], metric="l2sq", dtype="f32", connectivity=16, expansion_add=128,
        expansion_search=64,
    )
    index.add(np.arange(len(vectors)), vectors, threads=threads)
    build = time.perf_counter() - began
    search = lambda query: index.search(query, K, threads=1)
    alone = ask(search, queries, 1, 1000)
    together = ask(search, queries, CLIENTS, 200)
    found = index.search(queries[:100], K).keys
    figures = {"build": build, "alone": alone, "together": together}
    return {**figures, "recall_at_10": recall(found, exact), "mib": memory() - before}


def measure_tercet(options, folder):
    command = [options.million, folder / "vectors.f32", folder / "queries.f32", options.dimensions]
    environment = {**os.environ, "RAYON_NUM_THREADS": str(options.threads), "TMPDIR": str(folder)}
    done = subprocess.run(
        [str(part) for part in command], stdout=subprocess.PIPE, text=True, env=environment
    )
    if done.returncode != 0:
        sys.exit(f"{options.million} failed")
    return json.loads(done.stdout)


def row(name, figures, floor):
    alone, together = figures["alone"], figures["together"]
    cells = [
        name,
        f"{figures['build']:.1f}",
        f"{alone['p50']:.2f}",
        f"{alone['p99']:.2f}",
        f"{together['p50']:.1f}",
        f"{together['p99']:.1f}",
        f"{together['rate']:.0f}",
        f"{floor['alone']['p50'] / alone['p50']:.2f}",
        f"{together['rate'] / floor['together']['rate']:.2f}",
        f"{figures['recall_at_10']:.3f}",
        f"{figures['mib']:.0f}",
    ]
    return "| " + " | ".join(cells) + " |"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--million", default="target/release/examples/million")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--dimensions", type=int, default=128)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    options = parser.parse_args()
    if (load := os.getloadavg()[0]) > 0.5:
        print(f"warning: load average {load:.1f}; wait for a quiet machine", file=sys.stderr)
    rng = np.random.default_rng(1)
    world = (rng.uniform(-1, 1, (1000, 16)), rng.uniform(-0.25, 0.25, (16, options.dimensions)))
    vectors = draw(rng, options.rows, options.dimensions, world)
    queries = draw(rng, 1024, options.dimensions, world)
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        vectors.tofile(folder / "vectors.f32")
        queries.tofile(folder / "queries.f32")
        flat, exact = measure_faiss(vectors, queries, options.threads)
        graph = measure_usearch(vectors, queries, exact, options.threads)
        del vectors
        own = measure_tercet(options, folder)
    print(
        f"{options.rows:,} × {options.dimensions}, {K} nearest, {options.threads} threads, "
        f"faiss {faiss.__version__}\n"
    )
    print(
        "| | build s | 1 client p50 ms | p99 ms | 32 clients p50 ms | p99 ms | queries/s | "
        "× faiss flat, 1 client | × faiss flat, 32 clients | recall@10 | MiB |"
    )
    print("|---|" + "--:|" * 10)
    print(row("faiss IndexFlatL2", flat, flat))
    print(row("Tercet, exact", own["exact"], flat))
    print(row("Tercet, `--quantize i8`", own["i8"], flat))
    print(row("Tercet, `--quantize b1`", own["b1"], flat))
    print(row("usearch HNSW", graph, flat))
    if "hnsw" in own:
        print(row("Tercet, `--index hnsw`", own["hnsw"], flat))


if __name__ == "__main__":
    main()
