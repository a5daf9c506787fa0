#!/usr/bin/env python3
"""Whether all ways of building share one build of the dependencies.

    python3 .ci/one_build.py

Cargo compiles a library once for each set of its features. A command that selects other packages or
features than the one before it may enable a further feature somewhere deep in the tree, and then
everything above is compiled again. `crates/tercet-unified` prevents that: it enables whatever any part
of the workspace enables in the libraries that all builds have. This prints what it lacks, and fails
if that is anything.
"""

import json
import os
import subprocess
import sys

FIRST = "build --release"
WAYS = [
    "test --release",
    "build --release --features full",
    "build --release -p tercet-cli",
    "test --release --workspace --features full",
    "test --release -p tercet",
    "test --release -p tercet-gallery",
    "test --release -p tercet-report",
    "test --release -p tercet-train",
]


def units(way):
    """Each crate to compile, under a hash of all that it is compiled from."""
    graph = subprocess.run(
        ["cargo", *way.split(), "--locked", "--unit-graph", "-Zunstable-options"],
        env=dict(os.environ, RUSTC_BOOTSTRAP="1"),  # the graph is printed, nothing is compiled
        stdout=subprocess.PIPE, check=True, text=True,
    )
    all_units = json.loads(graph.stdout)["units"]
    known = {}

    def identity(index):
        if index not in known:
            unit = all_units[index]
            known[index] = hash((
                unit["pkg_id"], unit["target"]["name"], unit["mode"], tuple(unit["features"]),
                json.dumps(unit["profile"], sort_keys=True),
                tuple(sorted(identity(each["index"]) for each in unit["dependencies"])),
            ))
        return known[index]

    return {identity(index): unit for index, unit in enumerate(all_units)}


def kind(unit):
    return unit["pkg_id"], unit["target"]["name"], unit["mode"], unit["profile"]["opt_level"]


def main():
    missing = set()
    first = units(FIRST)
    kinds = {}
    for identity, unit in first.items():
        kinds.setdefault(kind(unit), {})[identity] = set(unit["features"])
    for way in WAYS:
        now = units(way)
        again = [
            unit for identity, unit in now.items()
            if identity not in first and unit["pkg_id"].startswith("registry+")
            # For a build script there may be another one beside it.
            and kind(unit) in kinds and not kinds[kind(unit)].keys() & now.keys()
        ]
        print(f"cargo {way}: {len(again)} libraries of `cargo {FIRST}` compiled again")
        for unit in again:
            before = next(iter(kinds[kind(unit)].values()))
            features = set(unit["features"])
            if features != before:
                name = unit["pkg_id"].rsplit("#", 1)[-1]
                where = "dependencies" if unit["profile"]["opt_level"] != "0" else "build-dependencies"
                line = f"{name} ({where}): {', '.join(sorted(features ^ before))}"
                missing.add(line)
                print(f"    {line}")
    return 1 if missing else 0


if __name__ == "__main__":
    os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
    sys.exit(main())
