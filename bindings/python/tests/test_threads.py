"""The interpreter lock, signals, threads and forks."""

import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import tercet


def large(rows=9000):
    random = np.random.default_rng(0)
    return random.normal(size=(rows, 64)).astype(np.float32), np.arange(rows) // 4


def test_other_threads_run_meanwhile():
    embeddings, labels = large()
    loss = tercet.TripletLoss("batch-all", soft=True)
    result = []
    worker = threading.Thread(target=lambda: result.append(loss(embeddings, labels)))
    worker.start()
    ticks = 0
    while worker.is_alive():
        time.sleep(0.001)
        ticks += 1
    assert result and ticks > 20


def test_several_threads_at_once(batch):
    expected = tercet.TripletLoss()(*batch).value
    found = []
    threads = [threading.Thread(target=lambda: found.extend(tercet.TripletLoss()(*batch).value for _ in range(50))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 400


INTERRUPTED = """
import os, signal, sys, threading, time
import numpy as np, tercet
rows = 60_000
embeddings = np.random.default_rng(0).normal(size=(rows, 64)).astype(np.float32)
labels = np.arange(rows) // 4
began = time.monotonic()
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell ignores it in background processes
threading.Timer(1.0, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
try:
    tercet.TripletLoss("batch-all", soft=True)(embeddings, labels)
except KeyboardInterrupt:
    print(f"{time.monotonic() - began:.2f}")
    small = tercet.TripletLoss()(embeddings[:64], labels[:64])
    assert small.census.anchors == 64
    sys.exit(3)
"""


@pytest.mark.skipif(os.name != "posix", reason="sends a signal")
def test_ctrl_c_stops_a_long_evaluation():
    finished = subprocess.run([sys.executable, "-c", INTERRUPTED], capture_output=True, text=True, timeout=300)
    assert finished.returncode == 3, finished.stderr
    assert float(finished.stdout) < 20


def test_the_number_of_threads():
    before = tercet.get_num_threads()
    try:
        embeddings, labels = large(2000)
        loss = tercet.TripletLoss("batch-hard", margin=0.2)
        values = []
        for count in (1, 3, 2):
            tercet.set_num_threads(count)
            assert tercet.get_num_threads() == count
            values.append(loss(embeddings, labels).value)
        assert values == pytest.approx([values[0]] * 3, rel=1e-9)
        tercet.set_num_threads(0)
        assert tercet.get_num_threads() >= 1
        for wrong in (-1, 5000):
            with pytest.raises(ValueError, match=f"n is {wrong}"):
                tercet.set_num_threads(wrong)
        with pytest.raises(TypeError):
            tercet.set_num_threads("two")
    finally:
        tercet.set_num_threads(before)


def run(code, **environment):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=os.environ | environment, timeout=60)


def test_the_environment_sets_the_threads():
    code = "import tercet; print(tercet.get_num_threads())"
    assert run(code, TERCET_NUM_THREADS="3").stdout == "3\n"
    assert run(code, RAYON_NUM_THREADS="2", TERCET_NUM_THREADS="0").stdout == "2\n"
    wrong = run(code, TERCET_NUM_THREADS="many")
    assert "ValueError: TERCET_NUM_THREADS is `many`" in wrong.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_computes(batch):
    # As the workers of a PyTorch DataLoader do.
    expected = tercet.TripletLoss()(*batch).value
    child = os.fork()
    if child == 0:
        status = 1
        try:
            status = 0 if tercet.TripletLoss()(*batch).value == expected else 2
        finally:
            os._exit(status)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            assert os.waitstatus_to_exitcode(status) == 0
            return
        time.sleep(0.05)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    pytest.fail("the forked process does not end")
