"""The first example of the README runs, and its tables name what exists."""

import re
from pathlib import Path

import numpy as np

import tercet

README = (Path(__file__).parents[1] / "README.md").read_text()


def test_the_first_example():
    (code,) = re.findall(r"```python\nimport numpy.*?```", README, re.S)
    names = {}
    exec(code.removeprefix("```python").removesuffix("```"), names)
    assert names["outcome"].gradient.shape == (64, 32)


def test_the_table_of_calls(batch):
    x, labels = batch
    r = f = x[:10]
    r_labels = f_labels = labels[:10]
    loss = tercet.TripletLoss("batch-hard", margin=0.2, normalize=True)
    a, p, n = loss.triplets(x, labels)
    calls = re.findall(r"^\| `(loss[.(].*?)` \|", README, re.M)
    assert len(calls) == 9
    for call in calls:
        eval(call.replace("…", "(f, f_labels)"), locals() | {"np": np})


def test_classes_and_functions_exist():
    section = README[README.index("## Evaluation") : README.index("## What goes in")]
    for name in re.findall(r"`(?:tercet\.)?([A-Za-z]+)`", section):
        assert hasattr(tercet, name) or not tercet._HAS_NETWORKS, name
