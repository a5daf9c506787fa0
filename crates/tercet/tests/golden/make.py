"""Writes the golden values: `objectives.json`, `judges.json` and `protocols.json`, each with its
`.f32` of arrays.

Run with the packages of `requirements.txt`; see `README.md`. Every answer of a peer is compared
with `definitions.py` first. A difference without a reason in `peers.why_not` stops the script.
"""

import json
import warnings
from pathlib import Path

import numpy as np
import torch

import definitions
import judges
import peers
import protocols
from definitions import Config
from inputs import RECIPES
from peers import DEFINITION, FACENET, PML, REID, ST

HERE = Path(__file__).parent
SEED = 2026
BATCHES_PER_CONFIG = 4
AGREEMENT = 1e-8
ROUNDING = 1e-13  # what a peer's sums of float64 may leave where the answer is 0
TRIPLETS_LISTED = 40

PLAIN, UNIT = False, True
EU, SQ, COS = "euclidean", "squared-euclidean", "cosine"

CONFIGS = [
    # pytorch-metric-learning, all triplets: its defaults first
    (PML, Config(EU, UNIT, "all", "hinge", 0.05, "mean-active")),
    (PML, Config(EU, PLAIN, "all", "hinge", 0.2, "mean-active")),
    (PML, Config(SQ, UNIT, "all", "hinge", 0.2, "mean-active")),
    (PML, Config(SQ, PLAIN, "all", "hinge", 1.0, "mean-active")),
    (PML, Config(COS, PLAIN, "all", "hinge", 0.1, "mean-active")),
    (PML, Config(EU, UNIT, "all", "hinge", 0.2, "mean")),
    (PML, Config(SQ, PLAIN, "all", "hinge", 0.5, "mean")),
    (PML, Config(COS, PLAIN, "all", "hinge", 0.25, "mean")),
    (PML, Config(EU, PLAIN, "all", "hinge", 0.0, "mean")),
    (PML, Config(EU, PLAIN, "all", "hinge", 1.0, "sum")),
    (PML, Config(EU, UNIT, "all", "soft", 0.05, "mean-active")),
    (PML, Config(EU, PLAIN, "all", "soft", 0.0, "mean")),
    (PML, Config(SQ, PLAIN, "all", "soft", 0.2, "mean")),
    (PML, Config(COS, PLAIN, "all", "soft", 0.2, "mean")),
    # … and its miners
    (PML, Config(EU, UNIT, "hard", "hinge", 0.2, "mean")),
    (PML, Config(SQ, PLAIN, "hard", "hinge", 0.2, "mean-active")),
    (PML, Config(COS, PLAIN, "hard", "hinge", 0.2, "mean")),
    (PML, Config(EU, PLAIN, "hard", "soft", 0.0, "mean")),
    (PML, Config(EU, PLAIN, "hard", "hinge", 0.5, "sum")),
    (PML, Config(EU, UNIT, "semi-hard", "hinge", 0.2, "mean")),
    (PML, Config(SQ, UNIT, "semi-hard", "hinge", 0.2, "mean")),
    (PML, Config(COS, PLAIN, "semi-hard", "hinge", 0.2, "mean-active")),
    (PML, Config(EU, PLAIN, "semi-hard", "soft", 1.0, "mean")),
    (PML, Config(EU, PLAIN, "semi-hard", "hinge", 1.0, "sum")),
    (PML, Config(EU, UNIT, "semi-hard-all", "hinge", 0.2, "mean")),
    (PML, Config(SQ, PLAIN, "semi-hard-all", "hinge", 1.0, "mean")),
    (PML, Config(COS, PLAIN, "semi-hard-all", "hinge", 0.2, "mean-active")),
    (PML, Config(EU, PLAIN, "semi-hard-all", "soft", 1.0, "mean")),
    (PML, Config(EU, UNIT, "easy-positive", "hinge", 0.2, "mean")),
    (PML, Config(COS, PLAIN, "easy-positive", "soft", 0.0, "mean")),
    (PML, Config(EU, PLAIN, "easy-positive", "hinge", 0.5, "mean-active")),
    (PML, Config(EU, UNIT, "easy-positive-semi-hard", "hinge", 0.2, "mean")),
    (PML, Config(COS, PLAIN, "easy-positive-semi-hard", "hinge", 0.2, "mean-active")),
    (PML, Config(EU, PLAIN, "easy-positive-semi-hard", "soft", 0.0, "mean")),
    # sentence-transformers: its default margin first
    (ST, Config(EU, PLAIN, "all", "hinge", 5.0, "mean-active")),
    (ST, Config(EU, PLAIN, "all", "hinge", 0.5, "mean-active")),
    (ST, Config(SQ, PLAIN, "all", "hinge", 1.0, "mean-active")),
    (ST, Config(COS, PLAIN, "all", "hinge", 0.3, "mean-active")),
    (ST, Config(EU, PLAIN, "hard", "hinge", 5.0, "mean")),
    (ST, Config(EU, UNIT, "hard", "hinge", 0.3, "mean")),
    (ST, Config(COS, PLAIN, "hard", "hinge", 0.3, "mean")),
    (ST, Config(EU, PLAIN, "hard", "soft", 0.0, "mean")),
    (ST, Config(COS, PLAIN, "hard", "soft", 0.0, "mean")),
    (ST, Config(EU, PLAIN, "semi-hard-fallback", "hinge", 5.0, "mean")),
    (ST, Config(EU, PLAIN, "semi-hard-fallback", "hinge", 0.4, "mean")),
    (ST, Config(COS, PLAIN, "semi-hard-fallback", "hinge", 0.3, "mean")),
    # the papers
    (REID, Config(EU, PLAIN, "hard", "soft", 0.0, "mean")),
    (REID, Config(EU, PLAIN, "hard", "hinge", 0.2, "mean")),
    (REID, Config(EU, PLAIN, "all", "hinge", 1.0, "mean")),
    (REID, Config(EU, PLAIN, "all", "hinge", 0.5, "mean-active")),
    (REID, Config(EU, PLAIN, "lifted", "hinge", 1.0, "sum")),
    (FACENET, Config(SQ, UNIT, "semi-hard", "hinge", 0.2, "mean")),
    (FACENET, Config(SQ, UNIT, "semi-hard", "hinge", 0.5, "mean")),
    # what no peer has, or draws at random
    (DEFINITION, Config(SQ, UNIT, "violating-random", "hinge", 0.2, "mean")),
    (DEFINITION, Config(EU, PLAIN, "violating-random", "hinge", 1.0, "sum")),
    (DEFINITION, Config(EU, UNIT, "distance-weighted", "hinge", 0.2, "mean")),
    (DEFINITION, Config(EU, PLAIN, "all", "squared-hinge", 1.0, "mean")),
    (DEFINITION, Config(SQ, UNIT, "hard", "squared-hinge", 0.5, "mean-anchors")),
    (DEFINITION, Config(EU, UNIT, "semi-hard", "squared-hinge", 0.5, "mean-anchors")),
    (DEFINITION, Config(EU, PLAIN, "semi-hard", "hinge", 1.0, "mean-anchors")),
]

# Batches on which the peers are at their worst, whatever the rotation above brings.
DEGENERATE = [
    (PML, Config(SQ, PLAIN, "all", "hinge", 1.0, "mean-active"), ["grid", "grid-line", "doubled"]),
    (PML, Config(EU, PLAIN, "hard", "hinge", 0.5, "mean"), ["grid", "doubled", "lone-classes"]),
    (PML, Config(COS, PLAIN, "all", "hinge", 0.2, "mean"), ["zero-vector", "one-class"]),
    (PML, Config(COS, PLAIN, "hard", "hinge", 0.2, "mean"), ["zero-vector", "signs"]),
    (PML, Config(EU, PLAIN, "semi-hard", "hinge", 2.0, "mean"), ["grid-line", "doubled", "grid"]),
    (PML, Config(EU, PLAIN, "semi-hard-all", "hinge", 2.0, "mean"), ["grid-line", "doubled"]),
    (PML, Config(EU, PLAIN, "easy-positive", "hinge", 1.0, "mean"), ["grid-line", "doubled"]),
    (PML, Config(EU, PLAIN, "easy-positive-semi-hard", "hinge", 1.0, "mean"), ["grid", "doubled"]),
    (ST, Config(EU, PLAIN, "all", "hinge", 1.0, "mean-active"), ["grid-line", "one-class"]),
    (ST, Config(COS, PLAIN, "all", "hinge", 0.3, "mean-active"), ["zero-vector", "all-lone"]),
    (ST, Config(EU, PLAIN, "hard", "hinge", 1.0, "mean"), ["grid-line", "grid", "doubled"]),
    (
        ST,
        Config(EU, PLAIN, "hard", "hinge", 0.5, "mean"),
        ["lone-classes", "one-class", "all-lone"],
    ),
    (
        ST,
        Config(EU, PLAIN, "hard", "soft", 0.0, "mean"),
        ["lone-classes", "one-class", "collapsed"],
    ),
    (
        ST,
        Config(EU, PLAIN, "semi-hard-fallback", "hinge", 1.0, "mean"),
        ["grid-line", "doubled", "lone-classes", "one-class", "collapsed"],
    ),
    (REID, Config(EU, PLAIN, "hard", "soft", 0.0, "mean"), ["lone-classes", "grid", "collapsed"]),
    (REID, Config(EU, PLAIN, "all", "hinge", 1.0, "mean"), ["all-lone", "grid-line", "collapsed"]),
    (
        REID,
        Config(EU, PLAIN, "lifted", "hinge", 1.0, "sum"),
        ["pk-8x4", "unbalanced", "grid", "k-50"],
    ),
    (FACENET, Config(SQ, UNIT, "semi-hard", "hinge", 0.2, "mean"), ["lone-classes", "collapsed"]),
    (DEFINITION, Config(EU, PLAIN, "semi-hard", "hinge", 2.0, "mean"), ["grid-line", "doubled"]),
    (DEFINITION, Config(SQ, PLAIN, "hard", "hinge", 2.0, "mean-anchors"), ["grid", "doubled"]),
]


class Arrays:
    """float32 arrays one after another in a file, each known by its offset in values."""

    def __init__(self):
        self.parts, self.length = [], 0

    def add(self, values):
        values = np.ascontiguousarray(values, dtype="<f4").ravel()
        self.parts.append(values)
        self.length += len(values)
        return self.length - len(values)

    def write(self, path):
        np.concatenate(self.parts).tofile(path)


def draw(recipe, config, seed):
    """The first batch of this recipe on which float32 can be held to float64's decisions."""
    for attempt in range(400):
        x, labels = recipe.draw([SEED, seed, attempt])
        if config.selection == "lifted" or not definitions.hangs_on_the_last_bit(
            x.astype(np.float64), labels, config, recipe.is_exact(config)
        ):
            return x, labels
    return None


def differ(value, gradient, expected, tolerance):
    if not (np.isfinite(value) and np.isfinite(gradient).all()):
        return True
    scale = max(np.abs(expected.gradient).max(), ROUNDING / tolerance)
    return (
        abs(value - expected.value) > max(tolerance * abs(expected.value), ROUNDING)
        or np.abs(gradient - expected.gradient).max() > tolerance * scale
    )


def make_case(peer, config, recipe, seed):
    """One case as it is written down, and its arrays; None if no batch of the recipe will do."""
    config = Config(**{**vars(config), "margin": float(np.float32(config.margin))})
    batch = draw(recipe, config, seed)
    if batch is None:
        return None
    x32, labels = batch
    x = x32.astype(np.float64)
    if config.selection == "lifted":
        expected = None
        census = definitions.count(labels, definitions.distances(x, config))
    else:
        expected = definitions.evaluate(x, labels, config)
        census = expected.census

    note = {"name": peer}
    triplets = None
    if peer == DEFINITION:
        value, gradient = expected.value, expected.gradient
        triplets = expected.triplets if expected.range is None else None
        if config.selection == "distance-weighted":
            allowed = definitions.drawable(x, labels, config)
            assert peers.pml_draws(x, labels, config) <= allowed, recipe.name
    else:
        value, gradient, triplets, note["call"] = peers.PEERS[peer](x, labels, config)
        excess = None if expected is None else expected.excess
        reason = peers.why_not(peer, x, labels, config, excess)
        if expected is None:
            if reason:
                return None
        elif differ(value, gradient, expected, 2e-6 if peer == REID else AGREEMENT):
            if reason is None:
                raise SystemExit(
                    f"{peer} {config} {recipe.name}: {value} instead of {expected.value}\n"
                    f"{gradient}\n{expected.gradient}"
                )
            note["undefined"] = reason
            note["value"] = value if np.isfinite(value) else None
            value, gradient = expected.value, expected.gradient.copy()
            if triplets is not None:
                triplets = expected.triplets
        elif triplets is not None:
            found = sorted(map(tuple, triplets.tolist()))
            assert found == sorted(map(tuple, expected.triplets.tolist())), (peer, config)
        if peer == PML and config.selection == "all":
            assert peers.pml_sets(x, labels, config) == census["violated"], (config, recipe.name)

    if gradient is not None:
        gradient = np.where(np.abs(gradient) < ROUNDING, 0.0, gradient)
    case = {
        "batch": recipe.name,
        "peer": note,
        "metric": {"distance": config.distance, "normalize": config.normalize},
        "selection": config.selection,
        "penalty": {"kind": config.penalty, "margin": config.margin},
        "reduction": config.reduction,
        "labels": labels.tolist(),
        "dimensions": x.shape[1],
        "value": value,
        "census": census,
    }
    if expected is not None and expected.range is not None:
        case["range"] = expected.range
        del case["value"]
        gradient = None
    if triplets is not None and len(triplets) <= TRIPLETS_LISTED:
        case["triplets"] = np.asarray(triplets).tolist()
    return case, x32, gradient


def objectives():
    arrays, cases = Arrays(), []
    place = 0
    for number, (peer, config) in enumerate(CONFIGS):
        made = 0
        for _ in range(2 * len(RECIPES)):
            if made == BATCHES_PER_CONFIG:
                break
            recipe = RECIPES[place % len(RECIPES)]
            place += 1
            answer = make_case(peer, config, recipe, 1000 * number + place)
            if answer is None:
                print("no batch:", peer, config, recipe.name)
                continue
            cases.append(with_arrays(*answer, arrays))
            made += 1
    recipes = {recipe.name: recipe for recipe in RECIPES}
    for number, (peer, config, names) in enumerate(DEGENERATE):
        for name in names:
            answer = make_case(peer, config, recipes[name], 10**6 + number)
            if answer is None:
                raise SystemExit(f"no batch: {peer} {config} {name}")
            cases.append(with_arrays(*answer, arrays))
    write("objectives", cases, arrays)


def with_arrays(case, x, gradient, arrays):
    case["embeddings"] = arrays.add(x)
    if gradient is not None:
        case["gradient"] = arrays.add(gradient)
    return case


def write(name, cases, arrays):
    """One case a line, so that a change of one is a change of one line."""
    versions = {"torch": torch.__version__, "numpy": np.__version__}
    lines = ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases)
    made_with = json.dumps(versions)
    text = f'{{"made_with":{made_with},"cases":[\n{lines}\n]}}\n'
    (HERE / f"{name}.json").write_text(text)
    arrays.write(HERE / f"{name}.f32")
    print(f"{name}: {len(cases)} cases, {len(text)} + {4 * arrays.length} bytes")


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    objectives()
    arrays = Arrays()
    write("judges", judges.cases(SEED, arrays), arrays)
    arrays = Arrays()
    write("protocols", protocols.cases(SEED, arrays), arrays)
