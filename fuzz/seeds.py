"""Where the fuzzer starts: `python seeds.py`, in an environment with requirements.txt.

Parquet files lie in crates/tercet-parquet/tests/files; corpus/model_file/tiny.safetensors is the
model of `tercet train quickstart --steps 1 --batch 2x2 --size 8 --depth 1 --width 4
--embedding-dim 4 --holdout 0`.
"""

import io
from pathlib import Path

import numpy as np
from PIL import Image
from safetensors.numpy import save

CORPUS = Path(__file__).parent / "corpus"
DRAW = np.random.default_rng(0)


def seed(target, name, content):
    path = CORPUS / target / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


matrix = np.arange(18, dtype="f4").reshape(9, 2) / 4
for name, array in {
    "f4": matrix,
    "f8-fortran": np.asfortranarray(matrix.astype("f8")),
    "f2-big-endian": matrix.astype(">f2"),
    "labels-i8": np.arange(9) % 3,
    "triplets-u1": np.array([[0, 1, 2], [3, 4, 5]], "u1"),
    "labels-unicode": np.array(["ann", "bob", "あ"] * 3),
    "labels-bytes": np.array([b"ann", b"bob", b"c"] * 3),
    "f8-beyond": np.array([[1.0, 1e300], [np.nan, 2.0], [3.0, -np.inf]]),
}.items():
    seed("embeddings_file", f"{name}.npy", npy(array))
huge = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000000000, 1000), }"
seed("embeddings_file", "huge.npy", b"\x93NUMPY\1\0" + len(huge).to_bytes(2, "little") + huge)
known = {"labels": '["a","b","a","b","c","c","d","e","e"]', "model": "beef"}
seed("embeddings_file", "known.safetensors", save({"embeddings": matrix}, known))
seed("embeddings_file", "half.safetensors", save({"embeddings": matrix.astype("f2")}))
pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0a\nsize 123\n"
for target in ["embeddings_file", "image_file", "model_file"]:
    seed(target, "lfs-pointer", pointer)
seed("embeddings_file", "labels-utf-16.txt", "ann\nbob\n".encode("utf-16"))
seed("embeddings_file", "labels.txt", "ann\nbob\r\nあ\n".encode() * 3)
seed("embeddings_file", "triplets.csv", b"anchor,positive,negative\n0,1,2\n3,4,8\n")

pixels = DRAW.integers(0, 256, (6, 5, 3), dtype="u1")
image = Image.fromarray(pixels)
for kind in ["png", "jpeg", "webp", "bmp", "ppm", "gif", "tiff"]:
    file = io.BytesIO()
    (image.convert("P") if kind == "gif" else image).save(file, kind)
    seed("image_file", kind, file.getvalue())
file = io.BytesIO()
image.convert("L").save(file, "jpeg", exif=b"Exif\0\0II*\0\x08\0\0\0\1\0\x12\1\3\0\1\0\0\0\6\0\0\0\0\0\0\0")
seed("image_file", "turned.jpeg", file.getvalue())

for name, options in {
    "progressive.jpeg": {"progressive": True},
    "restart.jpeg": {"restart_marker_blocks": 1},
    "444.jpeg": {"subsampling": "4:4:4", "optimize": True},
}.items():
    file = io.BytesIO()
    image.resize((40, 30)).save(file, "jpeg", **options)
    seed("image_file", name, file.getvalue())

for mode in [0, 1]:
    for selection in range(11):
        choices = bytes([mode, 130 if selection == 8 else selection, selection, selection, 1])
        items = DRAW.integers(0, 256, 120, dtype="u1").tobytes()
        if mode:
            rows = DRAW.integers(0, 256, 12)
            items = b"".join(
                bytes([row]) + DRAW.standard_normal(3).astype("<f4").tobytes() for row in rows
            )
        seed("evaluate", f"{mode}-{selection}", choices + bytes([selection, 2, 7]) + items)
