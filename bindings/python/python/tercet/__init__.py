"""The triplet loss on NumPy arrays: exact value, gradient and census, and the evaluation of embeddings.

>>> import numpy as np, tercet
>>> embeddings = np.random.default_rng(0).normal(size=(64, 32)).astype(np.float32)
>>> labels = np.repeat(np.arange(16), 4)
>>> outcome = tercet.TripletLoss("batch-hard", margin=0.2)(embeddings, labels)
>>> outcome.gradient.shape
(64, 32)

Objectives: `TripletLoss`, `Outcome`, `Census`, `Memory`, `PkSampler`.
Evaluation: `Retrieval`, `Verification` on `Pairs`, `Reidentification`, `SingleShot`, `OneShot`,
`Episodes`, `Clustering`, `Agreement`; `compare` and `bootstrap` for differences and intervals.
Decisions: `Calibration`, `OpenSet`.
Vectors: `distances`, `nearest`, `expand`, `project`, `KReciprocal`, `Pca`, `Quantiser`.
scikit-learn: `TripletEmbedder`.
Networks, where the build has them (wheels do): `train`, `Trained`, `Model`, `Gallery`, `Answer`, `Hit`.

Vectors are arrays of shape (N, D), one a row. float32 is read where it is, whatever its strides;
float16, bfloat16, float64 and integers are converted to float32 first, so that float64 costs a copy and
is rounded. Gradients are always float32. Labels are integers or strings. Wrong types raise TypeError,
wrong values ValueError.
"""

from typing import TYPE_CHECKING, Any

from . import _tercet
from ._tercet import (
    Calibration,
    Census,
    Memory,
    OpenSet,
    Outcome,
    Pca,
    Quantiser,
    TripletLoss,
    __version__,
    bootstrap,
    distances,
    expand,
    get_num_threads,
    nearest,
    project,
    set_num_threads,
)
from .clustering import Agreement, Clustering
from .comparison import Comparison, Difference, compare
from .one_shot import Episodes, OneShot
from .reidentification import Reidentification, SingleShot
from .reranking import KReciprocal
from .retrieval import Retrieval
from .sampler import PkSampler
from .verification import Pairs, Verification

if TYPE_CHECKING:
    from ._tercet import Model
    from .embedder import TripletEmbedder
    from .gallery import Answer, Gallery, Hit
    from .training import Trained, train

__all__ = [
    "Agreement",
    "Calibration",
    "Census",
    "Clustering",
    "Comparison",
    "Difference",
    "Episodes",
    "KReciprocal",
    "Memory",
    "OneShot",
    "OpenSet",
    "Outcome",
    "Pairs",
    "Pca",
    "PkSampler",
    "Quantiser",
    "Reidentification",
    "Retrieval",
    "SingleShot",
    "TripletEmbedder",
    "TripletLoss",
    "Verification",
    "__version__",
    "bootstrap",
    "compare",
    "distances",
    "expand",
    "get_num_threads",
    "nearest",
    "project",
    "set_num_threads",
]


#: Whether training, models, galleries and the command are in this build.
_HAS_NETWORKS = hasattr(_tercet, "Model")

if _HAS_NETWORKS:
    from ._tercet import Model
    from .gallery import Answer, Gallery, Hit
    from .training import Trained, train

    __all__ += ["Answer", "Gallery", "Hit", "Model", "Trained", "train"]


def __getattr__(name: str) -> Any:
    # scikit-learn is optional, and takes a second to import.
    if name == "TripletEmbedder":
        from .embedder import TripletEmbedder

        return TripletEmbedder
    if name in ("Answer", "Gallery", "Hit", "Model", "Trained", "train") and not _HAS_NETWORKS:
        raise AttributeError(f"this build has no tercet.{name}: build it with the feature `full`")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
