"""Training, models, galleries and the command, in builds that have them."""

import os
import pickle
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import tercet

pytestmark = pytest.mark.skipif(not tercet._HAS_NETWORKS, reason="this build has the core only")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A short run on the embedded glyphs, and the events that it told."""
    folder = tmp_path_factory.mktemp("run")
    events = []
    run = tercet.train(
        run=folder / "first", out=folder / "model.safetensors", steps=40, batch=(8, 4), seed=3, judge_every=20,
        progress=events.append,
    )
    return run, events, folder


def test_training(trained):
    run, events, folder = trained
    assert run.steps == 40 and 0 < run.map_at_r < run.recall_at_1 <= 1
    assert run.model == folder / "model.safetensors" or run.model.is_file()
    assert (run.run / "report.html").is_file() and run.verdict
    assert "recall_at_1" in repr(run) and "Trained" in run._repr_html_()
    kinds = [event["kind"] for event in events]
    assert {"preparing", "baseline", "started", "step", "judged"} <= set(kinds)
    steps = [event["step"] for event in events if event["kind"] == "step" and not event.get("logged")]
    assert steps == list(range(1, 41))
    losses = [event["loss"] for event in events if event["kind"] == "step" and event.get("logged")]
    assert losses and all(np.isfinite(losses))


def test_wrong_settings(tmp_path):
    for settings, message in (
        ({"stpes": 3}, "stpes"), ({"steps": "many"}, "steps"), ({"objective": "hardest"}, "hardest"),
        ({"batch": (1, 1)}, "1x1|P"), ({"margin": -1.0}, "margin"),
    ):
        with pytest.raises(ValueError, match=message):
            tercet.train(run=tmp_path / "run", **settings)
    with pytest.raises((ValueError, OSError), match="nowhere"):
        tercet.train(tmp_path / "nowhere", run=tmp_path / "other")
    with pytest.raises(TypeError, match="expected neither"):
        tercet.train("glyphs", resume=tmp_path)


def test_a_run_that_was_stopped_continues(tmp_path):
    def stop(event):
        if event["kind"] == "step" and event["step"] == 7:
            raise LookupError("enough")

    run = tmp_path / "run"
    with pytest.raises(LookupError, match="enough"):
        tercet.train(run=run, steps=12, batch="8x4", seed=1, progress=stop)
    resumed = tercet.train(resume=run)
    whole = tercet.train(run=tmp_path / "whole", steps=12, batch="8x4", seed=1)
    assert resumed.steps == 12
    assert resumed.model.read_bytes() == whole.model.read_bytes()
    with pytest.raises(ValueError, match="margin is fixed"):
        tercet.train(resume=run, margin=0.1)
    with pytest.raises(FileExistsError):
        tercet.train(run=run, steps=12)


@pytest.mark.skipif(os.name != "posix", reason="sends a signal")
def test_ctrl_c_stops_training(tmp_path):
    code = """
import os, signal, sys, tercet
def progress(event):
    if event["kind"] == "step" and event["step"] == 5:
        os.kill(os.getpid(), signal.SIGINT)
try:
    tercet.train(run=sys.argv[1], steps=100_000, progress=progress)
except KeyboardInterrupt:
    sys.exit(7)
"""
    finished = subprocess.run([sys.executable, "-c", code, str(tmp_path / "run")], capture_output=True, text=True, timeout=300)
    assert finished.returncode == 7, finished.stderr
    assert list((tmp_path / "run" / "checkpoints").iterdir())


def pictures(count=6, channels=3):
    random = np.random.default_rng(0)
    shape = (count, 40, 30, channels) if channels else (count, 40, 30)
    return random.integers(0, 255, shape, dtype=np.uint8)


def test_models(trained, tmp_path):
    from PIL import Image

    run, _, folder = trained
    model = tercet.Model.load(run.model)
    assert (model.distance, model.normalize) == ("squared-euclidean", True)
    assert model.card["preprocessing"] and model.threshold > 0 and 0 <= model.probability(0.1) <= 1
    arrays = pictures()
    embeddings = model.embed(arrays)
    assert embeddings.shape == (6, model.dimensions) and embeddings.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, rtol=1e-5)
    paths = [tmp_path / f"{number}.png" for number in range(6)]
    for path, array in zip(paths, arrays, strict=True):
        Image.fromarray(array).save(path)
    for same in (list(arrays), paths, list(map(str, paths)), [Image.open(path) for path in paths], [paths[0], *arrays[1:]]):
        np.testing.assert_array_equal(model.embed(same), embeddings)
    assert model.embed(pictures(channels=0)).shape == model.embed(pictures(channels=1)).shape == embeddings.shape
    assert model.embed([]).shape == (0, model.dimensions)
    for copy in (pickle.loads(pickle.dumps(model)), tercet.Model.from_bytes(model.to_bytes()), run.load()):
        assert copy.fingerprint == model.fingerprint
        np.testing.assert_array_equal(copy.embed(arrays), embeddings)
    model.save(tmp_path / "copy.safetensors")
    assert (tmp_path / "copy.safetensors").read_bytes() == Path(run.model).read_bytes()


def test_models_in_several_threads(trained):
    model, arrays, found = trained[0].load(), pictures(), []
    threads = [threading.Thread(target=lambda: found.append(model.embed(arrays))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4 and all((one == found[0]).all() for one in found)


def test_wrong_pictures(trained, tmp_path):
    model = trained[0].load()
    (tmp_path / "text.png").write_text("no picture")
    for wrong, kind, message in (
        ([tmp_path / "missing.png"], (ValueError, OSError), "missing.png"), ([tmp_path / "text.png"], ValueError, "text.png"),
        ("one.png", TypeError, "expected a list of pictures"), ([3], TypeError, "a picture is a int"),
        ([np.zeros((4, 4))], TypeError, "a picture is of type float64: expected uint8"),
        ([np.zeros((4, 4, 2), np.uint8)], ValueError, r"a picture has the shape \[4, 4, 2\]"),
        (np.zeros((4, 4, 3), np.uint8), ValueError, "expected N×H×W×C"),
    ):
        with pytest.raises(kind, match=message):
            model.embed(wrong)
    with pytest.raises(FileNotFoundError):
        tercet.Model.load(tmp_path / "none.safetensors")
    with pytest.raises(ValueError, match="is not a model file"):
        tercet.Model.load(tmp_path / "text.png")


def test_a_gallery_of_vectors(batch, tmp_path):
    embeddings, labels = batch
    gallery = tercet.Gallery.create(tmp_path / "gallery", dimensions=16)
    ids = [f"item {row}" for row in range(180)]
    cameras = [{"camera": str(row % 2)} for row in range(180)]
    assert gallery.add(embeddings, ids, labels, attributes=cameras) == {"added": 180, "replaced": 0}
    assert len(gallery) == 180 and "item 3" in gallery and "item 999" not in gallery
    answer = gallery.search(embeddings[:5], k=4)
    rows, near = tercet.nearest(embeddings[:5], embeddings, k=4)
    assert [[hit.id for hit in hits] for hits in answer] == [[ids[row] for row in hits] for hits in rows]
    np.testing.assert_allclose([[hit.distance for hit in hits] for hits in answer], near, rtol=1e-5, atol=1e-6)
    assert answer.method == "exact" and answer[0][0].label == "0" and answer[0][0].same
    assert len(answer.to_pandas()) == 20 and "item 0" in answer._repr_html_()
    assert {hit.attributes["camera"] for hit in gallery.search(embeddings[:1], attributes={"camera": "1"})[0]} == {"1"}
    assert {hit.label for hit in gallery.search(embeddings[:1], labels=["7"])[0]} == {"7"}
    assert gallery.search(embeddings[:1], without=["item 0"])[0][0].id != "item 0"
    np.testing.assert_array_equal(gallery.vectors(["item 3"])[0], embeddings[3])
    other = tercet.Gallery.open(tmp_path / "gallery")
    gallery.remove(["item 0"])
    assert len(other) == 180 and other.refresh() and len(other) == 179
    assert gallery.item("item 0") is None and len(gallery.to_pandas()) == len(gallery.items()) == 179
    assert gallery.verify()["items"] == 179 and gallery.compact()["rows"] == 1
    gallery.back_up(tmp_path / "copy")
    assert len(tercet.Gallery.open(tmp_path / "copy")) == 179
    assert gallery.add(embeddings[1:2], ["item 1"], replace=True) == {"added": 0, "replaced": 1}
    with pytest.raises(ValueError, match="item 1"):
        gallery.add(embeddings[1:2], ["item 1"])
    with pytest.raises(KeyError, match="item 0"):
        gallery.remove(["item 0"])
    with pytest.raises(ValueError, match="dimensions|16"):
        gallery.search(embeddings[:, :3])
    with pytest.raises(ValueError, match="ids have 180 entries and labels 3"):
        gallery.add(embeddings, ids, [1, 2, 3])
    with pytest.raises(FileExistsError):
        tercet.Gallery.create(tmp_path / "gallery", dimensions=16)
    with pytest.raises(FileNotFoundError):
        tercet.Gallery.open(tmp_path / "nothing")
    with pytest.raises(ValueError, match="keeps no model"):
        gallery.search(["picture.png"])
    with pytest.raises(ValueError, match="expected one of them"):
        tercet.Gallery.create(tmp_path / "neither")


def test_a_gallery_of_pictures(trained, tmp_path):
    from PIL import Image

    gallery = tercet.Gallery.create(tmp_path / "gallery", trained[0].load())
    paths = [str(tmp_path / f"{number}.png") for number in range(6)]
    for path, array in zip(paths, pictures(), strict=True):
        Image.fromarray(array).save(path)
    gallery.add(paths)
    for opened in (gallery, tercet.Gallery.open(tmp_path / "gallery")):
        answer = opened.search(pictures()[2:3], k=2)
        assert answer[0][0].id == paths[2] and answer[0][0].distance == pytest.approx(0, abs=1e-6)
        assert answer.threshold is not None and answer[0][0].probability is not None
        assert opened.search([paths[4]])[0][0].id == paths[4]
    assert opened.model.fingerprint == trained[0].load().fingerprint


def run(*arguments, **options):
    return subprocess.run([sys.executable, "-m", "tercet", *arguments], capture_output=True, text=True, timeout=300, **options)


def test_the_command(trained, tmp_path):
    assert run("--version").stdout.split()[0] == "tercet"
    wrong = run("train", "--epochs", "3")
    assert wrong.returncode == 2 and "tercet train" in wrong.stderr and "__main__" not in wrong.stderr
    assert run("loss", str(tmp_path / "none.npy")).returncode == 1
    vectors, labels = tmp_path / "x.npy", tmp_path / "y.npy"
    np.save(vectors, np.arange(8, dtype=np.float32).reshape(4, 2))
    np.save(labels, np.array([0, 0, 1, 1]))
    finished = run("loss", str(vectors), "--labels", str(labels), "--json")
    assert finished.returncode == 0 and '"triplets":8' in finished.stdout.replace(" ", "")
    script = Path(sys.executable).with_name("tercet")
    if script.exists():
        assert subprocess.run([script, "--version"], capture_output=True, text=True).stdout.startswith("tercet")


def test_an_encoder_of_sentences(tmp_path):
    encoder = Path(__file__).parents[3] / "crates/tercet-onnx/tests/sentences/encoder"
    model = tercet.Model.load(encoder)
    vectors = model.embed_texts(["please play a song", "will it rain today"])
    assert vectors.shape == (2, model.dimensions) == (2, 12)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    assert model.embed_texts([]).shape == (0, 12)
    with pytest.raises(ValueError, match="text 2"):
        model.embed_texts(["rain", " "])
    model.save(tmp_path / "whole.safetensors")  # graph and tokeniser are in the file
    copy = tercet.Model.load(tmp_path / "whole.safetensors")
    np.testing.assert_array_equal(copy.embed_texts(["will it rain today"])[0], vectors[1])
