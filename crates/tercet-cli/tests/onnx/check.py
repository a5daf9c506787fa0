"""Exported encoders in onnxruntime, and those of others in `tercet embed --onnx`.

    pip install -r requirements.txt && python check.py target/release/tercet

For every encoder: train a few steps on noise, export, and compare what onnxruntime and
`tercet embed --onnx` make of the graph with what `tercet embed MODEL` does.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
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
    ("mobilenet-v2", ["--width", "8"]),
    ("efficientnet-lite0", ["--width", "8"]),
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
    tercet("embed", "--onnx", file, images, "--out", work / "b.safetensors")
    compare("  tercet embed --onnx", expected, embeddings(work / "b.safetensors")[0])
    if told["output"]["normalized"]:
        assert np.allclose(np.linalg.norm(expected, axis=1), 1, atol=1e-5)


def foreign(work, images):
    """Strided and grouped convolutions, a residual, sizes left open, two outputs, no metadata."""
    random = np.random.default_rng(6)
    weights = {
        "stem": random.normal(size=(8, 3, 3, 3)) / 5,
        "depthwise": random.normal(size=(8, 1, 3, 3)) / 3,
        "pointwise": random.normal(size=(8, 8, 1, 1)) / 3,
        "head": random.normal(size=(5, 8)) / 3,
        "bias": random.normal(size=5),
    }
    info, node = helper.make_tensor_value_info, helper.make_node
    graph = helper.make_graph(
        [
            node("Conv", ["image", "stem"], ["a"], pads=[1, 1, 1, 1], strides=[2, 2]),
            node("Relu", ["a"], ["b"]),
            node("Conv", ["b", "depthwise"], ["c"], pads=[1, 1, 1, 1], group=8),
            node("HardSwish", ["c"], ["d"]),
            node("Conv", ["d", "pointwise"], ["e"]),
            node("Add", ["b", "e"], ["map"]),
            node("ReduceMean", ["map"], ["mean"], axes=[2, 3], keepdims=0),
            node("Gemm", ["mean", "head", "bias"], ["vector"], transB=1),
        ],
        "foreign",
        [info("image", TensorProto.FLOAT, ["n", 3, "h", "w"])],
        [info("map", TensorProto.FLOAT, None), info("vector", TensorProto.FLOAT, ["n", 5])],
        [numpy_helper.from_array(w.astype(np.float32), name) for name, w in weights.items()],
    )
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), work / "foreign.onnx")
    session = onnxruntime.InferenceSession(work / "foreign.onnx")
    tercet("embed", "--onnx", work / "foreign.onnx", images, "--size", SIDE, "--output", "vector",
           "--normalize", "--mean", "0.5,0.4,0.3", "--std", "0.25,0.5,1", "--out",
           work / "f.safetensors")
    got, ids = embeddings(work / "f.safetensors")
    batch = pixels(images, ids, 3).transpose(0, 2, 3, 1) / 255
    batch = ((batch - [0.5, 0.4, 0.3]) / [0.25, 0.5, 1]).transpose(0, 3, 1, 2)
    [expected] = session.run(["vector"], {"image": batch.astype(np.float32)})
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    compare("an encoder of others: tercet embed --onnx", expected, got)


def main():
    with tempfile.TemporaryDirectory() as work:
        work = Path(work)
        for colour, grey in [("colour", False), ("grey", True)]:
            make_images(work / colour, grey)
        for name, flags in ENCODERS:
            exported(work, work / ("grey" if "--channels" in flags else "colour"), name, flags)
        foreign(work, work / "colour")


if __name__ == "__main__":
    main()
