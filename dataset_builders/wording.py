"""Questions as chat rows."""

from __future__ import annotations

from collections.abc import Callable

from dataset_builders.blanks import INSTRUCTION, REWORDED, filled
from dataset_builders.task import Question, Task
from spine.chat import Message
from spine.prompts import clean, system_prompt, user_prompt
from spine.task_types import TaskType, answer_text


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
