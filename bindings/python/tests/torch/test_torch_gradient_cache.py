import pytest
import tercet.torch
import torch


def network(dropout=0.0):
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(10, 32), torch.nn.ReLU(), torch.nn.Dropout(dropout), torch.nn.Linear(32, 6))


def gradients(model):
    return torch.cat([parameter.grad.flatten() for parameter in model.parameters()])


def data():
    torch.manual_seed(1)
    return torch.randn(50, 10), torch.arange(50) % 7


@pytest.mark.parametrize("chunk_size", [1, 7, 50, 64])
@pytest.mark.parametrize("preset", ["batch-all", "batch-hard"])
def test_exact_gradient(preset, chunk_size):
    x, labels = data()
    loss, model, cached = tercet.torch.TripletLoss(preset), network(), network()
    expected = loss(model(x), labels)
    expected.backward()
    value = tercet.torch.GradientCache(cached, loss, chunk_size)(x, labels)
    torch.testing.assert_close(value, expected.detach())
    torch.testing.assert_close(gradients(cached), gradients(model), rtol=1e-4, atol=1e-6)


def test_dropout_sees_the_same_numbers_in_both_passes():
    """With chunks of the whole batch, the same seed gives the gradient of the plain computation."""
    x, labels = data()
    loss, model, cached = tercet.torch.TripletLoss("batch-all"), network(0.5), network(0.5)
    torch.manual_seed(3)
    loss(model(x), labels).backward()
    after = torch.rand(1)
    torch.manual_seed(3)
    tercet.torch.GradientCache(cached, loss, 50)(x, labels)
    torch.testing.assert_close(gradients(cached), gradients(model), rtol=1e-5, atol=1e-7)
    assert torch.rand(1) == after
    seen = []
    cached[2].register_forward_hook(lambda module, inputs, output: seen.append(output.detach() == 0))
    tercet.torch.GradientCache(cached, loss, 10)(x, labels)
    assert len(seen) == 10 and all((first == second).all() for first, second in zip(seen[:5], seen[5:]))
    assert (seen[0] != seen[1]).any()


def test_chunks_without_a_gradient_are_not_embedded_again():
    model = torch.nn.Linear(2, 2, bias=False)
    with torch.no_grad():
        model.weight.copy_(torch.eye(2))
    x = torch.tensor([[0.0, 0], [1, 0], [0.5, 0], [1.5, 0], [100, 0], [100, 0.1], [200, 0], [200, 0.1]])
    calls = []
    model.register_forward_hook(lambda *_: calls.append(1))
    loss = tercet.torch.TripletLoss("batch-hard", margin=0.2)
    tercet.torch.GradientCache(model, loss, 4)(x, torch.tensor([0, 0, 1, 1, 2, 2, 3, 3]))
    assert len(calls) == 3


def test_several_inputs_by_position_or_keyword_and_a_scaler():
    class Two(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = network()

        def forward(self, left, right):
            return self.inner(left + 2 * right)

    x, labels = data()
    loss, plain = tercet.torch.TripletLoss("batch-all"), Two()
    loss(plain(x, x.flip(0)), labels).backward()
    for inputs in ((x, x.flip(0)), {"left": x, "right": x.flip(0)}):
        model = Two()
        tercet.torch.GradientCache(model, loss, 8)(inputs, labels, scaler=torch.amp.GradScaler("cpu", init_scale=128.0))
        torch.testing.assert_close(gradients(model) / 128, gradients(plain), rtol=1e-4, atol=1e-6)
    with pytest.raises(ValueError, match="one number of rows"):
        tercet.torch.GradientCache(Two(), loss, 8)((x, x[:3]), labels)


def test_batch_normalisation_is_refused_in_training_mode():
    model = torch.nn.Sequential(torch.nn.Linear(10, 4), torch.nn.BatchNorm1d(4))
    x, labels = data()
    cache = tercet.torch.GradientCache(model, tercet.torch.TripletLoss(), 16)
    with pytest.raises(ValueError, match="`1` is batch normalisation"):
        cache(x, labels)
    model.eval()
    cache(x, labels)
    assert model[0].weight.grad is not None
