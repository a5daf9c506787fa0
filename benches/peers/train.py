"""Training by Tercet beside PyTorch: the same network, recipe and images, over some seeds.

    python train.py --omniglot images_background.zip

Network: blocks of convolution 3x3, batch norm, ReLU and max-pooling 2x2, then a linear layer.
Recipe: P x K batches, batch-hard with a soft margin, Adam whose rate falls after 0.6 of the steps.
Both learn from four fifths of the characters as 28x28 PNG files, and embed the others; `tercet eval`
judges both. Seconds are those of the whole of it but for judging: reading, training, embedding.
"""

import argparse
import json
import random
import subprocess
import tempfile
import time
import zipfile
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from network import batch_hard, network
from PIL import Image

SIDE, BLOCKS, WIDTH, DIMENSIONS = 28, 3, 64, 64

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--omniglot", required=True)
parser.add_argument("--tercet", default="target/release/tercet")
parser.add_argument("--threads", type=int, default=torch.get_num_threads())
parser.add_argument("--seeds", type=int, default=3)
parser.add_argument("--steps", type=int, default=1000)
parser.add_argument("--batch", default="16x4")
arguments = parser.parse_args()
torch.set_num_threads(arguments.threads)


def unpack(folder):
    """`train` and `unseen`, a folder a character, every fifth of them unseen."""
    classes = {}
    with zipfile.ZipFile(arguments.omniglot) as archive:
        for name in sorted(name for name in archive.namelist() if name.endswith(".png")):
            classes.setdefault("-".join(name.split("/")[-3:-1]), []).append(archive.read(name))
    for number, (character, drawings) in enumerate(sorted(classes.items())):
        target = folder / ("unseen" if number % 5 == 4 else "train") / character
        target.mkdir(parents=True)
        for index, drawing in enumerate(drawings):
            image = Image.open(BytesIO(drawing)).convert("L").resize((SIDE, SIDE), Image.LANCZOS)
            image.save(target / f"{index:02}.png")


def read(folder):
    """Images from 0 to 1, N x 1 x H x W, and their classes."""
    images, labels = [], []
    for label, character in enumerate(sorted(folder.iterdir())):
        for file in sorted(character.iterdir()):
            images.append(np.asarray(Image.open(file), np.float32) / 255)
            labels.append(label)
    return torch.from_numpy(np.stack(images)[:, None]), np.array(labels)


def peer(folder, seed):
    """The embeddings of the unseen characters, by PyTorch in the layout that suits its CPU kernels."""
    torch.manual_seed(seed)
    draw = random.Random(seed)
    images, labels = read(folder / "train")
    mean, std = images.mean(), images.std()
    images = ((images - mean) / std).contiguous(memory_format=torch.channels_last)
    items = [np.flatnonzero(labels == label) for label in range(labels.max() + 1)]
    p, k = map(int, arguments.batch.split("x"))
    classes = torch.arange(p).repeat_interleave(k)
    model = network(SIDE, 1, BLOCKS, WIDTH, DIMENSIONS).to(memory_format=torch.channels_last)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
    steady = 0.6 * arguments.steps
    for step in range(arguments.steps):
        fallen = max(0.0, (step - steady) / (arguments.steps - steady))
        optimiser.param_groups[0]["lr"] = 1e-3 * 0.001**fallen
        chosen = [draw.sample(list(of), k) for of in draw.sample(items, p)]
        optimiser.zero_grad()
        batch_hard(model(images[np.concatenate(chosen)]), classes).backward()
        optimiser.step()
    model.eval()
    unseen, labels = read(folder / "unseen")
    with torch.no_grad():
        parts = [model((part - mean) / std) for part in unseen.split(256)]
    np.save(folder / "peer.npy", torch.cat(parts).numpy())
    (folder / "peer.labels.txt").write_text("".join(f"{label}\n" for label in labels))
    return folder / "peer.npy"


def ours(folder, seed):
    model, out = folder / "model.safetensors", folder / "ours.safetensors"
    tercet("train", f"folder:{folder / 'train'}", "--run", folder / f"run-{seed}", "--out", model,
           "--holdout", 0, "--size", SIDE, "--channels", 1, "--augment", "none", "--depth", BLOCKS,
           "--width", WIDTH, "--embedding-dim", DIMENSIONS, "--objective", "batch-hard", "--batch",
           arguments.batch, "--steps", arguments.steps, "--seed", seed)  # fmt: skip
    tercet("embed", model, f"folder:{folder / 'unseen'}", "--out", out)
    return out


def tercet(*command):
    command = [arguments.tercet, *map(str, command), "--quiet", "--json"]
    if command[1] != "eval":
        command += ["--threads", str(arguments.threads)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def spread(values):
    return f"{np.mean(values):.3f} ± {np.std(values, ddof=1):.3f}"


rows = {"PyTorch": [], "Tercet": []}
with tempfile.TemporaryDirectory() as folder:
    folder = Path(folder)
    unpack(folder)
    for seed in range(arguments.seeds):
        for name, train in [("Tercet", ours), ("PyTorch", peer)]:
            began = time.perf_counter()
            embeddings = train(folder, seed)
            seconds = time.perf_counter() - began
            labels = folder / "peer.labels.txt"
            judged = tercet("eval", embeddings, *(["--labels", labels] if train is peer else []))
            rows[name].append((judged["recall_at_k"]["1"], judged["map_at_r"], seconds))
            print(f"seed {seed}  {name:8}", *(f"{value:.3f}" for value in rows[name][-1]), flush=True)

print(f"\n{arguments.steps} steps of {arguments.batch}, {arguments.threads} threads, "
      f"PyTorch {torch.__version__}, mean ± deviation over {arguments.seeds} seeds\n")  # fmt: skip
print("| | Recall@1 | MAP@R | time / PyTorch |")
print("|---|--:|--:|--:|")
floor = np.median([row[2] for row in rows["PyTorch"]])
for name, values in rows.items():
    recall, precision, seconds = zip(*values)
    ratio = np.median(seconds) / floor
    print(f"| {name} | {spread(recall)} | {spread(precision)} | {ratio:.2f} |")
