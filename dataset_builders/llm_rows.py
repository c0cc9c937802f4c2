"""Questions that an LLM made (see ``dataset_builders.synthesis``), as files: one Parquet file a dataset."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa  # type: ignore[import-untyped,unused-ignore]
import pyarrow.parquet as pq  # type: ignore[import-untyped,unused-ignore]

from dataset_builders.task import Question, held_out
from spine.errors import RecipeError
from spine.paths import shown

_TEXT = pa.string()
# ``fields``, ``truth`` and ``seed_row`` are JSON. ``seed``: the digest of the seed row, in hex.
SCHEMA = pa.schema(
    {
        "dataset": _TEXT,
        "entity": _TEXT,
        "key": _TEXT,
        "also": pa.list_(_TEXT),
        "fields": _TEXT,
        "truth": _TEXT,
        "template": _TEXT,
        "model": _TEXT,
        "settings": _TEXT,
        "seed": _TEXT,
        "seed_row": _TEXT,
    }
)


def path_of(folder: Path, name: str) -> Path:
    """Where the questions of the dataset ``name`` lie; ``folder`` is that of all synthesis."""
    return folder / "questions" / f"{name}.parquet"


def made_of(folder: Path, name: str) -> Path | None:
    """The same, if there are any."""
    path = path_of(folder, name)
    return path if path.is_file() else None


def read_made(path: Path) -> Iterator[Question]:
    """The questions of an exported file, each with its template, model and seed row; none about what is held out.

    Raises:
        RecipeError: it is no such file.
    """
    columns = ["entity", "fields", "truth", "also", "key", "template", "model", "seed"]
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=1024, columns=columns):
                for row in batch.to_pylist():
                    made = (row["template"], row["model"], row["seed"])
                    fields, truth = json.loads(row["fields"]), json.loads(row["truth"])
                    question = Question(row["entity"], fields, truth, tuple(row["also"]), key=row["key"], made=made)
                    if not held_out(question.entity):
                        yield question
    except (OSError, pa.ArrowException, KeyError, ValueError) as error:
        raise RecipeError(
            f"is no file of made questions: {error}", where=shown(path), way_out="recipe synth export"
        ) from error
