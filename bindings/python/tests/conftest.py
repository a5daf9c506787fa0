"""Batches that several tests use."""

import numpy as np
import pytest


@pytest.fixture
def batch():
    """180 vectors of 30 classes, 16 dimensions."""
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(30), 6)
    centres = random.normal(size=(30, 16))
    embeddings = centres[labels] + 0.6 * random.normal(size=(180, 16))
    return embeddings.astype(np.float32), labels
