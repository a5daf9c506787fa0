"""Files of embeddings as other people's tools write them: `python make.py`, in an environment with
requirements.txt.

Each good file holds five rows of three numbers, row i, column j being i + j/4, with the labels
a b a b c (or 0 1 0 1 2) and the ids r0 to r4 where it has such columns.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

HERE = Path(__file__).parent
ROWS = np.arange(5)[:, None] + np.arange(3)[None, :] / 4
LABELS = ["a", "b", "a", "b", "c"]
NUMBERS = [0, 1, 0, 1, 2]
IDS = [f"r{i}" for i in range(5)]


def arrow(name, columns, **options):
    model = {"model": "beef"}
    pq.write_table(pa.table(columns).replace_schema_metadata(model), HERE / name, **options)


# Fixed-size lists of f32, a dictionary of labels, several row groups.
arrow(
    "pyarrow-snappy.parquet",
    {
        "id": pa.array(IDS, pa.large_string()),
        "label": pa.array(LABELS).dictionary_encode(),
        "embedding": pa.array(list(ROWS.astype("f4")), pa.list_(pa.float32(), 3)),
    },
    row_group_size=2,
)
# Large lists of f16, small numbers as labels, another column, and the newer data pages.
arrow(
    "pyarrow-lz4.parquet",
    {
        "path": pa.array(["x"] * 5),
        "embedding": pa.array(list(ROWS.astype("f2")), pa.large_list(pa.float16())),
        "label": pa.array(NUMBERS, pa.uint8()),
    },
    compression="lz4",
    data_page_version="2.0",
)
arrow(
    "pyarrow-split-none.parquet",
    {
        "embedding": pa.array(list(ROWS.astype("f4")), pa.list_(pa.float32())),
        "id": pa.array(IDS, pa.string_view()),
    },
    compression="none",
    use_dictionary=False,
    use_byte_stream_split=["embedding.list.element"],
)
# Without rows only the schema tells the dimensions.
arrow("pyarrow-empty.parquet", {"embedding": pa.array([], pa.list_(pa.float32(), 3))})
arrow("null-embedding.parquet", {"embedding": pa.array([[1.0, 2.0], [3.0, 4.0], None])})
arrow("null-number.parquet", {"embedding": pa.array([[1.0, 2.0], [3.0, None]])})
arrow("null-label.parquet", {"embedding": pa.array([[1.0], [2.0]]), "label": pa.array(["a", None])})
arrow("ragged.parquet", {"embedding": pa.array([[1.0, 2.0], [3.0, 4.0], [5.0]])}, row_group_size=2)
arrow("real-label.parquet", {"embedding": pa.array([[1.0]]), "label": pa.array([0.5])})
arrow("whole-embedding.parquet", {"embedding": pa.array([[1, 2]])})
arrow("no-embedding.parquet", {"vector": pa.array([[1.0]]), "label": pa.array(["a"])})

frame = pd.DataFrame({"embedding": list(ROWS), "label": NUMBERS, "id": IDS}, index=range(7, 12))
frame.to_parquet(HERE / "pandas-gzip.parquet", compression="gzip")
frame["label"] = pd.Categorical(LABELS)
frame.to_parquet(HERE / "pandas-categorical.parquet")

pl.DataFrame(
    {
        "id": IDS,
        "label": pl.Series(LABELS, dtype=pl.Categorical),
        "embedding": pl.Series(ROWS.astype("f4"), dtype=pl.Array(pl.Float32, 3)),
    }
).write_parquet(HERE / "polars-zstd.parquet", compression="zstd", row_group_size=3)
