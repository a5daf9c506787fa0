"""Drop-in replacements for classes of pytorch-metric-learning 2.9: the same names and arguments.

    from tercet.pml import TripletMarginLoss   # instead of pytorch_metric_learning.losses

Each class is a subclass of its namesake. Where the arguments have an exact counterpart in Tercet's
engine (or a law of drawing that is the same), the call takes that fast path, which makes no list of
triplets; in all other cases it calls ``super()``. `calls` counts both, by class:

    >>> tercet.pml.calls["TripletMarginLoss", "fast"]

Fast paths in short (float32, float16 and bfloat16 embeddings; float64 calls ``super()``, because the engine
computes in float32):

- distances: ``LpDistance`` with p = 2 and power 1 or 2, normalised or not, and ``CosineSimilarity``
- ``TripletMarginLoss``: all triplets (no ``indices_tuple``), no ``swap``; also with ``ref_emb`` and
  ``smooth_loss``; reducers ``AvgNonZeroReducer``, ``MeanReducer``, ``SumReducer``
- ``GeneralizedLiftedStructureLoss``: batches in which each anchor has a positive and a negative
- ``BatchHardMiner``, ``BatchEasyHardMiner`` (hard/hard, easy/hard, easy/semihard): CPU tensors, without
  ``ref_emb``
- ``TripletMarginMiner``: always, also in float64; the same comparisons for the pairs instead of all triples
- ``DistanceWeightedMiner``: always, also in float64; the same law, drawn for all anchors at once
- ``CrossBatchMemory``: around ``TripletMarginLoss`` in float32, without miner and ``indices_tuple``
- ``AccuracyCalculator``: default distance and labels, CPU; items at equal distance count by their expected
  value instead of an arbitrary order
- ``MPerClassSampler``: with ``seed``; resumable, and for several processes

Vectors that hold NaN or infinity raise a ValueError on the fast path, where the original returns NaN.
"""

import collections
import itertools

import torch
from pytorch_metric_learning import distances, losses, miners, reducers, samplers
from pytorch_metric_learning.utils import accuracy_calculator, inference, loss_and_miner_utils

import tercet

from .torch import TripletLoss, ondevice
from .torch.value import attach

__all__ = [
    "AccuracyCalculator",
    "BatchEasyHardMiner",
    "BatchHardMiner",
    "CrossBatchMemory",
    "DistanceWeightedMiner",
    "GeneralizedLiftedStructureLoss",
    "MPerClassSampler",
    "TripletMarginLoss",
    "TripletMarginMiner",
    "calls",
]

#: How often each class took which path: ``calls[class name, "fast"]`` and ``calls[class name, "super"]``.
calls = collections.Counter()

ENGINE_TYPES = (torch.float32, torch.float16, torch.bfloat16)
REDUCTIONS = {reducers.AvgNonZeroReducer: "mean-active", reducers.MeanReducer: "mean", reducers.SumReducer: "sum"}


def metric(distance):
    """The keywords of the same distance in Tercet, or None."""
    if distance.collect_stats:
        return None
    if type(distance) is distances.LpDistance and distance.p == 2 and distance.power in (1, 2):
        name = "euclidean" if distance.power == 1 else "squared-euclidean"
        return {"distance": name, "normalize": bool(distance.normalize_embeddings)}
    if type(distance) is distances.CosineSimilarity and distance.power == 1:
        return {"distance": "cosine"}
    return None


def reduction(reducer):
    """The name of the same reduction, or None."""
    return None if reducer.collect_stats else REDUCTIONS.get(type(reducer))


def fits(embeddings, labels):
    return embeddings.dtype in ENGINE_TYPES and labels is not None and not labels.is_floating_point()


def batch_alone(embeddings, labels, ref_emb, ref_labels):
    return ref_emb is embeddings and ref_labels is labels


class _EngineLoss:
    """A loss that keeps the engine for its present arguments."""

    engine = None  # the TripletLoss of the last call on the fast path

    def _engine_for(self, preset, **keywords):
        if self.__dict__.get("_keywords") != keywords:
            self.__dict__["_keywords"], self.__dict__["engine"] = keywords, TripletLoss(preset, **keywords)
        return self.__dict__["engine"]

    def _count(self, path):
        calls[type(self).__name__, path] += 1

    def _evaluate(self, engine, embeddings, labels, ref_emb, ref_labels):
        reference = None if ref_emb is embeddings else (ref_emb, ref_labels)
        return engine(embeddings, labels, reference=reference)

    @staticmethod
    def _reduced(value, embeddings):
        losses = value.to(embeddings.dtype)
        return {"loss": {"losses": losses, "indices": None, "reduction_type": "already_reduced"}}

    @staticmethod
    def _comparable(embeddings, labels, ref_emb, ref_labels):
        # The original removes self-comparisons where the two label tensors are one object.
        alone = batch_alone(embeddings, labels, ref_emb, ref_labels)
        apart = ref_emb is not embeddings and ref_labels is not labels and ref_labels is not None
        return fits(embeddings, labels) and (alone or apart and fits(ref_emb, ref_labels))


class TripletMarginLoss(_EngineLoss, losses.TripletMarginLoss):
    __doc__ = losses.TripletMarginLoss.__doc__

    def _keywords_of(self):
        of_distance, of_reducer = metric(self.distance), reduction(self.reducer)
        if of_distance is None or of_reducer is None or self.swap or self.triplets_per_anchor != "all" or self.collect_stats:
            return None
        if not self.smooth_loss and self.margin < 0:
            return None
        penalty = "soft" if self.smooth_loss else "hinge"
        return {"selection": "all", "penalty": penalty, "margin": float(self.margin), "reduction": of_reducer, **of_distance}

    def compute_loss(self, embeddings, labels, indices_tuple, ref_emb, ref_labels):
        keywords = self._keywords_of()
        if isinstance(indices_tuple, _AllTriplets):
            self._count("fast")
            engine = self._engine_for("batch-all", **keywords)
            evaluated = ondevice.evaluate(engine.objective, embeddings, labels, ref_emb, ref_labels, indices_tuple.own)
            engine._counts, engine.value = evaluated.counts, evaluated.value
            value = attach(evaluated.value.to(embeddings.dtype), (embeddings, evaluated.anchor_gradient))
            return self._reduced(value, embeddings)
        fast = keywords is not None and indices_tuple is None
        if not fast or not self._comparable(embeddings, labels, ref_emb, ref_labels):
            self._count("super")
            return super().compute_loss(embeddings, labels, indices_tuple, ref_emb, ref_labels)
        self._count("fast")
        engine = self._engine_for("batch-all", **keywords)
        return self._reduced(self._evaluate(engine, embeddings, labels, ref_emb, ref_labels), embeddings)


class GeneralizedLiftedStructureLoss(_EngineLoss, losses.GeneralizedLiftedStructureLoss):
    __doc__ = losses.GeneralizedLiftedStructureLoss.__doc__

    def compute_loss(self, embeddings, labels, indices_tuple, ref_emb, ref_labels):
        of_distance, of_reducer = metric(self.distance), reduction(self.reducer)
        # `neg_margin - similarity` has another sign than a distance: no cosine.
        fast = of_distance is not None and of_distance["distance"] != "cosine" and of_reducer is not None
        if fast and indices_tuple is None and not self.collect_stats and self._comparable(embeddings, labels, ref_emb, ref_labels):
            # log Σ e^{d_p − pos_margin} + log Σ e^{neg_margin − d_n}: one margin, the difference.
            margin = float(self.neg_margin - self.pos_margin)
            engine = self._engine_for("lifted", margin=margin, reduction=of_reducer, **of_distance)
            value = self._evaluate(engine, embeddings, labels, ref_emb, ref_labels)
            # The original also counts half terms, of anchors without a positive or without a negative.
            if engine.census.anchors == len(embeddings) > 0:
                self._count("fast")
                return self._reduced(value, embeddings)
        self._count("super")
        return super().compute_loss(embeddings, labels, indices_tuple, ref_emb, ref_labels)


class _EngineMiner:
    """A miner whose triplets a selection of the engine takes."""

    def _triplets(self, selection, embeddings, labels, ref_emb, ref_labels):
        """Anchors, positives and negatives, or None where the engine has no counterpart."""
        of_distance = metric(self.distance)
        cpu = embeddings.device.type == "cpu"
        alone = batch_alone(embeddings, labels, ref_emb, ref_labels)
        if selection is None or of_distance is None or self.collect_stats or not cpu or not alone or not fits(embeddings, labels):
            calls[type(self).__name__, "super"] += 1
            return None
        calls[type(self).__name__, "fast"] += 1
        key = selection, *of_distance.items()
        if self.__dict__.get("_key") != key:
            self.__dict__["_key"] = key
            self.__dict__["engine"] = TripletLoss("batch-all", selection=selection, **of_distance)
        return tuple(self.__dict__["engine"].triplets(embeddings, labels))


class BatchEasyHardMiner(_EngineMiner, miners.BatchEasyHardMiner):
    __doc__ = miners.BatchEasyHardMiner.__doc__

    SELECTIONS = {("hard", "hard"): "hard", ("easy", "hard"): "easy-positive", ("easy", "semihard"): "easy-positive-semi-hard"}

    def mine(self, embeddings, labels, ref_emb, ref_labels):
        selection = self.SELECTIONS.get((self.pos_strategy, self.neg_strategy))
        if self.allowed_pos_range is not None or self.allowed_neg_range is not None:
            selection = None
        found = self._triplets(selection, embeddings, labels, ref_emb, ref_labels)
        if found is None:
            return super().mine(embeddings, labels, ref_emb, ref_labels)
        anchors, positives, negatives = found
        return anchors, positives, anchors, negatives


class BatchHardMiner(_EngineMiner, miners.BatchHardMiner):
    __doc__ = miners.BatchHardMiner.__doc__

    def mine(self, embeddings, labels, ref_emb, ref_labels):
        ranges = self.allowed_pos_range is not None or self.allowed_neg_range is not None
        found = self._triplets(None if ranges else "hard", embeddings, labels, ref_emb, ref_labels)
        return super().mine(embeddings, labels, ref_emb, ref_labels) if found is None else found


class TripletMarginMiner(miners.TripletMarginMiner):
    __doc__ = miners.TripletMarginMiner.__doc__

    def mine(self, embeddings, labels, ref_emb, ref_labels):
        """Compares each positive pair with its negatives: pairs × B comparisons of the original's own
        distances, in parts, instead of B³."""
        if self.collect_stats:
            calls[type(self).__name__, "super"] += 1
            return super().mine(embeddings, labels, ref_emb, ref_labels)
        calls[type(self).__name__, "fast"] += 1
        matches, different = loss_and_miner_utils.get_matches_and_diffs(labels, ref_labels)
        anchors, positives = torch.where(matches)
        distance, different = self.distance(embeddings, ref_emb), different.bool()
        found = []
        for a, p in zip(*(rows.split(max(1, ondevice.TILE // max(1, len(ref_labels)))) for rows in (anchors, positives))):
            to_positive, to_negative = distance[a, p].unsqueeze(1), distance[a]
            gap = to_positive - to_negative if self.distance.is_inverted else to_negative - to_positive
            chosen = gap > self.margin if self.type_of_triplets == "easy" else gap <= self.margin
            if self.type_of_triplets == "hard":
                chosen &= gap <= 0
            elif self.type_of_triplets == "semihard":
                chosen &= gap > 0
            pair, negative = torch.where(chosen & different[a])
            found.append((a[pair], p[pair], negative))
        return tuple(torch.cat(rows) for rows in zip(*found)) if found else (anchors, positives, anchors.clone())


class DistanceWeightedMiner(miners.DistanceWeightedMiner):
    __doc__ = miners.DistanceWeightedMiner.__doc__

    def mine(self, embeddings, labels, ref_emb, ref_labels):
        """As many draws for an anchor as its class has items; each takes a positive uniformly and a
        negative with the weight 1/q(d), q(d) ∝ d^(D−2) (1 − d²/4)^((D−3)/2) (Wu et al. 2017, section 4)."""
        calls[type(self).__name__, "fast"] += 1
        alone = batch_alone(embeddings, labels, ref_emb, ref_labels)
        dimensions = embeddings.shape[1]
        distance = self.distance(embeddings, ref_emb).float().clamp(min=self.cutoff)
        weights = (2.0 - dimensions) * distance.log() - (dimensions - 3) / 2 * (1 - distance.square() / 4).log()
        same = labels.unsqueeze(1) == ref_labels.unsqueeze(0)
        usable = weights.isfinite() & ~same & (distance < self.nonzero_loss_cutoff)
        # A factor for each row changes nothing; the largest weight of a row is 1, so that none underflows.
        top = torch.where(usable, weights, -torch.inf).amax(1, keepdim=True) if weights.numel() else weights
        weights = torch.where(usable, (weights - torch.where(top.isfinite(), top, 0)).exp(), 0)
        positive = same.clone()
        if alone:
            positive.fill_diagonal_(False)
        draws = same.sum(1) * (positive.any(1) & usable.any(1))
        rows = draws.nonzero().squeeze(1)
        if len(rows) == 0:
            return tuple(torch.empty(0, dtype=torch.long, device=labels.device) for _ in range(3))
        most = int(draws.max())
        kept = torch.arange(most, device=labels.device) < draws[rows].unsqueeze(1)
        drawn = [torch.multinomial(table[rows].float(), most, replacement=True)[kept] for table in (positive, weights)]
        return rows.repeat_interleave(draws[rows]), *drawn


class _AllTriplets:
    """In place of index tensors: all triplets, except that candidate `own[i]` is no positive of anchor i."""

    def __init__(self, own):
        self.own = own


class CrossBatchMemory(losses.CrossBatchMemory):
    __doc__ = losses.CrossBatchMemory.__doc__

    def create_indices_tuple(self, embeddings, labels, E_mem, L_mem, input_indices_tuple, do_remove_self_comparisons):
        plain = self.miner is None and input_indices_tuple is None and type(self.loss) is TripletMarginLoss
        keywords = self.loss._keywords_of() if plain else None
        # In half precision the original rounds each distance, and its memory holds rounded vectors.
        single = embeddings.dtype == E_mem.dtype == torch.float32
        if keywords is not None and keywords["penalty"] == "hinge" and single and fits(embeddings, labels):
            calls[type(self).__name__, "fast"] += 1
            return _AllTriplets(self.curr_batch_idx if do_remove_self_comparisons else None)
        calls[type(self).__name__, "super"] += 1
        return super().create_indices_tuple(embeddings, labels, E_mem, L_mem, input_indices_tuple, do_remove_self_comparisons)


class AccuracyCalculator(accuracy_calculator.AccuracyCalculator):
    """As the original, which needs faiss; this one does not. With faiss installed, k-means uses it."""

    #: Figures of :class:`tercet.Retrieval` by the name of the metric, and whether `k` has no influence.
    FIGURES = {
        "precision_at_1": ("recall_at_1", True),
        "r_precision": ("r_precision", True),
        "mean_average_precision_at_r": ("map_at_r", True),
        "mean_average_precision": ("map", False),
        "mean_reciprocal_rank": ("mrr", False),
    }

    def __init__(self, include=(), exclude=(), avg_of_avgs=False, return_per_class=False, k=None,
                 label_comparison_fn=None, device=None, knn_func=None, kmeans_func=None):
        self._default = knn_func is None and label_comparison_fn is None and not avg_of_avgs and not return_per_class
        if not hasattr(inference, "faiss"):
            knn_func = inference.CustomKNN(distances.LpDistance(normalize_embeddings=False)) if knn_func is None else knn_func
            kmeans_func = _k_means if kmeans_func is None else kmeans_func
        super().__init__(include, exclude, avg_of_avgs, return_per_class, k, label_comparison_fn, device, knn_func, kmeans_func)

    def get_accuracy(self, query, query_labels, reference=None, reference_labels=None, ref_includes_query=False, include=(), exclude=()):
        wanted = [name for name in self.get_function_dict(include, exclude)]
        found = None
        if self._default and type(self) is AccuracyCalculator and self.device.type == "cpu":
            found = self._retrieval(query, query_labels, reference, reference_labels, ref_includes_query)
        ready = {} if found is None else {
            name: getattr(found, figure) for name, (figure, without_k) in self.FIGURES.items()
            if name in wanted and (without_k and self.k in (None, "max_bin_count") or self.k is None)
        }
        calls[type(self).__name__, "fast" if ready else "super"] += 1
        rest = tuple(name for name in wanted if name not in ready)
        others = {}
        if rest:
            others = super().get_accuracy(query, query_labels, reference, reference_labels, ref_includes_query, rest, ())
        return {name: ready.get(name, others.get(name)) for name in wanted}

    @staticmethod
    def _retrieval(query, query_labels, reference, reference_labels, ref_includes_query):
        """The judgement of all queries, or None where the original is to decide (and to find the errors)."""
        arrays = [None if part is None else torch.as_tensor(part).detach() for part in (query, query_labels, reference, reference_labels)]
        query, query_labels, reference, reference_labels = arrays
        if query.ndim != 2 or query_labels.ndim != 1 or len(query) != len(query_labels) or not query.isfinite().all():
            return None
        if (reference is None) != (reference_labels is None) or query_labels.is_floating_point():
            return None
        if reference is not None and (reference.ndim != 2 or reference_labels.ndim != 1 or len(reference) != len(reference_labels)
                                      or reference_labels.is_floating_point() or not reference.isfinite().all()):
            return None
        try:
            if reference is None:
                return tercet.Retrieval.leave_one_out(query.float().numpy(), query_labels.numpy(), ranks=[1])
            keys = {}
            if ref_includes_query:
                if not torch.equal(query.float(), reference[: len(query)].float()) or not torch.equal(query_labels, reference_labels[: len(query)]):
                    return None
                keys = {"items": torch.arange(len(query)).numpy(), "gallery_items": torch.arange(len(reference)).numpy()}
            return tercet.Retrieval.query_gallery(query.float().numpy(), query_labels.numpy(), reference.float().numpy(),
                                                  reference_labels.numpy(), ranks=[1], **keys)
        except ValueError:
            return None


def _k_means(vectors, clusters):
    from sklearn.cluster import KMeans

    labels = KMeans(clusters, n_init=1, max_iter=20, random_state=1234).fit_predict(vectors.cpu().numpy())
    return torch.from_numpy(labels).long().to(vectors.device)


class MPerClassSampler(samplers.MPerClassSampler):
    """As the original. With `seed`, which the original has not, the batches are those of
    :class:`tercet.PkSampler`: reproducible, resumable by ``state_dict``, different for each process."""

    def __init__(self, labels, m, batch_size=None, length_before_new_iter=100000, *, seed=None, rank=0, world_size=1):
        super().__init__(labels, m, batch_size, length_before_new_iter)
        self.batches = None
        if seed is not None:
            size = self.length_of_single_pass if self.batch_size is None else self.batch_size
            labels = labels.numpy() if isinstance(labels, torch.Tensor) else labels
            # `batch_size` is that of one process, as in the original.
            classes = size // self.m_per_class * world_size
            self.batches = tercet.PkSampler(labels, classes, self.m_per_class, seed, rank=rank, world_size=world_size)
            self.batches_per_pass = self.list_size // size

    def __iter__(self):
        calls[type(self).__name__, "super" if self.batches is None else "fast"] += 1
        if self.batches is None:
            return super().__iter__()
        # An epoch of the batches may be shorter than a pass of the sampler.
        epochs = itertools.chain.from_iterable(itertools.repeat(self.batches))
        return itertools.chain.from_iterable(itertools.islice(epochs, self.batches_per_pass))

    def state_dict(self):
        return None if self.batches is None else self.batches.state_dict()

    def load_state_dict(self, state):
        if self.batches is not None:
            self.batches.load_state_dict(state)
