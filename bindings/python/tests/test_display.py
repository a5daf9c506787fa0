"""Tables, plots and the display in notebooks."""

import dataclasses

import matplotlib
import numpy as np
import pytest

import tercet

matplotlib.use("Agg")


@pytest.fixture
def results(batch):
    embeddings, labels = batch
    cameras = np.arange(180) % 3
    seen = (embeddings, labels, cameras)
    pairs = tercet.Pairs.balanced(embeddings, labels)
    groups = tercet.Clustering.group(embeddings, clusters=30)
    return {
        "retrieval": tercet.Retrieval.leave_one_out(embeddings, labels),
        "verification": tercet.Verification.evaluate(pairs),
        "reidentification": tercet.Reidentification.evaluate(*seen, *seen),
        "single_shot": tercet.SingleShot.evaluate(*seen, *seen),
        "one_shot": tercet.OneShot.evaluate(embeddings, [([0, 6], [0, 1], [1, 7], [0, 1])]),
        "episodes": tercet.Episodes.evaluate(embeddings, labels, episodes=20),
        "clustering": groups,
        "agreement": groups.agreement(labels),
    }


def test_results_are_shown(results):
    for result in results.values():
        name = type(result).__name__
        assert repr(result).startswith(f"{name}(") and "=" in repr(result)
        shown = result._repr_html_()
        assert shown.startswith("<table>") and name in shown
        assert set(result.to_dict()) == {field.name for field in dataclasses.fields(result)}
    low, high = results["retrieval"].ci95["map"]
    assert f"{low:.4f} to {high:.4f}" in results["retrieval"]._repr_html_()


def test_results_are_tables(results):
    rows = {"retrieval": 180, "verification": 10, "reidentification": 180, "one_shot": 1, "clustering": 180}
    for name, result in results.items():
        frame, table = result.to_pandas(), result.to_arrow()
        assert len(frame) == table.num_rows == rows.get(name, 1)
        assert list(frame.columns) == table.column_names


def test_plots(results, batch):
    from matplotlib import pyplot

    pairs = tercet.Pairs.balanced(*batch)
    for result in (results["retrieval"], results["verification"], results["reidentification"], pairs):
        axes = result.plot()
        assert axes.get_xlabel() and (axes.lines or axes.patches)
        own = pyplot.subplots()[1]
        assert result.plot(own) is own
        pyplot.close("all")


def test_pairs_and_comparisons_are_tables(results, batch):
    pairs = tercet.Pairs.balanced(*batch)
    assert list(pairs.to_pandas().columns) == ["distances", "same", "folds", "left", "right"]
    assert pairs.to_arrow().num_rows == len(pairs)
    compared = tercet.compare({"<a>": results["retrieval"], "b": results["reidentification"]}, batch[1])
    assert compared.to_pandas()["p_holm"].shape == (1,)
    assert "&lt;a&gt;" in compared._repr_html_()
