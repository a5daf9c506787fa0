"""Runs the tests of this folder where PyTorch is installed, on one thread."""

import importlib.util

# A folder called `torch` on the path is not PyTorch: look for a part of it.
try:
    installed = importlib.util.find_spec("torch.nn") is not None
except ModuleNotFoundError:
    installed = False

if installed:
    import torch

    torch.set_num_threads(1)
else:
    collect_ignore_glob = ["test_*.py"]
