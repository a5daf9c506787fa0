"""The estimator, by scikit-learn's own checks and by what it learns."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

import tercet


@parametrize_with_checks([tercet.TripletEmbedder()])
def test_it_is_an_estimator(estimator, check):
    check(estimator)


def noisy(seed):
    """Classes that differ in four dimensions, beside twelve of greater noise."""
    random = np.random.default_rng(seed)
    labels = np.repeat(np.arange(20), 10)
    signal = np.random.default_rng(9).normal(size=(20, 4))[labels] + 0.3 * random.normal(size=(200, 4))
    return np.concatenate([signal, 3 * random.normal(size=(200, 12))], axis=1), labels


def test_it_finds_the_dimensions_that_matter():
    (X, y), (held_out, truth) = noisy(0), noisy(1)
    embedder = tercet.TripletEmbedder(4, objective=tercet.TripletLoss("batch-all", margin=0.2), random_state=0).fit(X, y)
    recall = lambda vectors: tercet.Retrieval.leave_one_out(vectors, truth).recall_at_1
    assert recall(embedder.transform(held_out)) > recall(held_out) + 0.2
    assert recall(embedder.transform(held_out)) > recall(tercet.Pca(X, 4).apply(held_out)) + 0.2
    assert embedder.loss_curve_[-1] < embedder.loss_curve_[0]
    assert embedder.components_.shape == (4, 16) and len(embedder.get_feature_names_out()) == 4
    again = clone(embedder).fit(X, y)
    np.testing.assert_array_equal(again.components_, embedder.components_)


def test_it_works_in_pipelines():
    X, y = noisy(0)
    pipeline = make_pipeline(tercet.TripletEmbedder(4, random_state=0), KNeighborsClassifier(1))
    search = GridSearchCV(pipeline, {"tripletembedder__objective": ["batch-hard", "batch-all"]}, cv=4).fit(X, y)
    assert search.best_score_ > 2 * cross_val_score(KNeighborsClassifier(1), X, y, cv=4).mean()


def test_wrong_parameters():
    X, y = noisy(0)
    with pytest.raises(ValueError, match="n_components is 17: expected a number from 1 to the 16 features"):
        tercet.TripletEmbedder(17).fit(X, y)
    with pytest.raises(ValueError, match="unknown objective `hardest`"):
        tercet.TripletEmbedder(objective="hardest").fit(X, y)
    with pytest.raises(ValueError, match="y has 1 class"):
        tercet.TripletEmbedder().fit(X, np.zeros(200, int))
    # No class has two items: nothing to learn from, and the principal components stay.
    with pytest.warns(UserWarning, match="number of unique classes"):
        alone = tercet.TripletEmbedder(2).fit(X, np.arange(200))
    assert alone.loss_curve_ == [] and alone.transform(X).shape == (200, 2)
