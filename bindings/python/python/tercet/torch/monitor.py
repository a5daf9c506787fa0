"""What a loss counts, as figures for a log, and the detection of collapse."""

import math
import warnings

#: Steps over which the running means reach, and the shortest wait at the collapse value that counts.
WINDOW = 50
#: How near to its collapse value a loss counts as being there, as a share of that value.
NEAR = 0.05
#: By how much the separation must grow to count as progress.
PROGRESS = 0.01
#: Embeddings closer together than this share of their first distance are one point.
POINT = 1e-4


class CollapseWarning(UserWarning):
    """All embeddings become equal: no triplet has a gradient that leads out of there."""


class Collapsed(RuntimeError):
    """As :class:`CollapseWarning`, when the run is to stop."""


def monitored(loss):
    """The :class:`~tercet.torch.TripletLoss` that a loss is or holds; None before the first call of a drop-in
    loss, which makes it then."""
    inner = loss
    while inner is not None:
        if hasattr(inner, "census") and hasattr(inner, "objective"):
            return inner
        if hasattr(inner, "engine"):
            return inner.engine
        inner = getattr(inner, "loss", None)
    raise TypeError(f"a {type(loss).__name__} counts nothing: expected a tercet.torch.TripletLoss, or a loss that holds one")


class Monitor:
    """Watches a :class:`~tercet.torch.TripletLoss` step by step.

    In a collapse all embeddings become equal. The loss then stays at the penalty of equal distances (the
    margin, or ln 2 with a soft margin), which is also a phase of healthy training on hard data
    ("In Defense of the Triplet Loss", section 4.4): the difference is whether the classes separate
    meanwhile. A collapse is reported when the loss has been there for `patience` steps without progress of
    the separation 1 − d(same)/d(different), or when the distances have vanished.

    Parameters
    ----------
    loss : TripletLoss, a drop-in loss, or GlobalBatch around either
    patience : int
        Steps without progress at the collapse value.
    on_collapse : {"warn", "error"}
        A :class:`CollapseWarning`, or the exception :class:`Collapsed`.
    """

    def __init__(self, loss, patience=300, on_collapse="warn"):
        if on_collapse not in ("warn", "error"):
            raise ValueError(f"on_collapse is `{on_collapse}`: expected warn or error")
        monitored(loss)
        self.loss, self.patience, self.on_collapse = loss, patience, on_collapse
        self.steps = self.waiting = self.idle = self.point = 0
        self.loss_mean = self.distance = self.separation = self.best_separation = self.first_distance = 0.0
        self.collapsed = False

    def observe(self, value=None):
        """Takes in the loss's last call, and returns its figures by name.

        `value` is the loss if it is not the module's own last value.
        """
        engine = monitored(self.loss)
        census = None if engine is None else engine.census
        if census is None:
            return {}
        value = float(engine.value if value is None else value)
        self._follow(value, census, engine.objective)
        if self._has_collapsed() and not self.collapsed:
            self.collapsed = True
            message = (
                f"the embeddings have collapsed: the loss is {value:.4g}, distances between classes are "
                f"{self.distance:.3g}, those within {self.distance * (1 - self.separation):.3g}; try semi-hard or all "
                "triplets, a lower learning rate or a larger batch"
            )
            if self.on_collapse == "error":
                raise Collapsed(message)
            warnings.warn(message, CollapseWarning, stacklevel=2)
        return {
            "triplets": census.triplets,
            "selected": census.selected,
            "active_share": census.active_share,
            "violated_share": census.violated / census.selected if census.selected else 0.0,
            "anchors_without_positive": census.anchors_without_positive,
            "anchors_without_negative": census.anchors_without_negative,
            "positive_distance": census.mean_positive_distance,
            "negative_distance": census.mean_negative_distance,
            "separation": self.separation,
            "collapse_waiting": self.waiting if self.waiting >= WINDOW else 0,
            "collapsed": float(self.collapsed),
        }

    def _follow(self, value, census, objective):
        self.steps += 1
        share = 1 / min(self.steps, WINDOW)
        same, different = census.mean_positive_distance, census.mean_negative_distance
        collapse = collapse_value(objective, census)
        ratio = value / collapse if collapse > 0 else math.inf
        self.loss_mean += (ratio - self.loss_mean) * share if math.isfinite(ratio) else math.inf
        self.distance += (different - self.distance) * share
        self.separation += ((1 - same / different if different > 0 else 0.0) - self.separation) * share
        if self.steps <= WINDOW:
            self.first_distance, self.best_separation = self.distance, self.separation
            return
        at_value = abs(self.loss_mean - 1) <= NEAR
        self.waiting, self.idle = (self.waiting + 1, self.idle + 1) if at_value else (0, 0)
        if self.separation > self.best_separation + PROGRESS:
            self.best_separation, self.idle = self.separation, 0
        self.point = self.point + 1 if different <= POINT * self.first_distance else 0

    def _has_collapsed(self):
        return self.point > WINDOW or self.idle >= self.patience


def collapse_value(objective, census):
    """The value of the objective when all distances are equal."""
    if objective.selection == "lifted":
        # Σ_a log P + log N + margin depends on the batch's classes; here by its means.
        anchors = max(1, census.anchors)
        pairs = census.triplets / anchors
        term = max(0.0, math.log(max(1.0, pairs)) + objective.margin)
        return term * anchors if objective.reduction == "sum" else term
    margin = objective.margin
    cost = {"hinge": margin, "squared-hinge": margin**2, "soft": math.log1p(math.exp(margin))}[objective.penalty]
    if objective.reduction == "mean-anchors":
        return cost * census.selected / max(1, census.anchors)
    return cost * census.selected if objective.reduction == "sum" else cost
