"""Questions that an LLM made (see ``dataset_builders.synthesis``), as files: one Parquet file a dataset."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa  # type: ignore[import-untyped,unused-ignore]
import pyarrow.parquet as pq  # type: ignore[import-untyped,unused-ignore]

from dataset_builders.held_out import held_out
from dataset_builders.task import Origin, Question
from spine.errors import RecipeError
from spine.paths import shown

_TEXTS = ("dataset", "entity", "key", "fields", "truth", "template", "model", "settings", "seed", "seed_row")
# ``fields``, ``truth`` and ``seed_row`` are JSON. ``seed``: the digest of the seed row, in hex.
SCHEMA = pa.schema({**dict.fromkeys(_TEXTS, pa.string()), "also": pa.list_(pa.string())})


def path_of(folder: Path, name: str) -> Path:
    """Where the questions of the dataset ``name`` lie, if there are any; ``folder`` is that of all synthesis."""
    return folder / "questions" / f"{name}.parquet"


def read_llm_rows(path: Path) -> Iterator[Question]:
    """The questions of an exported file, each with where it comes from; none about what is held out.

    Raises:
        RecipeError: it is no such file.
    """
    columns = ["entity", "fields", "truth", "also", "key", "template", "model", "seed"]
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=1024, columns=columns):
                for row in batch.to_pylist():
                    if held_out(row["entity"]):
                        continue
                    fields, truth = json.loads(row["fields"]), json.loads(row["truth"])
                    origin = Origin(row["template"], row["model"], row["seed"])
                    yield Question(row["entity"], fields, truth, tuple(row["also"]), key=row["key"], origin=origin)
    except (OSError, pa.ArrowException, KeyError, ValueError) as error:
        raise RecipeError(
            f"is no file of made questions: {error}", where=shown(path), way_out="recipe synth export"
        ) from error
