"""What the Rust part exports. `tests/test_stubs.py` compares it with the module."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .verification import Pairs

__version__: str

_Distance = Literal["euclidean", "squared-euclidean", "cosine"] | str
_Reranking = tuple[int, int, float]
_Indices = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]

class TripletLoss:
    def __new__(
        cls,
        preset: str | None = None,
        *,
        margin: float | Literal["soft"] | None = None,
        soft: bool | None = None,
        distance: _Distance | None = None,
        metric: _Distance | None = None,
        normalize: bool | None = None,
        selection: str | None = None,
        penalty: str | None = None,
        reduction: str | None = None,
        temperature: float | None = None,
    ) -> TripletLoss: ...
    def __call__(
        self,
        embeddings: ArrayLike,
        labels: ArrayLike,
        *,
        reference: tuple[ArrayLike, ArrayLike] | None = None,
        frozen: tuple[ArrayLike, ArrayLike] | None = None,
        frozen_anchors: bool = False,
        false_negatives: float | None = None,
        matryoshka: Sequence[int] | None = None,
        seed: int | None = None,
    ) -> Outcome: ...
    def triplets(
        self, embeddings: ArrayLike, labels: ArrayLike, *, seed: int | None = None
    ) -> _Indices: ...
    def per_triplet(
        self, embeddings: ArrayLike, labels: ArrayLike, *, seed: int | None = None
    ) -> NDArray[np.float32]: ...
    def evaluate_triplets(
        self, embeddings: ArrayLike, triplets: tuple[ArrayLike, ArrayLike, ArrayLike] | ArrayLike
    ) -> Outcome: ...
    @property
    def distance(self) -> str: ...
    @property
    def normalize(self) -> bool: ...
    @property
    def selection(self) -> str: ...
    @property
    def penalty(self) -> str: ...
    @property
    def temperature(self) -> float | None: ...
    @property
    def margin(self) -> float: ...
    @property
    def reduction(self) -> str: ...

@final
class Outcome:
    @property
    def value(self) -> float: ...
    @property
    def gradient(self) -> NDArray[np.float32]: ...
    @property
    def reference_gradient(self) -> NDArray[np.float32] | None: ...
    @property
    def census(self) -> Census: ...
    def __iter__(self) -> Iterator[Any]: ...

@final
class Census:
    @property
    def triplets(self) -> int: ...
    @property
    def selected(self) -> int: ...
    @property
    def active(self) -> int: ...
    @property
    def violated(self) -> int: ...
    @property
    def filtered(self) -> int: ...
    @property
    def anchors(self) -> int: ...
    @property
    def anchors_without_positive(self) -> int: ...
    @property
    def anchors_without_negative(self) -> int: ...
    @property
    def mean_positive_distance(self) -> float: ...
    @property
    def mean_negative_distance(self) -> float: ...
    @property
    def active_share(self) -> float: ...
    def to_dict(self) -> dict[str, int | float]: ...

@final
class Memory:
    def __new__(cls, capacity: int, dimensions: int) -> Memory: ...
    def push(
        self, embeddings: ArrayLike, labels: ArrayLike, items: ArrayLike | None = None
    ) -> None: ...
    def evaluate(
        self,
        loss: TripletLoss,
        embeddings: ArrayLike,
        labels: ArrayLike,
        items: ArrayLike | None = None,
        *,
        seed: int | None = None,
    ) -> Outcome: ...
    def clear(self) -> None: ...
    def entries(
        self,
    ) -> tuple[NDArray[np.float32], NDArray[np.int64] | list[str], NDArray[np.uint64]]: ...
    @property
    def capacity(self) -> int: ...
    @property
    def dimensions(self) -> int: ...
    def __len__(self) -> int: ...
    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, state: dict[str, Any]) -> None: ...

@final
class PkBatches:
    def __new__(
        cls,
        labels: ArrayLike,
        p: int,
        k: int,
        seed: int,
        cameras: ArrayLike | None,
        categories: ArrayLike | None,
    ) -> PkBatches: ...
    def batch(self, step: int) -> list[int]: ...
    @property
    def steps_per_epoch(self) -> int: ...
    @property
    def left_out(self) -> int: ...
    @property
    def repeating(self) -> int: ...

@final
class Calibration:
    @staticmethod
    def isotonic(pairs: Pairs) -> Calibration: ...
    @staticmethod
    def logistic(pairs: Pairs) -> Calibration: ...
    def probability(self, distances: ArrayLike) -> NDArray[np.float64]: ...
    def distance(self, probability: float) -> float | None: ...
    def quality(self, pairs: Pairs) -> dict[str, Any]: ...
    def to_dict(self) -> dict[str, Any]: ...
    @staticmethod
    def from_dict(state: Mapping[str, Any]) -> Calibration: ...

@final
class OpenSet:
    def __new__(
        cls,
        embeddings: ArrayLike,
        labels: ArrayLike,
        *,
        bound: Literal["upper", "median"] | str = "upper",
        seed: int = 0,
        distance: _Distance = "euclidean",
        normalize: bool = False,
    ) -> OpenSet: ...
    def threshold(self, rate: float, items: int, classes: int | None = None) -> float: ...
    def false_matches(self, distance: float, items: int, classes: int | None = None) -> float: ...
    def known_found(self, distance: float, items: int, classes: int | None = None) -> float: ...
    def probability(
        self, distance: float, items: int, classes: int | None = None, *, known: float = 0.5
    ) -> float: ...
    def to_dict(self) -> dict[str, Any]: ...
    @staticmethod
    def from_dict(state: Mapping[str, Any]) -> OpenSet: ...

@final
class Quantiser:
    def __new__(
        cls,
        embeddings: ArrayLike,
        quantisation: Literal["8-bit", "8-bit-global", "1-bit"] | str = "8-bit",
    ) -> Quantiser: ...
    def encode(self, embeddings: ArrayLike) -> NDArray[np.uint8]: ...
    def decode(self, codes: NDArray[np.uint8]) -> NDArray[np.float32]: ...
    def distances(
        self, queries: NDArray[np.uint8], gallery: NDArray[np.uint8]
    ) -> NDArray[np.float32]: ...
    @property
    def quantisation(self) -> str: ...
    @property
    def dimensions(self) -> int: ...
    def to_dict(self) -> dict[str, Any]: ...
    @staticmethod
    def from_dict(state: Mapping[str, Any]) -> Quantiser: ...

@final
class Pca:
    def __new__(cls, embeddings: ArrayLike, components: int, *, whiten: bool = False) -> Pca: ...
    def apply(self, embeddings: ArrayLike) -> NDArray[np.float32]: ...
    @property
    def directions(self) -> NDArray[np.float64]: ...
    @property
    def explained(self) -> NDArray[np.float64]: ...
    def to_dict(self) -> dict[str, Any]: ...
    @staticmethod
    def from_dict(state: Mapping[str, Any]) -> Pca: ...

def set_num_threads(n: int) -> None: ...
def get_num_threads() -> int: ...
def distances(
    queries: ArrayLike,
    gallery: ArrayLike,
    *,
    distance: _Distance = "euclidean",
    normalize: bool = False,
) -> NDArray[np.float32]: ...
def nearest(
    queries: ArrayLike,
    gallery: ArrayLike | None = None,
    k: int = 10,
    *,
    distance: _Distance = "euclidean",
    normalize: bool = False,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]: ...
def expand(
    queries: ArrayLike,
    gallery: ArrayLike | None = None,
    *,
    k: int = 5,
    alpha: float = 0.0,
    distance: _Distance = "euclidean",
    normalize: bool = False,
) -> NDArray[np.float32]: ...
def project(
    embeddings: ArrayLike,
    method: Literal["pca", "t-sne"] | str = "pca",
    *,
    distance: _Distance = "euclidean",
    normalize: bool = False,
) -> NDArray[np.float32]: ...
def bootstrap(
    values: Sequence[float], labels: ArrayLike, *, resamples: int = 1000, seed: int = 0
) -> tuple[float, float]: ...

# What follows returns dictionaries, of which the Python modules make classes.
def compare(
    systems: Sequence[tuple[str, dict[int, float]]], labels: ArrayLike, *, resamples: int, seed: int
) -> list[dict[str, Any]]: ...
def retrieval(
    queries: ArrayLike,
    query_labels: ArrayLike,
    gallery: ArrayLike | None,
    gallery_labels: ArrayLike | None,
    *,
    distance: str,
    normalize: bool,
    ranks: list[int] | None,
    items: ArrayLike | None,
    gallery_items: ArrayLike | None,
    reranking: _Reranking | None,
) -> dict[str, Any]: ...
def reranked_distances(
    queries: ArrayLike,
    gallery: ArrayLike | None,
    parameters: _Reranking,
    *,
    distance: str,
    normalize: bool,
) -> NDArray[np.float32]: ...
def balanced_rows(labels: ArrayLike, limit_per_fold: int, seed: int) -> dict[str, Any]: ...
def pair_distances(
    embeddings: ArrayLike, left: ArrayLike, right: ArrayLike, *, distance: str, normalize: bool
) -> NDArray[np.float32]: ...
def verification(
    distances: ArrayLike, same: ArrayLike, folds: ArrayLike | None, *, far_targets: list[float] | None
) -> dict[str, Any]: ...
def threshold_at_far(distances: ArrayLike, same: ArrayLike, far: float) -> float: ...
def reidentification(
    queries: tuple[ArrayLike, ArrayLike, ArrayLike],
    gallery: tuple[ArrayLike, ArrayLike, ArrayLike],
    *,
    query_items: ArrayLike | None,
    gallery_items: ArrayLike | None,
    distance: str,
    normalize: bool,
    ranks: int,
    reranking: _Reranking | None,
) -> dict[str, Any]: ...
def single_shot(
    queries: tuple[ArrayLike, ArrayLike, ArrayLike],
    gallery: tuple[ArrayLike, ArrayLike, ArrayLike],
    *,
    distance: str,
    normalize: bool,
    ranks: int,
    repetitions: int,
    seed: int,
) -> dict[str, Any]: ...
def one_shot(
    embeddings: ArrayLike,
    runs: list[tuple[ArrayLike, ArrayLike, ArrayLike, ArrayLike]],
    *,
    distance: str,
    normalize: bool,
) -> dict[str, Any]: ...
def episodes(
    embeddings: ArrayLike,
    labels: ArrayLike,
    *,
    distance: str,
    normalize: bool,
    episodes: int,
    ways: int,
    shots: int,
    queries: int,
    prototype: str,
    seed: int,
) -> dict[str, Any]: ...
def group(
    embeddings: ArrayLike,
    algorithm: str,
    *,
    threshold: float | None,
    clusters: int | None,
    min_items: int,
    seed: int,
    distance: str,
    normalize: bool,
) -> NDArray[np.int64]: ...
def agreement(groups: ArrayLike, labels: ArrayLike) -> dict[str, Any]: ...

# What follows needs the feature `full`.
@final
class Model:
    @staticmethod
    def load(path: str | os.PathLike[str]) -> Model: ...
    @staticmethod
    def from_bytes(content: bytes) -> Model: ...
    def to_bytes(self) -> bytes: ...
    def save(self, path: str | os.PathLike[str]) -> None: ...
    def embed(self, pictures: Sequence[Any] | NDArray[np.uint8]) -> NDArray[np.float32]: ...
    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]: ...
    @property
    def card(self) -> dict[str, Any]: ...
    @property
    def fingerprint(self) -> str: ...
    @property
    def distance(self) -> str: ...
    @property
    def normalize(self) -> bool: ...
    @property
    def dimensions(self) -> int: ...
    @property
    def threshold(self) -> float | None: ...
    def probability(self, distance: float) -> float | None: ...

@final
class GalleryStore:
    @staticmethod
    def create(
        location: str,
        *,
        model: Model | None,
        dimensions: int | None,
        distance: str,
        normalize: bool,
        fingerprint: str | None,
        quantize: str | None,
    ) -> GalleryStore: ...
    @staticmethod
    def open(location: str) -> GalleryStore: ...
    def model(self) -> bytes | None: ...
    def add(
        self,
        vectors: ArrayLike,
        ids: Sequence[str],
        labels: Sequence[str | None] | None,
        attributes: Sequence[dict[str, str]] | None,
        *,
        fingerprint: str | None,
        replace: bool,
    ) -> dict[str, int]: ...
    def remove(self, ids: Sequence[str]) -> None: ...
    def search(
        self,
        queries: ArrayLike,
        k: int,
        *,
        labels: Sequence[str],
        attributes: Sequence[tuple[str, str]],
        without: Sequence[str],
        exact: bool,
        fingerprint: str | None,
        threshold: float | None,
        false_matches: float,
    ) -> dict[str, Any]: ...
    def item(self, id: str) -> dict[str, Any] | None: ...
    def items(self, from_: int | None, limit: int) -> dict[str, Any]: ...
    def vectors(self, ids: Sequence[str]) -> NDArray[np.float32]: ...
    def info(self) -> dict[str, Any]: ...
    def refresh(self) -> bool: ...
    def build_index(self) -> dict[str, Any]: ...
    def compact(self) -> dict[str, Any]: ...
    def verify(self) -> dict[str, Any]: ...
    def back_up(self, to: str | os.PathLike[str]) -> dict[str, Any]: ...
    @property
    def location(self) -> str: ...

def train(
    settings: dict[str, Any],
    *,
    run: str | os.PathLike[str] | None,
    resume: str | os.PathLike[str] | None,
    progress: Callable[[dict[str, Any]], object] | None,
) -> dict[str, Any]: ...
def run_command(arguments: Sequence[str]) -> int: ...
