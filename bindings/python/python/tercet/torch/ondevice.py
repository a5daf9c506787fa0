"""The objectives in PyTorch operations, without a list of triplets: for CUDA, MPS and XPU tensors.

For a tile of T anchors and all M candidates the rule yields W (T×M), the derivative of the sum of
penalties by each distance. Two matrix products turn W into the gradient of the vectors. Value and gradient
are exact: nothing is sampled.

Cost, for B anchors, M candidates, D components and at most P items in a class:

- distances and gradient: 3 products of B×M×D,
- ``all`` with a hinge: per anchor a sort of P thresholds, and 2 binary searches of M distances among P,
  O(B·(M + P)·log P) in total, however many triplets there are,
- ``hard`` and ``easy-positive``: O(B·M),
- the semi-hard selections: a sort of M distances an anchor, O(B·M·log M),
- memory: about 10 arrays of T×M numbers with T·M ≤ 2²³, and one T×P table. No B×M matrix is kept.

The host waits for the device three times per evaluation: for the check that all values are finite, the
size of the largest class, and the pairs whose distance is computed again from differences.
"""

import contextlib
import dataclasses

import torch
from torch.nn import functional

# Numbers of one T×M array: 32 MiB of float32.
TILE = 1 << 23
# Squared distances below this share of ‖x‖² + ‖y‖² are computed again from the difference, because
# ‖x‖² + ‖y‖² − 2x·y has lost their digits: relative error of the others below 1e-3.
CLOSE = 1e-3
# A soft penalty counts as active above this value, as in the core.
SOFT_ACTIVE = 1e-5

ONE_PER_ANCHOR = ("hard", "easy-positive", "easy-positive-semi-hard")
ONE_PER_PAIR = ("semi-hard", "semi-hard-fallback")


@dataclasses.dataclass
class Evaluated:
    """Value and gradients as tensors on the device; the counts are tensors too, read when they are asked for."""

    value: torch.Tensor
    anchor_gradient: torch.Tensor
    candidate_gradient: torch.Tensor
    counts: dict


def supports(objective):
    """Whether this module evaluates the objective; the host evaluates all of them."""
    if objective.selection == "all":
        return objective.penalty == "hinge"
    return objective.selection in ONE_PER_ANCHOR + ONE_PER_PAIR


def evaluate(objective, anchors, anchor_classes, candidates, candidate_classes, own=None):
    """Evaluates `objective` with `anchors` (N×D) against `candidates` (M×D); classes are integers.

    `own[i]` is the candidate that shows the same item as anchor i, which is never its positive; None if
    no candidate does. The gradients of anchors and candidates are separate.
    """
    with torch.no_grad(), full_precision(anchors.device):
        left = Vectors(anchors, objective)
        right = left if candidates is anchors else Vectors(candidates, objective)
        offset = right.rows.mean(0) if len(right.rows) else 0
        x, y = left.rows - offset, right.rows - offset
        table = ClassTable(candidate_classes, anchor_classes)
        anchor_sum, candidate_sum = torch.zeros_like(x), torch.zeros_like(y)
        totals = Totals(x.device)
        step = max(1, TILE // max(1, len(y)))
        for start in range(0, len(x), step):
            rows = slice(start, min(start + step, len(x)))
            own_tile = None if own is None else own[rows]
            tile = Tile(objective, x[rows], y, left.zero[rows], right.zero, table.of(rows, own_tile), own_tile)
            weights = tile.evaluate(totals)
            forces = tile.forces(weights)
            tile.add_close(forces, anchor_sum[rows], candidate_sum)
            anchor_sum[rows] += forces.sum(1, keepdim=True) * x[rows] - forces @ y
            candidate_sum += forces.sum(0).unsqueeze(1) * y - forces.T @ x[rows]
        scale = totals.scale(objective)
        return Evaluated(
            totals.value * scale,
            left.pull_back(anchor_sum * scale.float()),
            right.pull_back(candidate_sum * scale.float()),
            totals.counts(),
        )


@contextlib.contextmanager
def full_precision(device):
    """Matrix products in float32: neither autocast nor TF32, whose errors exceed small distances."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with torch.autocast(device.type, enabled=False):
            yield
    finally:
        torch.set_float32_matmul_precision(before)


def double(device):
    """The type of sums: float64 where the device has it."""
    return torch.float32 if device.type == "mps" else torch.float64


class Vectors:
    """Vectors as the distance sees them, and the way back for gradients."""

    def __init__(self, vectors, objective):
        rows = vectors.detach().float()
        finite = torch.isfinite(rows).all(1)
        if not finite.all():
            row = int((~finite).nonzero()[0])
            raise ValueError(f"row {row} holds a value that is not finite")
        self.on_sphere = objective.normalize or objective.distance == "cosine"
        if self.on_sphere:
            norms = rows.norm(dim=1, keepdim=True)
            self.inverse_norms = torch.where(norms > 0, 1 / norms, 0)
            rows = rows * self.inverse_norms
        self.rows = rows
        self.zero = self.inverse_norms[:, 0] == 0 if self.on_sphere else torch.zeros_like(finite)

    def pull_back(self, gradient):
        """∂/∂x from ∂/∂x̂ with x̂ = x/‖x‖: (g − (g·x̂) x̂)/‖x‖."""
        if not self.on_sphere:
            return gradient
        along = (gradient * self.rows).sum(1, keepdim=True)
        return (gradient - along * self.rows) * self.inverse_norms


class ClassTable:
    """For each class the candidates in it, padded to the largest class with −1."""

    def __init__(self, candidate_classes, anchor_classes):
        classes = torch.cat([candidate_classes, anchor_classes])
        _, classes = torch.unique(classes, return_inverse=True)
        self.candidates, self.anchors = classes[: len(candidate_classes)], classes[len(candidate_classes) :]
        total = int(classes.max()) + 1 if len(classes) else 0
        sizes = torch.bincount(self.candidates, minlength=total)
        self.width = int(sizes.max()) if total else 0
        order = torch.argsort(self.candidates, stable=True)
        place = torch.arange(len(order), device=order.device) - (sizes.cumsum(0) - sizes)[self.candidates[order]]
        self.items = order.new_full((total, self.width), -1)
        self.items[self.candidates[order], place] = order

    def of(self, rows, own):
        """Same-class mask (T×M) and table of positives (T×P, −1 where there is none) of some anchors."""
        classes = self.anchors[rows]
        same = classes.unsqueeze(1) == self.candidates.unsqueeze(0)
        positives = self.items[classes]
        if own is not None:
            positives = torch.where(positives == own.unsqueeze(1), -1, positives)
        return same, positives


class Totals:
    """Sums over the tiles."""

    NAMES = ("triplets", "selected", "active", "violated", "anchors", "anchors_without_positive",
             "anchors_without_negative", "positive_pairs", "negative_pairs")

    def __init__(self, device):
        self.integers = {name: torch.zeros((), dtype=torch.int64, device=device) for name in self.NAMES}
        sums = double(device)
        self.value = torch.zeros((), dtype=sums, device=device)
        self.positive_distances = torch.zeros((), dtype=sums, device=device)
        self.negative_distances = torch.zeros((), dtype=sums, device=device)

    def count(self, name, mask_or_counts):
        self.integers[name] += mask_or_counts.sum(dtype=torch.int64)

    def scale(self, objective):
        """1 / the number of terms, 0 without any."""
        if objective.reduction == "sum":
            return torch.ones_like(self.value)
        by_active = objective.reduction == "mean-active" and objective.penalty != "soft"
        name = "anchors" if objective.reduction == "mean-anchors" else "active" if by_active else "selected"
        terms = self.integers[name].to(self.value.dtype)
        return torch.where(terms > 0, 1 / terms, 0)

    def counts(self):
        mean = lambda total, pairs: torch.where(pairs > 0, total / pairs.clamp(min=1), 0)
        counts = dict(self.integers)
        positive_pairs, negative_pairs = counts.pop("positive_pairs"), counts.pop("negative_pairs")
        counts["mean_positive_distance"] = mean(self.positive_distances, positive_pairs)
        counts["mean_negative_distance"] = mean(self.negative_distances, negative_pairs)
        return counts


class Tile:
    """T anchors against all candidates."""

    def __init__(self, objective, x, y, zero_x, zero_y, classes, own):
        self.objective, self.x, self.y, self.own = objective, x, y, own
        self.same, self.positives = classes
        self.is_positive = self.positives >= 0
        self.place = self.positives.clamp(min=0)
        self.unusable = zero_x.unsqueeze(1) | zero_y.unsqueeze(0) if objective.distance == "cosine" else None
        self.distances = self.measure()
        infinite = torch.full((), torch.inf, device=x.device)
        self.to_positives = self.distances.gather(1, self.place) if len(y) else self.distances
        self.to_negatives = torch.where(self.same, infinite, self.distances)

    def measure(self):
        """Distances (T×M), accurate for near duplicates as well."""
        squared_x, squared_y = self.x.square().sum(1, keepdim=True), self.y.square().sum(1)
        limit = squared_x + squared_y
        squared = torch.addmm(limit, self.x, self.y.T, alpha=-2)
        close = squared < CLOSE * limit
        if self.own is not None:
            close[torch.arange(len(self.own), device=close.device), self.own] = False
        self.close = close.nonzero(as_tuple=True)
        for rows, columns in self.close_parts():
            squared[rows, columns] = (self.x[rows] - self.y[columns]).square().sum(1)
        squared.clamp_(min=0)
        if self.objective.distance == "euclidean":
            return squared.sqrt_()
        if self.objective.distance == "cosine":
            # ‖x̂ − ŷ‖²/2 = 1 − x̂·ŷ; the distance to a zero vector is 1.
            return torch.where(self.unusable, 1.0, squared / 2)
        return squared

    def close_parts(self):
        """The close pairs, as many at a time as the memory of a tile allows."""
        share = max(1, TILE // max(1, self.x.shape[1]))
        return zip(*(indices.split(share) for indices in self.close))

    def add_close(self, forces, anchor_sum, candidate_sum):
        """Moves the forces of close pairs from the matrix to the sums, through x − y: a product would
        lose the digits of the difference."""
        for rows, columns in self.close_parts():
            pulls = forces[rows, columns].unsqueeze(1) * (self.x[rows] - self.y[columns])
            anchor_sum.index_add_(0, rows, pulls)
            candidate_sum.index_add_(0, columns, -pulls)
        forces[self.close] = 0

    def evaluate(self, totals):
        """Adds to the sums, and returns W (T×M)."""
        positives, negatives = self.is_positive.sum(1), (~self.same).sum(1)
        totals.count("triplets", positives * negatives)
        totals.count("anchors", (positives > 0) & (negatives > 0))
        totals.count("anchors_without_positive", positives == 0)
        totals.count("anchors_without_negative", negatives == 0)
        totals.count("positive_pairs", positives)
        totals.count("negative_pairs", negatives)
        total = lambda values, mask: torch.where(mask, values, 0).sum(dtype=totals.value.dtype)
        totals.positive_distances += total(self.to_positives, self.is_positive)
        totals.negative_distances += total(self.distances, ~self.same)
        if self.distances.numel() == 0:
            return self.distances
        if self.objective.selection == "all":
            return self.all_hinge(totals, positives)
        if self.objective.selection in ONE_PER_ANCHOR:
            return self.add_pairs(totals, *self.one_per_anchor())
        return self.add_pairs(totals, *self.one_per_pair(negatives))

    def all_hinge(self, totals, positives):
        """Σ max(0, t − d_n) over thresholds t = d_p + margin and negatives n.

        With the thresholds sorted, negative n has c_n = |{t > d_n}| terms, whose thresholds are a suffix
        of the list: their sum is Σ t − c_n d_n, by prefix sums. ∂/∂d_n = −c_n, and ∂/∂d_p is the number
        of negatives nearer than t_p, which the histogram of the ranks yields.
        """
        width = self.positives.shape[1]
        low = torch.full((), -torch.inf, device=self.x.device)
        thresholds = torch.where(self.is_positive, self.to_positives + self.objective.margin, low)
        ordered, order = thresholds.sort(1)
        # Missing positives have the threshold −∞ and come first: no negative is below it.
        rank = torch.searchsorted(ordered, self.to_negatives.contiguous(), right=True)
        above = width - rank
        prefix = functional.pad(torch.where(ordered == low, 0, ordered).to(totals.value.dtype).cumsum(1), (1, 0))
        sums = prefix[:, -1:] - prefix.gather(1, rank)
        near = above > 0
        terms = torch.where(near, sums - above * torch.where(near, self.distances, 0), 0)
        totals.value += terms.sum()
        totals.count("active", above)
        totals.count("selected", positives * (~self.same).sum(1))
        # d_n ≤ d_p, from the same list without the margin.
        plain = torch.where(self.is_positive, self.to_positives, low).sort(1).values
        totals.count("violated", width - torch.searchsorted(plain, self.to_negatives.contiguous(), right=False))
        weights = -above.to(self.distances.dtype)
        histogram = torch.zeros((len(rank), width + 1), dtype=self.distances.dtype, device=rank.device)
        histogram.scatter_add_(1, rank, near.to(histogram.dtype))
        nearer = histogram.cumsum(1)[:, :width]
        nearer = torch.where(self.is_positive.gather(1, order), nearer, 0)
        return weights.scatter_add_(1, self.place.gather(1, order), nearer)

    def one_per_anchor(self):
        """The positive and the negative of each anchor (T×1 each), and whether there are such."""
        row = self.to_positives
        if self.objective.selection == "hard":
            best, place = torch.where(self.is_positive, row, -torch.inf).max(1, keepdim=True)
        else:
            best, place = torch.where(self.is_positive, row, torch.inf).min(1, keepdim=True)
        candidates = self.to_negatives
        if self.objective.selection == "easy-positive-semi-hard":
            candidates = torch.where(candidates > best, candidates, torch.inf)
        nearest, negative = candidates.min(1, keepdim=True)
        return self.place.gather(1, place), best, negative, nearest, best.isfinite() & nearest.isfinite()

    def one_per_pair(self, negatives):
        """A negative for each positive (T×P each), and whether there is one."""
        ordered, order = self.to_negatives.sort(1)
        rank = torch.searchsorted(ordered, self.to_positives.contiguous(), right=True)
        negatives = negatives.unsqueeze(1)
        found = rank < negatives
        if self.objective.selection == "semi-hard-fallback":
            rank = torch.where(found, rank, negatives - 1)
            found = negatives > 0
        rank = rank.clamp(0, ordered.shape[1] - 1)
        nearest, negative = ordered.gather(1, rank), order.gather(1, rank)
        if self.objective.selection == "semi-hard":
            found = found & (nearest < self.to_positives + self.objective.margin)
        return self.place, self.to_positives, negative, nearest, found & self.is_positive

    def add_pairs(self, totals, positive, d_ap, negative, d_an, chosen):
        """Adds chosen triplets, at most P an anchor, and returns W."""
        excess = torch.where(chosen, d_ap - d_an + self.objective.margin, -torch.inf)
        if self.objective.penalty == "soft":
            value, slope = functional.softplus(excess, threshold=100), torch.sigmoid(excess)
        elif self.objective.penalty == "squared-hinge":
            value, slope = excess.clamp(min=0).square(), 2 * excess.clamp(min=0)
        else:
            value, slope = excess.clamp(min=0), (excess > 0).to(excess.dtype)
        totals.value += value.sum(dtype=totals.value.dtype)
        totals.count("selected", chosen)
        totals.count("active", value > (SOFT_ACTIVE if self.objective.penalty == "soft" else 0))
        totals.count("violated", chosen & (d_an <= d_ap))
        slope = torch.where(chosen, slope, 0)
        weights = torch.zeros_like(self.distances).scatter_add_(1, positive, slope)
        return weights.scatter_add_(1, negative, -slope)

    def forces(self, weights):
        """c (T×M) with ∂/∂x = Σ c (x − y)."""
        if self.objective.distance == "squared-euclidean":
            return 2 * weights
        if self.objective.distance == "cosine":
            return torch.where(self.unusable, 0, weights)
        # The gradient of a distance of 0 is 0.
        return torch.where(self.distances > 0, weights / self.distances, 0)
