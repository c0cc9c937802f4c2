"""How well the rule for task types does on files of questions: ``python -m inference.scoring.confusion FILE ...``."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from inference.answering.questions import read_questions
from inference.answering.task_type import asked
from spine.task_types import TaskType


def confusion(paths: Iterable[Path], *, told: bool = True) -> Counter[tuple[TaskType, TaskType]]:
    """(the file's task type, ours) -> questions. ``told``: is_multiple_choice is known, as at the contest."""
    found: Counter[tuple[TaskType, TaskType]] = Counter()
    for path in paths:
        for question in read_questions(path):
            kind = TaskType.MULTIPLE_CHOICE if question.metric == "bool" else question.type
            flag = kind is TaskType.MULTIPLE_CHOICE if told else None
            found[kind, asked(question.prompt, flag).type] += 1
    return found


def table(counts: Counter[tuple[TaskType, TaskType]]) -> str:
    """Markdown; a row per type of the files, a column per type found."""
    kinds = [kind for kind in TaskType if any(kind in pair for pair in counts)]
    rows = [["", *(kind.short for kind in kinds)], ["---"] * (len(kinds) + 1)]
    rows += [[kind.short, *(f"{counts[kind, other]:,}" for other in kinds)] for kind in kinds]
    right = sum(count for (kind, other), count in counts.items() if kind is other)
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([*lines, "", f"{right:,} of {counts.total():,} right"])


if __name__ == "__main__":
    files = [Path(name) for name in sys.argv[1:]]
    for told in (True, False):
        print(f"\nis_multiple_choice {'known' if told else 'guessed'}\n\n{table(confusion(files, told=told))}")
