"""Questions as chat rows: in the words of a task's templates, or in an instruction of their own with blanks in it,
``Which category suits [[title]]?``, into which the question's texts are put.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dataset_builders.task import Question, Task
from spine.chat import Message
from spine.prompts import clean, system_prompt, user_prompt
from spine.task_types import TaskType, answer_text

INSTRUCTION = "instruction"  # the field of a question that is asked in words of its own
REWORDED = "reworded"  # the wording of such a question
BLANK = re.compile(r"\[\[(\w+)\]\]")


def messages(
    task: Task, kind: TaskType, wording: str, question: Question, defuse: Callable[[str], str] = str
) -> list[Message]:
    """The three turns of a training row: system (names the task type), user, assistant (the answer).

    ``defuse`` breaks control tokens up. A question of the user's own is asked as it is given, a reworded one in
    words of its own.
    """
    own = question.fields.get("prompt") if task.source == "own" else None
    if wording == REWORDED:
        own = filled(question.fields[INSTRUCTION], question.fields)
    asked = clean(own) if own is not None else user_prompt(task.name, wording, question.fields)
    return [
        {"role": "system", "content": system_prompt(kind)},
        {"role": "user", "content": defuse(asked)},
        {"role": "assistant", "content": defuse(clean(answer_text(kind, question.truth)))},
    ]


def blank(name: str) -> str:
    """What stands for the field ``name``."""
    return f"[[{name}]]"


def filled(instruction: str, fields: Mapping[str, Any]) -> str:
    """The instruction with its texts; a list stands on lines of its own, ``options`` numbered from 0 and all others
    from 1. What is put in is not looked at for blanks again."""

    def text(gap: re.Match[str]) -> str:
        value = fields[gap[1]]
        if not isinstance(value, Sequence) or isinstance(value, str):
            return str(value)
        lines = "\n".join(f"{number}. {line}" for number, line in enumerate(value, start=gap[1] != "options"))
        before, after = instruction[: gap.start()], instruction[gap.end() :]
        return ("\n" if before and before[-1] != "\n" else "") + lines + ("\n" if after and after[0] != "\n" else "")

    return BLANK.sub(text, instruction)
