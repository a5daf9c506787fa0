"""A persistent store of embeddings that can be searched."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ._tercet import GalleryStore, Model

if TYPE_CHECKING:
    import pandas
    from numpy.typing import ArrayLike, NDArray

__all__ = ["Answer", "Gallery", "Hit"]


@dataclasses.dataclass(frozen=True)
class Hit:
    """An item that was found.

    Attributes:
        id: names the item.
        label: its class, if known.
        attributes: more about it by name.
        distance: how far it is from the query.
        same: whether it is nearer than the threshold; None without one.
        probability: that it shows what the query shows, under the gallery's prior; None where nothing
            was measured.
    """

    id: str
    label: str | None
    attributes: dict[str, str]
    distance: float
    same: bool | None
    probability: float | None


@dataclasses.dataclass(frozen=True)
class Answer(Sequence[list[Hit]]):
    """The items found for each query, nearest first.

    Attributes:
        hits: a list for each query.
        method: "exact", "quantized" or "hnsw".
        threshold: nearer hits are the same; None without a model and labels to tell by.
        prior: the probability that a hit is the same before its distance is known.
        false_matches_per_query: expected false matches of a query of an unknown class.
        basis: where the threshold comes from.
        note: what a user should know about it.
    """

    hits: list[list[Hit]]
    method: str
    threshold: float | None
    prior: float
    false_matches_per_query: float | None
    basis: str | None
    note: str | None

    def __len__(self) -> int:
        return len(self.hits)

    def __getitem__(self, query: Any) -> Any:
        return self.hits[query]

    def to_pandas(self) -> pandas.DataFrame:
        """A row for each hit, with the number of its query. Needs pandas."""
        import pandas

        rows = [
            {"query": query, "rank": rank, **dataclasses.asdict(hit)}
            for query, hits in enumerate(self.hits)
            for rank, hit in enumerate(hits, 1)
        ]
        return pandas.DataFrame(rows)

    def _repr_html_(self) -> str:
        return self.to_pandas().to_html(index=False)


class Gallery:
    """Embeddings with their ids, labels and attributes, in a folder or a PostgreSQL database.

    What a call has acknowledged survives a kill at any moment. Many readers, one writer, in any number of
    processes. Make one by `Gallery.create` or `Gallery.open`.
    """

    def __init__(self, store: GalleryStore, model: Model | None = None) -> None:
        self._store = store
        self._model = model

    @classmethod
    def create(
        cls,
        location: str | os.PathLike[str],
        model: Model | None = None,
        *,
        dimensions: int | None = None,
        distance: str = "euclidean",
        normalize: bool = False,
        fingerprint: str | None = None,
        quantize: str | None = None,
    ) -> Gallery:
        """Makes an empty gallery.

        Args:
            location: a folder, or a `postgres://` address.
            model: makes the vectors; the gallery keeps a copy, and can be searched by pictures.
            dimensions: D, for vectors of another origin; with `distance` and `normalize`.
            fingerprint: names what makes the vectors, so that others are refused.
            quantize: "i8" or "b1": codes propose candidates before the vectors decide.

        Raises:
            FileExistsError: there is a gallery already.
            ValueError: both a model and dimensions, or neither.
        """
        store = GalleryStore.create(
            os.fspath(location), model=model, dimensions=dimensions, distance=distance,
            normalize=normalize, fingerprint=fingerprint, quantize=quantize,
        )
        return cls(store, model)

    @classmethod
    def open(cls, location: str | os.PathLike[str]) -> Gallery:
        """Opens a gallery.

        Raises:
            FileNotFoundError: there is none.
        """
        return cls(GalleryStore.open(os.fspath(location)))

    @property
    def location(self) -> str:
        """Folder or address, without a password."""
        return self._store.location

    @property
    def model(self) -> Model | None:
        """The model that the gallery keeps."""
        if self._model is None:
            content = self._store.model()
            self._model = None if content is None else Model.from_bytes(content)
        return self._model

    def _vectors(self, items: Any) -> Any:
        """Vectors as they are; pictures through the model."""
        if isinstance(items, np.ndarray) and items.ndim == 2 and items.dtype.kind not in "UO":
            return items
        first = next(iter(items), None)
        if first is None or isinstance(first, (int, float, np.number)) or (
            isinstance(first, (list, tuple)) or (isinstance(first, np.ndarray) and first.ndim == 1)
        ):
            return items
        if self.model is None:
            raise ValueError("the gallery keeps no model: expected vectors, since pictures need one")
        return self.model.embed(items)

    def add(
        self,
        items: ArrayLike | Sequence[Any],
        ids: Sequence[str] | None = None,
        labels: Sequence[Any] | None = None,
        *,
        attributes: Sequence[Mapping[str, str]] | None = None,
        replace: bool = False,
    ) -> dict[str, int]:
        """Adds items, all or none.

        Args:
            items: vectors of shape (N, D), or pictures as `Model.embed` takes them.
            ids: names of the items, unique in the gallery; default: the paths of the pictures.
            labels: classes, None where unknown.
            attributes: more about each item by name.
            replace: whether an item takes the place of one with its id.

        Returns:
            How many were `added` and `replaced`.

        Raises:
            ValueError: an id that is there already, vectors that do not fit.
        """
        if ids is None:
            if not all(isinstance(item, (str, os.PathLike)) for item in items):
                raise TypeError("ids are missing: expected a name for each item")
            ids = [os.fspath(item) for item in items]
        return self._store.add(
            self._vectors(items), [str(id) for id in ids],
            None if labels is None else [None if label is None else str(label) for label in labels],
            None if attributes is None else [dict(of_item) for of_item in attributes],
            fingerprint=None, replace=replace,
        )

    def remove(self, ids: Sequence[str]) -> None:
        """Removes items, all or none. KeyError for an id that is not there."""
        self._store.remove(list(ids))

    def search(
        self,
        queries: ArrayLike | Sequence[Any],
        k: int = 10,
        *,
        labels: Sequence[str] = (),
        attributes: Mapping[str, str | Sequence[str]] | None = None,
        without: Sequence[str] = (),
        exact: bool = False,
        threshold: float | None = None,
        false_matches: float = 0.01,
    ) -> Answer:
        """The nearest items of each query.

        Args:
            queries: vectors of shape (Q, D), or pictures as `Model.embed` takes them.
            k: how many of the nearest.
            labels: only items of these classes.
            attributes: only items with these values; values of one name are alternatives.
            without: none of these ids.
            exact: measure every vector, whatever codes and index there are.
            threshold: nearer hits are the same; default: the distance at which a query of an unknown
                class has at most `false_matches` matches in expectation.
        """
        pairs = [
            (name, value)
            for name, values in (attributes or {}).items()
            for value in ([values] if isinstance(values, str) else values)
        ]
        found = self._store.search(
            self._vectors(queries), k, labels=[str(label) for label in labels], attributes=pairs,
            without=list(without), exact=exact, fingerprint=None, threshold=threshold,
            false_matches=false_matches,
        )
        hits = [
            [Hit(**{field.name: hit.get(field.name) for field in dataclasses.fields(Hit)}) for hit in of_query]
            for of_query in found["hits"]
        ]
        names = ("method", "threshold", "prior", "false_matches_per_query", "basis", "note")
        return Answer(hits, **{name: found.get(name) for name in names})

    def vectors(self, ids: Sequence[str]) -> NDArray[np.float32]:
        """The vectors of items: shape (N, D). KeyError for an id that is not there."""
        return self._store.vectors(list(ids))

    def item(self, id: str) -> dict[str, Any] | None:
        """An item, or None."""
        return self._store.item(id)

    def items(self) -> list[dict[str, Any]]:
        """All items, in the order in which they were added."""
        found: list[dict[str, Any]] = []
        page = self._store.items(None, 1000)
        while True:
            found.extend(page["items"])
            if page["next"] is None:
                return found
            page = self._store.items(page["next"], 1000)

    def to_pandas(self) -> pandas.DataFrame:
        """A row for each item: id, label and attributes. Needs pandas."""
        import pandas

        rows = [{"id": i["id"], "label": i["label"], **i["attributes"]} for i in self.items()]
        return pandas.DataFrame(rows, columns=None if rows else ["id", "label"])

    def info(self) -> dict[str, Any]:
        """The gallery in numbers: items, labels, bytes, index…"""
        return self._store.info()

    def refresh(self) -> bool:
        """Sees what other processes have written since; whether there was anything."""
        return self._store.refresh()

    def build_index(self) -> dict[str, Any]:
        """Builds an HNSW graph over all items and measures how well it finds."""
        return self._store.build_index()

    def compact(self) -> dict[str, Any]:
        """Frees the space of removed items, and overwrites what is left of them."""
        return self._store.compact()

    def verify(self) -> dict[str, Any]:
        """Reads everything and compares it with its checksums; ValueError names a damaged file."""
        return self._store.verify()

    def back_up(self, to: str | os.PathLike[str]) -> dict[str, Any]:
        """Copies the gallery into a new folder, while others read and write it."""
        return self._store.back_up(os.fspath(to))

    def __len__(self) -> int:
        return self.info()["items"]

    def __contains__(self, id: str) -> bool:
        return self._store.item(id) is not None

    def __repr__(self) -> str:
        return f"Gallery({self.location!r}) with {len(self)} items"
