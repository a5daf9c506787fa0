"""The peers, asked for a value and its gradient in float64.

Each function answers `(value, gradient, triplets, call)` for embeddings, labels and a `Config`;
triplets are None where the peer does not tell them. `why_not` names the known reasons for which a
peer has no answer, or another one than Tercet's definition.
"""

import numpy as np
import torch
import torch.nn.functional as F
from pytorch_metric_learning.distances import CosineSimilarity, LpDistance
from pytorch_metric_learning.losses import TripletMarginLoss
from pytorch_metric_learning.miners import (
    BatchEasyHardMiner,
    BatchHardMiner,
    DistanceWeightedMiner,
    TripletMarginMiner,
)
from pytorch_metric_learning.reducers import AvgNonZeroReducer, MeanReducer, SumReducer
from sentence_transformers.sentence_transformer.losses import (
    BatchAllTripletLoss,
    BatchHardSoftMarginTripletLoss,
    BatchHardTripletLoss,
    BatchHardTripletLossDistanceFunction,
    BatchSemiHardTripletLoss,
)

from definitions import anchors_of

PML = "pytorch-metric-learning"
ST = "sentence-transformers"
REID = "triplet-reid"
FACENET = "facenet"
DEFINITION = "definition"


def differentiate(x, loss):
    """Value and gradient of a function of the embeddings."""
    embeddings = torch.tensor(x, dtype=torch.float64, requires_grad=True)
    value = loss(embeddings)
    if value.requires_grad:
        value.backward()
    gradient = embeddings.grad if embeddings.grad is not None else torch.zeros_like(embeddings)
    return float(value.detach()), gradient.numpy()


def pml_distance(config):
    if config.distance == "cosine":
        return CosineSimilarity(), "CosineSimilarity()"
    power = {"euclidean": 1, "squared-euclidean": 2}[config.distance]
    call = f"LpDistance(normalize_embeddings={config.normalize}, power={power})"
    return LpDistance(normalize_embeddings=config.normalize, p=2, power=power), call


def pytorch_metric_learning(x, labels, config):
    """`TripletMarginLoss` on what a miner found."""
    distance, distance_call = pml_distance(config)
    miner, miner_call = {
        "all": lambda: (None, "all triplets"),
        "hard": lambda: (BatchHardMiner(distance=distance), "BatchHardMiner()"),
        "easy-positive": lambda: (
            BatchEasyHardMiner("easy", "hard", distance=distance),
            "BatchEasyHardMiner('easy', 'hard')",
        ),
        "easy-positive-semi-hard": lambda: (
            BatchEasyHardMiner("easy", "semihard", distance=distance),
            "BatchEasyHardMiner('easy', 'semihard')",
        ),
        "semi-hard-all": lambda: (
            TripletMarginMiner(config.margin, "semihard", distance=distance),
            "TripletMarginMiner(margin, 'semihard')",
        ),
        "semi-hard": lambda: (
            TripletMarginMiner(config.margin, "semihard", distance=distance),
            "TripletMarginMiner(margin, 'semihard'), the nearest negative of each pair",
        ),
    }[config.selection]()
    reducer = {"mean": MeanReducer, "mean-active": AvgNonZeroReducer, "sum": SumReducer}[
        config.reduction
    ]()
    smooth = config.penalty == "soft"
    loss = TripletMarginLoss(
        margin=config.margin, smooth_loss=smooth, distance=distance, reducer=reducer
    )
    classes = torch.tensor(labels)
    points = torch.tensor(x, dtype=torch.float64)
    found = miner(points, classes) if miner else None
    if isinstance(found, tuple) and len(found) == 4:
        found = found[0], found[1], found[3]
    if config.selection == "semi-hard":
        found = nearest_of_each_pair(distance(points), found, config)
    value, gradient = differentiate(x, lambda e: loss(e, classes, found))
    triplets = None if found is None else torch.stack(found, dim=1).numpy().reshape(-1, 3)
    call = f"TripletMarginLoss(smooth_loss={smooth}), {type(reducer).__name__}(), "
    return value, gradient, triplets, call + f"{distance_call}, {miner_call}"


def nearest_of_each_pair(matrix, triplets, config):
    """Of a mined band, the nearest negative of each pair (a, p); the band's right end is open."""
    kept = {}
    sign = -1 if config.distance == "cosine" else 1
    for a, p, n in torch.stack(triplets, dim=1).tolist():
        d_ap, d_an = sign * matrix[a, p].item(), sign * matrix[a, n].item()
        if d_an - d_ap < config.margin and d_an < kept.get((a, p), (np.inf,))[0]:
            kept[a, p] = d_an, n
    rows = torch.tensor([(a, p, n) for (a, p), (_, n) in kept.items()], dtype=torch.long)
    return tuple(rows.reshape(-1, 3).unbind(dim=1))


def pml_sets(x, labels, config):
    """How many triplets pytorch-metric-learning calls violating (`hard`) under this distance."""
    distance, _ = pml_distance(config)
    miner = TripletMarginMiner(config.margin, "hard", distance=distance)
    return len(miner(torch.tensor(x, dtype=torch.float64), torch.tensor(labels))[0])


def pml_draws(x, labels, config, times=20):
    """The (anchor, negative) pairs that pytorch-metric-learning draws by distance."""
    torch.manual_seed(0)
    miner = DistanceWeightedMiner(distance=pml_distance(config)[0])
    classes, points = torch.tensor(labels), torch.tensor(x, dtype=torch.float64)
    drawn = set()
    for _ in range(times):
        a, _, n = miner(points, classes)
        drawn.update(zip(a.tolist(), n.tolist(), strict=True))
    return drawn


def sentence_transformers(x, labels, config):
    """The batch losses, on embeddings instead of sentences."""
    functions = BatchHardTripletLossDistanceFunction
    plain = {
        "euclidean": functions.euclidean_distance,
        "squared-euclidean": lambda e: functions.euclidean_distance(e, squared=True),
        "cosine": functions.cosine_distance,
    }[config.distance]
    metric = (lambda e: plain(F.normalize(e))) if config.normalize else plain
    kind, method = {
        ("all", "hinge"): (BatchAllTripletLoss, "batch_all_triplet_loss"),
        ("hard", "hinge"): (BatchHardTripletLoss, "batch_hard_triplet_loss"),
        ("hard", "soft"): (BatchHardSoftMarginTripletLoss, "batch_hard_triplet_soft_margin_loss"),
        ("semi-hard-fallback", "hinge"): (BatchSemiHardTripletLoss, "batch_semi_hard_triplet_loss"),
    }[config.selection, config.penalty]
    options = {} if config.penalty == "soft" else {"margin": config.margin}
    loss = kind(torch.nn.Identity(), distance_metric=metric, **options)
    classes = torch.tensor(labels)
    value, gradient = differentiate(x, lambda e: getattr(loss, method)(classes, e))
    return value, gradient, None, f"{kind.__name__}, {config.distance} distance"


def triplet_reid(x, labels, config):
    """"In Defense of the Triplet Loss", eq. 5 to 7, with the released code's sqrt(x + 1e-12)."""
    same = torch.tensor(labels[:, None] == labels[None, :])
    positive = same & ~torch.eye(len(labels), dtype=torch.bool)

    def soft_or_hinge(difference):
        if config.penalty == "soft":
            return F.softplus(difference + config.margin)
        return F.relu(difference + config.margin)

    def loss(e):
        d = ((e[:, None, :] - e[None, :, :]).square().sum(dim=2) + 1e-12).sqrt()
        if config.selection == "hard":
            farthest = (d * positive).max(dim=1).values
            nearest = d.masked_fill(same, torch.inf).min(dim=1).values
            return soft_or_hinge(farthest - nearest).mean()
        if config.selection == "lifted":
            pull = d.masked_fill(~positive, -torch.inf).logsumexp(dim=1)
            push = (config.margin - d).masked_fill(same, -torch.inf).logsumexp(dim=1)
            return F.relu(pull + push).sum()
        valid = positive[:, :, None] & ~same[:, None, :]
        terms = soft_or_hinge(d[:, :, None] - d[:, None, :])[valid]
        if config.reduction == "mean-active":
            terms = terms[terms > 1e-5]
        return terms.mean()

    value, gradient = differentiate(x, loss)
    equation = {"hard": "eq. 5", "all": "eq. 6", "lifted": "eq. 7"}[config.selection]
    return value, gradient, None, f"arXiv 1703.07737, {equation}"


def facenet(x, labels, config):
    """FaceNet, eq. 3 and 4, squared distances between unit vectors."""
    chosen = []
    with torch.no_grad():
        points = F.normalize(torch.tensor(x), eps=1e-10)
        d = torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist") ** 2
    for a, positives, negatives in anchors_of(labels):
        for p in positives:
            band = [n for n in negatives if d[a, p] < d[a, n] < d[a, p] + config.margin]
            if band:
                chosen.append((a, p, min(band, key=lambda n: d[a, n])))
    rows = torch.tensor(np.array(chosen, dtype=int).reshape(-1, 3))

    def loss(e):
        if len(rows) == 0:
            return e.sum() * 0
        a, p, n = F.normalize(e, eps=1e-10)[rows].unbind(dim=1)
        pulls, pushes = (a - p).square().sum(dim=1), (a - n).square().sum(dim=1)
        return F.relu(pulls - pushes + config.margin).mean()

    value, gradient = differentiate(x, loss)
    return value, gradient, rows.numpy(), "arXiv 1503.03832, eq. 3 and 4"


PEERS = {
    PML: pytorch_metric_learning,
    ST: sentence_transformers,
    REID: triplet_reid,
    FACENET: facenet,
}


def why_not(peer, x, labels, config, excess):
    """Why this peer's answer may differ from the definition; None if it must not."""
    sizes = np.unique(labels, return_counts=True)[1]
    on_the_kink = excess is not None and bool((excess == 0).any())
    lone, one_class = bool((sizes == 1).any()), len(sizes) == 1
    if config.on_sphere and (np.linalg.norm(x, axis=1) == 0).any():
        return "normalises a zero vector with a slope of 1/ε; its gradient is 0 here"
    if peer in (ST, REID) and config.selection in ("hard", "lifted") and (lone or one_class):
        return (
            "averages over every item, with a distance of its own making where an anchor has no "
            "positive or no negative; such anchors contribute nothing here"
        )
    if peer == ST and config.selection == "semi-hard-fallback" and one_class:
        return "makes up a negative where there is only one class; the value is 0 here"
    if peer == REID and config.selection == "all" and (one_class or (sizes == 1).all()):
        return "0/0 without a valid triplet; the value is 0 here"
    if peer == REID and config.selection == "all" and config.reduction == "mean-active":
        return "averages over terms above 1e-5 and not over all positive ones"
    if peer == PML and config.distance == "squared-euclidean" and on_the_kink:
        return "squares a rounded root, which moves triplets on the kink or the band's end"
    if peer == REID and on_the_kink:
        return "takes the root of x + 1e-12, which moves triplets off the kink"
    if peer == ST and config.penalty == "hinge" and on_the_kink:
        return "has slope 1 or ½ at the kink of the hinge; it is 0 here"
    return None
