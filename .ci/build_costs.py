#!/usr/bin/env python3
"""What each cargo feature costs to build: the table in CONTRIBUTING.md.

    python3 .ci/build_costs.py [target folder]

It builds the default set from nothing, then every feature on top of it, one after the other in the
order of the table, in a target folder of its own (a temporary one unless a folder is named). Crates
that an earlier row has built are not counted again. Processor time is that of all compilers and C
compilers that cargo has run: it hardly depends on how many cores there are and what else they do.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time

FEATURES = ["tsne", "parquet", "gallery", "serve", "hnsw", "postgres", "onnx", "texts"]


def cargo(target, *arguments):
    """Runs cargo; the crates it compiled, processor seconds, seconds."""
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    command = ["cargo", *arguments, "--locked", "--release", "--message-format", "json"]
    environment = dict(os.environ, CARGO_TARGET_DIR=target)
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    compiled = set()
    for line in done.stdout.splitlines():
        message = json.loads(line) if line.startswith("{") else {}
        if message.get("reason") == "compiler-artifact" and not message["fresh"]:
            compiled.add(message["package_id"])
    return compiled, seconds, time.monotonic() - begun


def default_features():
    metadata = subprocess.run(
        ["cargo", "metadata", "--no-deps", "--format-version", "1"],
        stdout=subprocess.PIPE, check=True, text=True,
    )
    packages = json.loads(metadata.stdout)["packages"]
    return next(p for p in packages if p["name"] == "tercet-cli")["features"]["default"]


def main(target):
    print("| features | crates | processor minutes | minutes here |\n|---|--:|--:|--:|", flush=True)

    def row(name, *arguments):
        crates, seconds, wall = cargo(target, *arguments)
        print(f"| {name} | {len(crates)} | {seconds / 60:.1f} | {wall / 60:.1f} |", flush=True)

    row("default", "build")
    binary = os.path.getsize(os.path.join(target, "release", "tercet"))
    given = []
    for feature in FEATURES:
        if feature not in default_features():
            given.append(feature)
            row(f"+ `{feature}`", "build", "--features", ",".join(given))
    full = os.path.getsize(os.path.join(target, "release", "tercet"))
    row("`cargo test --release`, without running", "test", "--no-run")
    print(f"\nbinary: {binary / 1e6:.0f} MB, with every feature {full / 1e6:.0f} MB")


if __name__ == "__main__":
    os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
    if len(sys.argv) > 1:
        main(os.path.abspath(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as folder:
            main(folder)
