"""One training loop, in which only the line that makes the loss differs.

    python replace_the_loss.py --batch 512
    python replace_the_loss.py --batch 64 --objective batch-hard --library sentence-transformers

Trains the same network from the same seed with the loss of a library and with its replacement in
`tercet.pml` or `tercet.sentence_transformers`. Prints the largest difference between the two loss curves
and the median times of a step and of the loss alone, forward and backward. The two take turns step by step, so that other work
on the machine touches both.
"""

import argparse
import statistics
import time

import torch


def losses(library, objective):
    """The line that differs: the original and its replacement."""
    if library == "pytorch-metric-learning":
        from pytorch_metric_learning import losses, miners

        import tercet.pml

        if objective == "batch-all":
            return losses.TripletMarginLoss(margin=0.2), tercet.pml.TripletMarginLoss(margin=0.2)
        if objective == "lifted":
            return losses.GeneralizedLiftedStructureLoss(), tercet.pml.GeneralizedLiftedStructureLoss()

        def mined(miner, loss):
            return lambda embeddings, labels: loss(embeddings, labels, miner(embeddings, labels))

        return (mined(miners.BatchHardMiner(), losses.TripletMarginLoss(margin=0.2)),
                mined(tercet.pml.BatchHardMiner(), tercet.pml.TripletMarginLoss(margin=0.2)))
    import tercet.sentence_transformers as replacements
    from tercet.sentence_transformers import losses as originals

    name = {"batch-all": "BatchAllTripletLoss", "batch-hard": "BatchHardTripletLoss", "semi-hard": "BatchSemiHardTripletLoss"}[objective]
    made = [getattr(module, name)(torch.nn.Identity(), margin=0.5) for module in (originals, replacements)]
    return tuple(lambda embeddings, labels, loss=loss: loss([{"sentence_embedding": embeddings}], labels) for loss in made)


class Data:
    """Classes as centres in a space that a fixed random layer folds, with noise."""

    def __init__(self, batch, items):
        generator = torch.Generator().manual_seed(1)
        self.centres = torch.randn(4 * batch // items, 32, generator=generator)
        self.fold = torch.randn(32, 64, generator=generator)
        self.batch, self.items, self.generator = batch, items, generator

    def step(self):
        classes = torch.randperm(len(self.centres), generator=self.generator)[: self.batch // self.items]
        labels = classes.repeat_interleave(self.items)
        x = self.centres[labels] + torch.randn(len(labels), 32, generator=self.generator)
        return torch.sin(x @ self.fold / 4), labels


def learner(rate):
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(64, 256), torch.nn.ReLU(), torch.nn.Linear(256, 128))
    return model, torch.optim.SGD(model.parameters(), lr=rate, momentum=0.9)


def step(model, optimizer, loss, x, labels):
    """One step of training: the loss, its time and the time of the step."""
    start = time.perf_counter()
    embeddings = model(x)
    before = time.perf_counter()
    leaf = embeddings.detach().requires_grad_()
    value = loss(leaf, labels)
    value.backward()
    after = time.perf_counter()
    embeddings.backward(leaf.grad)
    optimizer.step()
    optimizer.zero_grad()
    return value.item(), after - before, time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--library", default="pytorch-metric-learning", choices=["pytorch-metric-learning", "sentence-transformers"])
    parser.add_argument("--objective", default="batch-all", choices=["batch-all", "batch-hard", "semi-hard", "lifted"])
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--items", type=int, default=4, help="of each class in a batch")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--learning-rate", type=float, default=0.01)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    import tercet

    tercet.set_num_threads(options.threads)
    pair = losses(options.library, options.objective)
    learners, data = [learner(options.learning_rate) for _ in pair], Data(options.batch, options.items)
    runs = [[], []]
    for _ in range(options.steps):
        x, labels = data.step()
        for run, (model, optimizer), loss in zip(runs, learners, pair):
            run.append(step(model, optimizer, loss, x, labels))
    difference = max(abs(a[0] - b[0]) for a, b in zip(*runs))
    print(f"{options.library} {options.objective}, B = {options.batch}, K = {options.items}, {options.steps} steps, {options.threads} threads")
    print(f"loss {runs[0][0][0]:.5f} → {runs[0][-1][0]:.5f}; replaced {runs[1][0][0]:.5f} → {runs[1][-1][0]:.5f}; largest difference {difference:.1e}")
    for place, what in ((2, "step"), (1, "loss")):
        original, replaced = (statistics.median(entry[place] for entry in run[3:]) * 1e3 for run in runs)
        print(f"{what}: {original:.2f} ms, replaced {replaced:.2f} ms, ratio {original / replaced:.1f}")


if __name__ == "__main__":
    main()
