"""Answering as at the contest: 16 questions at a time, none known before those before it are answered, on the clock."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from inference.answering.answer import Answerer
from inference.answering.engines.requests import Request
from inference.answering.questions import Question
from spine.atomic import write_text
from spine.json_rows import json_rows
from spine.task_types import TaskType

BATCH = 16  # the organisers' starter kit (KDD Cup 2024)
BATCHES = "batches.jsonl"
Batch = tuple[int, ...]  # numbers of questions


@dataclass(frozen=True)
class ContestEngine:
    """Stands in for an engine in an evaluation of ``questions``, and keeps the seconds of each batch in ``folder``."""

    folder: Path
    questions: Sequence[Question]
    answerer: Answerer

    def generate(self, requests: Sequence[Request]) -> Iterator[tuple[int, str]]:
        """Yields (index, answer). A batch of which an answer was lost to a kill is asked again, whole."""
        wanted = {request.index for request in requests}
        taken = seconds_taken(self.folder) if len(wanted) < len(self.questions) else {}  # else another evaluation's
        for batch in batches(self.questions):
            if wanted.isdisjoint(batch):
                continue
            prompts = [self.questions[index].prompt for index in batch]
            flag = self.questions[batch[0]].asked.type is TaskType.MULTIPLE_CHOICE
            began = monotonic()
            texts = self.answerer.answer(prompts, flag)
            taken[batch] = monotonic() - began
            lines = (json.dumps({"questions": asked, "seconds": seconds}) for asked, seconds in taken.items())
            write_text(self.folder / BATCHES, "\n".join(lines) + "\n")  # before its answers: none lies there untimed
            yield from ((index, text) for index, text in zip(batch, texts, strict=True) if index in wanted)


def seconds_taken(folder: Path) -> dict[Batch, float]:
    """The wall-clock seconds of each batch that was answered; loading the model is in none of them."""
    if not (folder / BATCHES).exists():
        return {}
    rows = json_rows((folder / BATCHES).read_text(encoding="utf-8"))
    return {tuple(row["questions"]): row["seconds"] for _, row in rows}


def batches(questions: Sequence[Question]) -> list[Batch]:
    """Numbers of the questions asked together: of one task type, as the starter kit groups them, in the file's order.

    A batch has one flag: EC-Guide's yes-or-no questions, which are scored as texts, stay apart from other texts.
    """
    groups: dict[tuple[str, bool], list[int]] = {}
    for index, question in enumerate(questions):
        flag = question.asked.type is TaskType.MULTIPLE_CHOICE
        groups.setdefault((question.type, flag), []).append(index)
    return [tuple(group[at : at + BATCH]) for group in groups.values() for at in range(0, len(group), BATCH)]
