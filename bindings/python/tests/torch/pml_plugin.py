"""A plugin of pytest that puts the classes of `tercet.pml` in the place of the originals, to run the tests
of pytorch-metric-learning against them. In a checkout of pytorch-metric-learning:

    TEST_DEVICE=cpu PYTHONPATH=.../bindings/python/tests/torch python -m pytest -p pml_plugin tests/losses …
"""

import pytorch_metric_learning.losses
import pytorch_metric_learning.miners
import pytorch_metric_learning.samplers
import pytorch_metric_learning.utils.accuracy_calculator
import tercet.pml

PLACES = (pytorch_metric_learning.losses, pytorch_metric_learning.miners, pytorch_metric_learning.samplers,
          pytorch_metric_learning.utils.accuracy_calculator)

for name in tercet.pml.__all__:
    for place in PLACES:
        if hasattr(place, name):
            setattr(place, name, getattr(tercet.pml, name))


def pytest_terminal_summary(terminalreporter):
    terminalreporter.write_sep("=", "paths taken")
    for (name, path), count in sorted(tercet.pml.calls.items()):
        terminalreporter.write_line(f"{name:32} {path:6} {count}")
