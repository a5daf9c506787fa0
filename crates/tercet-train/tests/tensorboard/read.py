"""Reads the event file of a run with TensorBoard's own reader, and compares it with metrics.jsonl.

    pip install -r requirements.txt && python read.py RUN

Every scalar must be there once a step, with the value of its line. Sums of records are checked by the
reader.
"""

import collections
import glob
import json
import os
import sys

from tensorboard.backend.event_processing import event_file_loader

TAGS = {
    "step": {
        "train/loss": lambda line: line["loss"],
        "train/active": lambda line: line["active"],
        "train/violated": lambda line: line["violated"],
        "train/learning_rate": lambda line: line["learning_rate"],
        "norm/p50": lambda line: line["norm"]["p50"],
        "distance/p95": lambda line: line["distance"]["p95"],
        "collapse/spread": lambda line: line["spread"],
    },
    "judged": {
        "{on}/recall_at_1": lambda line: line["recall_at_1"],
        "{on}/map_at_r": lambda line: line["map_at_r"],
    },
}

run = sys.argv[1]
(path,) = glob.glob(os.path.join(run, "tensorboard", "events.out.tfevents.*"))
found = collections.defaultdict(list)
for event in event_file_loader.LegacyEventFileLoader(path).Load():
    for value in event.summary.value:
        found[value.tag, event.step].append(value.simple_value)

expected = 0
with open(os.path.join(run, "metrics.jsonl")) as lines:
    for line in map(json.loads, lines):
        for tag, value in TAGS.get(line["kind"], {}).items():
            tag, value = tag.format(**line), value(line)
            (got,) = found[tag, line["step"]]
            assert abs(got - value) <= 1e-6 * max(1.0, abs(value)), (tag, line["step"], got, value)
            expected += 1
twice = [key for key, values in found.items() if len(values) != 1]
assert not twice, twice
assert expected > 0
print(f"{len(found)} scalars, each once; {expected} compared with metrics.jsonl")
