"""A scikit-learn transformer that learns a linear embedding by the triplet loss."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from ._tercet import Pca, TripletLoss
from .sampler import PkSampler

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["TripletEmbedder"]


class TripletEmbedder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Learns a matrix W such that the rows of (X − mean)·W satisfy a triplet loss.

    W starts as the principal components of X, and is trained by Adam on P×K batches with the exact
    gradient of the objective. This is large-margin metric learning (Weinberger & Saul 2009) with the
    objectives of this package; for networks use `tercet.train` or `tercet.torch`.

    Parameters:
        n_components: dimensions of the embedding; default: those of X.
        objective: a preset or a `TripletLoss`.
        steps: optimiser steps.
        learning_rate: of Adam.
        classes_per_batch: P.
        items_per_class: K.
        random_state: an int or a RandomState; seed of batches and draws.

    Attributes:
        components_: Wᵀ, float64, shape (n_components, n_features_in_).
        mean_: float64, shape (n_features_in_,).
        classes_: the labels that occurred.
        loss_curve_: the value of the objective at each step.
        n_features_in_: D.

    Example:
        >>> pipeline = make_pipeline(StandardScaler(), TripletEmbedder(16), KNeighborsClassifier())
    """

    def __init__(
        self,
        n_components: int | None = None,
        *,
        objective: str | TripletLoss = "batch-hard",
        steps: int = 200,
        learning_rate: float = 0.01,
        classes_per_batch: int = 16,
        items_per_class: int = 4,
        random_state: Any = None,
    ) -> None:
        self.n_components = n_components
        self.objective = objective
        self.steps = steps
        self.learning_rate = learning_rate
        self.classes_per_batch = classes_per_batch
        self.items_per_class = items_per_class
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: ArrayLike) -> TripletEmbedder:
        """Learns W.

        Args:
            X: shape (N, D).
            y: classes, shape (N,); at least two classes with two items each for anything to be
                learnt, otherwise W stays the principal components.
        """
        X, y = validate_data(self, X, y, dtype=np.float64, ensure_min_samples=2)
        check_classification_targets(y)
        self.classes_, labels = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(
                f"y has {len(self.classes_)} class: expected at least two classes, since a triplet needs a negative"
            )
        rows, features = X.shape
        components = features if self.n_components is None else self.n_components
        if not 1 <= components <= features:
            raise ValueError(
                f"n_components is {components}: expected a number from 1 to the {features} features"
            )
        self.mean_ = X.mean(axis=0)
        centred = X - self.mean_
        # Vectors of unit scale: the margin and the learning rate do not depend on the unit of X.
        scale = float(np.sqrt(np.mean(np.square(centred)) * features)) or 1.0
        centred /= scale
        start = Pca(centred, components).directions.T
        matrix, self.loss_curve_ = self._train(centred.astype(np.float32), labels, start)
        self.components_ = np.ascontiguousarray(matrix.T) / scale
        return self

    def _train(
        self, vectors: NDArray[np.float32], labels: NDArray[np.intp], matrix: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], list[float]]:
        loss = self.objective
        if not isinstance(loss, TripletLoss):
            loss = TripletLoss(loss)
        seed = int(check_random_state(self.random_state).randint(2**31))
        trainable = int((np.bincount(labels) >= 2).sum())
        if trainable < 2:
            return matrix, []
        sampler = PkSampler(labels, min(self.classes_per_batch, trainable), self.items_per_class, seed)
        # Adam (Kingma & Ba 2015).
        first, second = np.zeros_like(matrix), np.zeros_like(matrix)
        curve = []
        for step in range(self.steps):
            batch = sampler.batch(step)
            inputs = vectors[batch]
            embeddings = inputs @ matrix.astype(np.float32)
            outcome = loss(embeddings, labels[batch], seed=step)
            curve.append(outcome.value)
            gradient = (inputs.T @ outcome.gradient).astype(np.float64)
            first += 0.1 * (gradient - first)
            second += 0.001 * (np.square(gradient) - second)
            unbiased = first / (1 - 0.9 ** (step + 1))
            spread = np.sqrt(second / (1 - 0.999 ** (step + 1)))
            matrix = matrix - self.learning_rate * unbiased / (spread + 1e-8)
        return matrix, curve

    def transform(self, X: ArrayLike) -> NDArray[np.float64]:
        """The embeddings: shape (N, n_components)."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, reset=False)
        return (X - self.mean_) @ self.components_.T

    @property
    def _n_features_out(self) -> int:
        return self.components_.shape[0]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        return tags
