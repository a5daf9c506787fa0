"""Exported encoders in onnxruntime.

    pip install -r requirements.txt && python check.py target/release/tercet

For every encoder: train a few steps on noise, export, and compare what onnxruntime makes of the
graph with what `tercet embed` does.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from PIL import Image
from safetensors import safe_open

TOLERANCE = 1e-4

# name, further flags; every encoder, narrow, one of them normalised, one of them grey
ENCODERS = [
    ("small-cnn", ["--width", "8", "--channels", "1"]),
    ("small-cnn", ["--width", "8", "--objective", "facenet"]),
    ("small-cnn", ["--width", "8", "--pooling", "global"]),
    ("lunet", ["--width", "16"]),
    ("inception-small", ["--width", "16"]),
    ("resnet18", ["--width", "8"]),
    ("resnet34", ["--width", "4"]),
    ("resnet50", ["--width", "4"]),
]

SIDE = 32


def tercet(*arguments):
    done = subprocess.run(
        [sys.argv[1], *map(str, arguments), "--json", "--quiet"], capture_output=True, text=True
    )
    if done.returncode != 0:
        sys.exit(f"tercet {' '.join(map(str, arguments))}: {done.stderr}")
    return json.loads(done.stdout)


def make_images(folder, grey):
    random = np.random.default_rng(5)
    for label in ["ann", "bob", "cleo"]:
        (folder / label).mkdir(parents=True)
        tint = random.uniform(0, 128, size=3)
        for number in range(4):
            pixels = (random.uniform(0, 127, size=(SIDE, SIDE, 3)) + tint).astype(np.uint8)
            # Grey from the start: libraries turn colours into grey with different weights.
            image = Image.fromarray(pixels[:, :, 0] if grey else pixels)
            image.save(folder / label / f"{number}.png")


def embeddings(path):
    with safe_open(path, "np") as file:
        return file.get_tensor("embeddings"), json.loads(file.metadata()["ids"])


def pixels(folder, ids, channels):
    """N×C×H×W, 0 to 255, as the graph's documentation asks."""
    images = [np.asarray(Image.open(folder / name), np.float32) for name in ids]
    images = [image.reshape(SIDE, SIDE, channels).transpose(2, 0, 1) for image in images]
    return np.stack(images)


def compare(what, expected, got):
    difference = np.abs(expected - got).max() if expected.shape == got.shape else np.inf
    print(f"{what:45} {difference:.1e}")
    if not difference <= TOLERANCE * max(1, np.abs(expected).max()):
        sys.exit(f"{what}: {expected.shape} and {got.shape} differ by {difference}")


def exported(work, images, name, flags):
    what = " ".join([name, *flags])
    model, file = work / "model.safetensors", work / "model.onnx"
    tercet("train", images, "--encoder", name, "--size", SIDE, "--batch", "3x2", "--steps", 3,
           "--holdout", 0, *flags, "--out", model, "--run", work / what.replace(" ", ""))
    told = tercet("export", model, "--onnx", file)
    onnx.checker.check_model(file, full_check=True)
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])

    tercet("embed", model, images, "--out", work / "a.safetensors")
    expected, ids = embeddings(work / "a.safetensors")
    card = json.loads(session.get_modelmeta().custom_metadata_map["tercet"])
    assert card["encoder"]["name"] == name and card["preprocessing"]["width"] == SIDE
    batch = pixels(images, ids, card["preprocessing"]["channels"])
    [(_, *sides)] = [value.shape for value in session.get_inputs()]
    assert sides == list(batch.shape[1:]) and told["input"]["shape"][1:] == sides

    compare(f"{what}: onnxruntime", expected, session.run(["embeddings"], {"images": batch})[0])
    alone = [session.run(None, {"images": batch[i : i + 1]})[0] for i in range(len(batch))]
    compare("  one by one", expected, np.concatenate(alone))
    if told["output"]["normalized"]:
        assert np.allclose(np.linalg.norm(expected, axis=1), 1, atol=1e-5)


def main():
    with tempfile.TemporaryDirectory() as work:
        work = Path(work)
        for colour, grey in [("colour", False), ("grey", True)]:
            make_images(work / colour, grey)
        for name, flags in ENCODERS:
            exported(work, work / ("grey" if "--channels" in flags else "colour"), name, flags)


if __name__ == "__main__":
    main()
