"""The objectives as Tercet defines them, in float64 and triplet by triplet.

`make.py` compares every answer of a peer with this one before it writes it down. Where the two
differ, the difference must be one of those that `peers.py` knows by name.
"""

from dataclasses import dataclass

import numpy as np

SOFT_ACTIVE = 1e-5


@dataclass(frozen=True)
class Config:
    """An objective in Tercet's terms."""

    distance: str
    normalize: bool
    selection: str
    penalty: str
    margin: float
    reduction: str

    @property
    def on_sphere(self):
        return self.normalize or self.distance == "cosine"


@dataclass
class Answer:
    """What the definition says. A random selection has a range of values instead of one."""

    value: float
    gradient: np.ndarray | None
    triplets: np.ndarray
    census: dict
    range: tuple | None = None
    excess: np.ndarray | None = None


def unit(x):
    norms = np.linalg.norm(x, axis=1, keepdims=True)
    return np.divide(x, norms, out=np.zeros_like(x), where=norms > 0)


def distances(x, config):
    """All pairwise distances, by differences."""
    points = unit(x) if config.on_sphere else x
    squared = ((points[:, None, :] - points[None, :, :]) ** 2).sum(axis=2)
    if config.distance == "euclidean":
        return np.sqrt(squared)
    if config.distance == "squared-euclidean":
        return squared
    zero = np.linalg.norm(x, axis=1) == 0
    d = np.where(zero[:, None] | zero[None, :], 1.0, squared / 2)
    np.fill_diagonal(d, 0.0)
    return d


def anchors_of(labels):
    """Every anchor with a positive and a negative, with both lists in rising order."""
    items = np.arange(len(labels))
    for a in items:
        positives = items[(labels == labels[a]) & (items != a)]
        negatives = items[labels != labels[a]]
        if len(positives) and len(negatives):
            yield a, positives, negatives


def pick(d, a, positives, negatives, config):
    """The triplets of one anchor. `argmin` and `argmax` return the lowest index of a tie."""
    to_p, to_n = d[a, positives], d[a, negatives]
    gap = to_n[None, :] - to_p[:, None]
    name = config.selection
    if name == "all":
        return [(a, p, n) for p in positives for n in negatives]
    if name == "hard":
        return [(a, positives[to_p.argmax()], negatives[to_n.argmin()])]
    if name == "easy-positive":
        return [(a, positives[to_p.argmin()], negatives[to_n.argmin()])]
    if name == "semi-hard-all":
        return [
            (a, positives[i], negatives[j])
            for i, j in zip(*np.nonzero((gap > 0) & (gap <= config.margin)), strict=True)
        ]
    # The rest takes one negative for some pairs (a, p).
    if name == "easy-positive-semi-hard":
        pairs = [to_p.argmin()]
    else:
        pairs = range(len(positives))
    chosen = []
    for i in pairs:
        beyond = gap[i] > 0
        if name == "semi-hard":
            beyond &= gap[i] < config.margin
        if beyond.any():
            n = negatives[np.where(beyond, to_n, np.inf).argmin()]
        elif name == "semi-hard-fallback":
            n = negatives[to_n.argmax()]
        else:
            continue
        chosen.append((a, positives[i], n))
    return chosen


def candidates(d, a, positives, negatives, config):
    """The pairs of an anchor with the negatives that a random selection draws one from."""
    for p in positives:
        if config.selection == "violating-random":
            drawn_from = negatives[d[a, negatives] - d[a, p] < config.margin] if p > a else []
        elif config.selection == "distance-weighted":
            euclidean = {
                "euclidean": d[a, negatives],
                "squared-euclidean": np.sqrt(d[a, negatives]),
                "cosine": np.sqrt(2 * d[a, negatives]),
            }[config.distance]
            drawn_from = negatives[euclidean < 1.4]
        else:
            raise ValueError(f"`{config.selection}` draws nothing")
        if len(drawn_from):
            yield p, drawn_from


def drawable(x, labels, config):
    """The (anchor, negative) pairs that a random selection may draw."""
    d = distances(x, config)
    return {
        (a, n)
        for a, positives, negatives in anchors_of(labels)
        for _, drawn_from in candidates(d, a, positives, negatives, config)
        for n in drawn_from.tolist()
    }


def penalty(config, excess):
    """φ and φ' at x = excess − margin."""
    if config.penalty == "hinge":
        return np.maximum(excess, 0), (excess > 0).astype(float)
    if config.penalty == "squared-hinge":
        return np.maximum(excess, 0) ** 2, 2 * np.maximum(excess, 0)
    small = np.exp(-np.abs(excess))
    slope = np.where(excess >= 0, 1 / (1 + small), small / (1 + small))
    return np.maximum(excess, 0) + np.log1p(small), slope


def pull_back(x, d, weights, config):
    """From ∂L/∂d to ∂L/∂x."""
    points = unit(x) if config.on_sphere else x
    if config.distance == "euclidean":
        c = np.divide(weights, d, out=np.zeros_like(d), where=d > 0)
    elif config.distance == "squared-euclidean":
        c = 2 * weights
    else:
        c = weights
    c = c + c.T
    gradient = c.sum(axis=1)[:, None] * points - c @ points
    if config.on_sphere:
        norms = np.linalg.norm(x, axis=1, keepdims=True)
        gradient = gradient - (gradient * points).sum(axis=1, keepdims=True) * points
        gradient = np.divide(gradient, norms, out=np.zeros_like(gradient), where=norms > 0)
    return gradient


def divisor(config, census, positive_penalties):
    return {
        "mean": census["selected"],
        "mean-active": census["selected"] if config.penalty == "soft" else positive_penalties,
        "mean-anchors": census["anchors"],
        "sum": 1,
    }[config.reduction]


def count(labels, d):
    """The part of the census that does not depend on the selection."""
    same = labels[:, None] == labels[None, :]
    positive = same & ~np.eye(len(labels), dtype=bool)
    positives, negatives = positive.sum(axis=1), (~same).sum(axis=1)

    def mean(of):
        return float(d[of].mean()) if of.any() else 0.0

    return {
        "triplets": int((positives * negatives).sum()),
        "anchors": int(((positives > 0) & (negatives > 0)).sum()),
        "anchors_without_positive": int((positives == 0).sum()),
        "anchors_without_negative": int((negatives == 0).sum()),
        "mean_positive_distance": mean(positive),
        "mean_negative_distance": mean(~same),
    }


def evaluate(x, labels, config):
    """Value, gradient, triplets and census of a batch."""
    d = distances(x, config)
    census = count(labels, d)
    if config.selection in ("violating-random", "distance-weighted"):
        return evaluate_range(d, labels, config, census)
    chosen = [t for row in anchors_of(labels) for t in pick(d, *row, config)]
    chosen = np.array(chosen, dtype=int).reshape(-1, 3)
    a, p, n = chosen.T
    excess = d[a, p] + config.margin - d[a, n]
    value, slope = penalty(config, excess)
    census["selected"] = len(chosen)
    census["active"] = int((value > (SOFT_ACTIVE if config.penalty == "soft" else 0)).sum())
    census["violated"] = int((d[a, n] <= d[a, p]).sum())
    by = divisor(config, census, int((value > 0).sum()))
    scale = 1 / by if by else 0.0
    weights = np.zeros_like(d)
    np.add.at(weights, (a, p), slope * scale)
    np.add.at(weights, (a, n), -slope * scale)
    gradient = pull_back(x, d, weights, config)
    return Answer(float(value.sum() * scale), gradient, chosen, census, excess=excess)


def evaluate_range(d, labels, config, census):
    """Between which values a random selection lies, and how many triplets it has."""
    low = high = 0.0
    selected = 0
    for a, positives, negatives in anchors_of(labels):
        for p, drawn_from in candidates(d, a, positives, negatives, config):
            value, _ = penalty(config, d[a, p] + config.margin - d[a, drawn_from])
            low, high, selected = low + value.min(), high + value.max(), selected + 1
    census["selected"] = selected
    by = divisor(config, census, None)
    scale = 1 / by if by else 0.0
    return Answer(0.0, None, np.zeros((0, 3), int), census, (low * scale, high * scale))


def hangs_on_the_last_bit(x, labels, config, exact):
    """Whether float32 may rightly decide a comparison or a value otherwise than float64.

    Ties are no trouble where arithmetic is exact: on grids of integers, not normalised.
    """
    d = distances(x, config)
    near = 2e-6 * max(d.max(), 1e-30)
    if config.on_sphere:
        # Nearer than this, the rounding of the unit vectors themselves is felt.
        chords = {"cosine": np.sqrt(2 * d), "squared-euclidean": np.sqrt(d)}.get(config.distance, d)
        if ((chords > 0) & (chords < 1e-3)).any():
            return True
    zero_is_safe = exact

    def close(differences):
        size = np.abs(np.asarray(differences))
        return bool(((size < near) & ~(zero_is_safe & (size == 0))).any())

    def runner_up(values, best):
        others = np.abs(values - best)
        return others if exact else np.sort(others)[1:]

    for a, positives, negatives in anchors_of(labels):
        to_p, to_n = d[a, positives], d[a, negatives]
        gap = to_n[None, :] - to_p[:, None]
        borders = [gap, config.margin - gap]
        if config.penalty == "soft":
            borders[1] = gap - config.margin - 11.5129254  # φ > 1e-5
        if config.selection in ("all", "semi-hard-all", "violating-random"):
            if any(close(border) for border in borders):
                return True
            continue
        if config.selection == "distance-weighted":
            if close(to_n - 1.4) or close(to_n - 0.98):
                return True
            continue
        for _, p, n in pick(d, a, positives, negatives, config):
            if close(d[a, n] - d[a, p]) or close(config.margin + d[a, p] - d[a, n]):
                return True
            if close(runner_up(to_n, d[a, n])):
                return True
        if config.selection == "easy-positive-semi-hard" and close(to_n - to_p.min()):
            return True
        if config.selection in ("hard", "easy-positive", "easy-positive-semi-hard"):
            best = to_p.max() if config.selection == "hard" else to_p.min()
            if close(runner_up(to_p, best)):
                return True
        elif close(gap):
            return True
    answer = evaluate(x, labels, config)
    if answer.value == 0 or answer.range:
        return False
    # Rounding errors are a share of what is added up, which must not be much more than the sum.
    a, p, n = answer.triplets.T
    value, slope = penalty(config, answer.excess)
    added = (slope * (d[a, p] + config.margin + d[a, n])).sum()
    return bool(added > 60 * value.sum())
