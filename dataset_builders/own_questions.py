"""Questions of one's own: a file that needs no builder, as an entry of a blend.

    my_questions: {path: my/questions.jsonl, why: what our customers ask}

JSON lines, a JSON array, CSV or Parquet, in any form that ``spine.given`` reads, which is what can be scored, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dataset_builders.raw import RawData
from dataset_builders.sources._files import typed
from dataset_builders.task import Question, Seeded, Task
from spine.forms import asks, question_rows
from spine.given import given
from spine.manifest import digest
from spine.paths import shown
from spine.task_types import RETRIEVED, TaskType

WORDING = "as given"


def own_task(name: str, path: Path) -> Task:
    """A file as a dataset of the blend. Its prompts stand as they are: there is one wording.

    The type is each row's own; the task's is only what tables show.
    """

    def build(raw: RawData, seeded: Seeded) -> Iterator[Question]:
        return typed(raw, path, question_rows(path), _question)

    return Task(name, TaskType.GENERATION, "own", None, None, f"questions of {shown(path)}", build)


def prompts(raw: RawData, path: Path) -> Iterator[tuple[int, str]]:
    """The numbered questions of an evaluation file, whatever their answers; of an exam, question and options are texts
    of their own, as in the rows that are made of it (``\\0``: ``pools.likeness``)."""
    return enumerate(typed(raw, path, question_rows(path), _asked), start=1)


def _asked(row: Any) -> str:
    found = asks(row)
    prompt = found.get("texts") or found["input_field"]
    return "\0".join([prompt] if isinstance(prompt, str) else prompt).strip()


def _question(row: Any) -> Question:
    """Raises ValueError where there is no answer, or one that no model could get right."""
    found = given(row)
    if found.truth is None:
        raise ValueError("there is no answer")
    truth = found.truth
    if found.type is TaskType.RETRIEVAL:
        truth = truth[:RETRIEVED]  # type: ignore[index]  # no more are read
    return Question(f"own:{digest(found.prompt)[:16]}", {"prompt": found.prompt}, truth, type=found.type)
