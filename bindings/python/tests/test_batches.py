"""Samplers and the memory of past embeddings."""

import pickle

import numpy as np
import pytest

import tercet


def test_batches_have_p_classes_of_k_items(batch):
    labels = batch[1]
    sampler = tercet.PkSampler(labels, 7, 4, seed=3)
    assert len(sampler) == 30 // 7 and sampler.batch_size == 28
    epochs = [list(sampler) for _ in range(2)]
    assert epochs[0] != epochs[1] and sampler.epoch == 2 and sampler.step == 8
    for rows in epochs[0] + epochs[1]:
        assert len(set(rows)) == 28
        assert sorted(np.unique(labels[rows], return_counts=True)[1]) == [4] * 7
    again = tercet.PkSampler(labels, 7, 4, seed=3)
    assert [list(again) for _ in range(2)] == epochs
    assert list(tercet.PkSampler(labels, 7, 4, seed=4)) != epochs[0]


def test_a_sampler_continues_where_it_was(batch):
    labels = batch[1]
    whole = list(tercet.PkSampler(labels, 7, 4))
    sampler = tercet.PkSampler(labels, 7, 4)
    first = [rows for rows, _ in zip(sampler, range(2), strict=False)]
    sampler.step = 2  # trained steps: `zip` has drawn one more
    state = sampler.state_dict()
    resumed = tercet.PkSampler(labels, 7, 4)
    resumed.load_state_dict(state)
    assert first + list(resumed) == whole
    assert list(pickle.loads(pickle.dumps(sampler))) == whole[2:]
    with pytest.raises(ValueError, match="the state has k = 4: expected 3"):
        tercet.PkSampler(labels, 7, 3).load_state_dict(state)


def test_ranks_share_the_batch_of_one_process(batch):
    labels = batch[1]
    whole = list(tercet.PkSampler(labels, 8, 3, 1))
    ranks = [list(tercet.PkSampler(labels, 8, 3, 1, rank=rank, world_size=4)) for rank in range(4)]
    assert [sum(parts, []) for parts in zip(*ranks, strict=True)] == whole


def test_cameras_and_categories(batch):
    labels = batch[1]
    cameras = np.arange(180) % 2
    for rows in tercet.PkSampler(labels, 5, 2, cameras=cameras):
        assert all(len(set(cameras[rows[i : i + 2]])) == 2 for i in range(0, 10, 2))
    categories = np.array(["low", "high"])[(labels > 14).astype(int)]
    for rows in tercet.PkSampler(labels, 5, 2, categories=categories):
        assert len(set(categories[rows])) == 1
    odd = tercet.PkSampler([0, 0, 1, 1, 1, 2], 2, 3)
    assert (odd.left_out, odd.repeating) == (1, 1)


@pytest.mark.parametrize("arguments, message", [
    ({"p": 1}, "P is 1: expected at least 2"), ({"k": 1}, "K is 1: expected at least 2"),
    ({"p": 31}, "a batch of P×K needs at least P = 31 classes with two or more items, got 30 of 30"),
    ({"world_size": 3}, "world_size is 3: expected a divisor of P = 8"), ({"world_size": 0}, "world_size is 0"),
    ({"rank": 2, "world_size": 2}, "rank is 2: expected one from 0 to 1"),
    ({"cameras": [1, 2]}, "cameras is 2 for 180 items: expected one for each item"),
])
def test_wrong_samplers(batch, arguments, message):
    with pytest.raises(ValueError, match=message):
        tercet.PkSampler(batch[1], **({"p": 8, "k": 2} | arguments))


@pytest.mark.parametrize("text", [False, True])
def test_a_memory_is_frozen_vectors(batch, text):
    embeddings, labels = batch
    if text:
        labels = np.array([f"class {label}" for label in labels])
    rows = np.arange(180)
    loss = tercet.TripletLoss("batch-all", margin=1.0)
    memory = tercet.Memory(100, 16)
    assert memory.evaluate(loss, embeddings[:12], labels[:12], rows[:12]).value == loss(embeddings[:12], labels[:12]).value
    memory.push(embeddings[:60], labels[:60], rows[:60])
    current = rows[30:90]
    outcome = memory.evaluate(loss, embeddings[current], labels[current], current)
    expected = loss(embeddings[current], labels[current], frozen=(embeddings[:30], labels[:30]))
    assert outcome.value == expected.value and outcome.gradient.shape == (60, 16)
    unnumbered = memory.evaluate(loss, embeddings[current], labels[current])
    assert unnumbered.value == loss(embeddings[current], labels[current], frozen=(embeddings[:60], labels[:60])).value
    memory.push(embeddings[60:120], labels[60:120], rows[60:120])
    assert len(memory) == memory.capacity == 100
    kept, kept_labels, items = memory.entries()
    np.testing.assert_array_equal(items, rows[20:120])
    np.testing.assert_array_equal(kept, embeddings[20:120])
    assert list(kept_labels) == labels[20:120].tolist()
    for copy in (pickle.loads(pickle.dumps(memory)), tercet.Memory(100, 16)):
        copy.load_state_dict(memory.state_dict())
        copy.push(embeddings[120:], labels[120:], rows[120:])
        np.testing.assert_array_equal(copy.entries()[2], rows[80:])
    memory.clear()
    assert len(memory) == 0


def test_wrong_memories(batch):
    embeddings, labels = batch
    memory = tercet.Memory(10, 16)
    with pytest.raises(ValueError, match="expected at least 1"):
        tercet.Memory(0, 16)
    with pytest.raises(ValueError, match="queries have 3 dimensions and the gallery 16"):
        memory.push(embeddings[:, :3], labels)
    with pytest.raises(ValueError, match="a memory needs one item for each of the 180 rows, got 2"):
        memory.push(embeddings, labels, [1, 2])
    with pytest.raises(ValueError, match="items hold -1"):
        memory.push(embeddings[:1], labels[:1], [-1])
    memory.push(embeddings, labels)
    with pytest.raises(TypeError, match="labels are strings and those of the memory integers"):
        memory.push(embeddings, [str(label) for label in labels])
    with pytest.raises(ValueError, match="the state has capacity and dimensions 10 and 16: expected 9 and 16"):
        tercet.Memory(9, 16).load_state_dict(memory.state_dict())
    with pytest.raises(ValueError, match="the state has no `capacity`"):
        memory.load_state_dict({})
    with pytest.raises(TypeError):
        memory.evaluate("batch-hard", embeddings, labels)
