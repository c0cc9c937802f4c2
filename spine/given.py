"""Questions that are ready to be asked, as files give them: one reader for what is trained on and for what is scored.

ShopBench's rows, and EC-Guide's (invented; ``task_type`` is one of ShopBench's five, found in the words where it is
not said; without ``output_field`` a question can be asked, but neither trained on nor scored):

    {"input_field": "Which one is a fruit?\\n0. a fig\\n1. a fork\\nAnswer: ", "output_field": 0,
     "task_type": "multiple-choice", "metric": "accuracy", "track": "amazon-kdd-cup-24-shopping-knowledge-reasoning"}

Every other form becomes such a row first (``spine.forms``).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spine.asked import WORDS, Asked, asked, listed_texts
from spine.forms import as_value_errors, asks
from spine.prompts import clean
from spine.task_types import METRICS, RANKED, SENTENCES, TaskType, Truth

TRACKS = {
    "understanding-shopping-concepts": 1,
    "shopping-knowledge-reasoning": 2,
    "user-behavior-alignment": 3,
    "multi-lingual-abilities": 4,
}
MOST_WEIGHT = 100.0  # of relevance: the gain of nDCG is 2**weight - 1


@dataclass(frozen=True, slots=True)
class Given:
    """One question of a file.

    Attributes:
        prompt: cleaned, as it is trained on and asked (``spine.prompts.clean``).
        asked: what the prompt asks for, found as at the contest: from its words and ``is_multiple_choice`` alone.
        type: as the file has it, which decides the parser; where it has none, ``asked.type``.
        truth: in ShopBench's ``output_field`` form, one that an answer can get right; None where there is none.
        task: None where the row names none.
        track: 1-4, or None.
    """

    prompt: str
    asked: Asked
    type: TaskType
    truth: Truth | None
    metric: str
    task: str | None = None
    track: int | None = None


def given(row: Any) -> Given:
    """The question that a raw row holds.

    Raises:
        ValueError: there is none, or its answer is one that no model could get right.
    """
    with as_value_errors():
        return _given(asks(row))


def _given(row: Mapping[str, Any]) -> Given:
    for name, value in {"input_field": row["input_field"], "task_name": row.get("task_name") or ""}.items():
        if not isinstance(value, str):
            raise TypeError(f"{name} is no text")
    if not (prompt := clean(row["input_field"])):
        raise ValueError("input_field is empty")
    said = TaskType(_known("task_type", row["task_type"], list(TaskType))) if row.get("task_type") else None
    flag = _flag(row.get("is_multiple_choice"))
    asking = asked(prompt, said is TaskType.MULTIPLE_CHOICE if flag is None and said else flag)
    kind, metric, answer = said or asking.type, row.get("metric"), row.get("output_field")
    # EC-Guide's yes-or-no rows: a word is answered, no number of an option.
    if metric == "bool" or (kind is TaskType.MULTIPLE_CHOICE and answer in WORDS):
        kind, metric = TaskType.GENERATION, "bool"
    metric = _known("metric", metric or METRICS[kind][0], METRICS[kind])
    truth = None if answer is None else _truth(kind, answer, metric)
    if truth is not None and (trouble := unfit(kind, truth, row.get("listed") or _listed(prompt, kind, asking))):
        raise ValueError(trouble)
    track = row.get("track")
    track = track if isinstance(track, int) else TRACKS.get(str(track).removeprefix("amazon-kdd-cup-24-"))
    return Given(prompt, asking, kind, truth, metric, row.get("task_name") or None, track)


def _listed(prompt: str, kind: TaskType, asking: Asked) -> tuple[int, ...]:
    """The numbers from which the prompt lets choose; its words may seem to ask for another type than the file says."""
    if kind is TaskType.MULTIPLE_CHOICE:
        return asking.listed if asking.type is kind else asked(prompt, True).listed
    if kind in (TaskType.RETRIEVAL, TaskType.RANKING):
        return asking.listed if asking.type is kind else tuple(listed_texts(prompt))
    return ()


def unfit(kind: TaskType, truth: Any, listed: Sequence[int] = ()) -> str | None:
    """Why no answer could get ``truth`` right, as ShopBench reads and scores answers; None where one can.

    ``listed``: the numbers from which the prompt lets choose, where it lists any.
    """
    match kind:
        case TaskType.MULTIPLE_CHOICE:
            if type(truth) is not int or truth < 0 or (listed and truth not in listed):
                return f"the answer {truth!r} is not among the options {list(listed) or '(numbers from 0)'}"
            return None if truth <= 9 else f"the answer {truth}: one digit is read"
        case TaskType.RETRIEVAL:
            return _unfit_positions(truth, listed)
        case TaskType.RANKING:
            return _unfit_weights(truth, listed)
        case TaskType.NER:
            if not isinstance(truth, list) or not all(isinstance(phrase, str) for phrase in truth):
                return f"a list of phrases was expected as answer, not {truth!r}"
            if not truth or not all(phrase.strip() for phrase in truth):
                return "a phrase is empty" if truth else "no phrase is given"
            if split := [phrase for phrase in truth if "\n" in phrase]:
                return f"the phrase {split[0]!r} holds a line end"
            return None if len({phrase.lower() for phrase in truth}) == len(truth) else "a phrase is given twice"
        case TaskType.GENERATION:
            texts = truth if isinstance(truth, list) else [truth]
            if not all(isinstance(text, str) for text in texts):
                return f"a text was expected as answer, not {truth!r}"
            return None if texts and all(map(str.strip, texts)) else "the answer is empty"


def _unfit_positions(truth: Any, listed: Sequence[int]) -> str | None:
    if not isinstance(truth, list) or not truth or not all(type(at) is int for at in truth):
        return f"a list of numbers was expected as answer, not {truth!r}"
    if len(set(truth)) < len(truth):
        return f"a position is given twice: {truth!r}"
    outside = [at for at in truth if at < 0 or (listed and at not in listed)]
    return f"the answer {outside[0]} is not in the list {list(listed)}" if outside else None


def _unfit_weights(truth: Any, listed: Sequence[int]) -> str | None:
    numbers = isinstance(truth, list) and all(type(weight) in (int, float) for weight in truth)
    if not numbers or len(truth) < 2:
        return f"a list of weights was expected as answer, not {truth!r}"
    if odd := [weight for weight in truth if not 0 <= weight <= MOST_WEIGHT or not math.isfinite(weight)]:
        return f"the weight {odd[0]} is none from 0 to {MOST_WEIGHT:g}: the gain is 2**weight - 1"
    if listed and len(listed) != len(truth):
        return f"{len(truth)} weights for a list of {len(listed)}"
    if len(truth) > RANKED:
        return f"{len(truth)} weights: at most {RANKED} are read"
    return None if len({2.0**weight for weight in truth}) > 1 else "all weights are equal"


def _truth(kind: TaskType, answer: Any, metric: str) -> Any:
    """``output_field``; some files print it as JSON: ``"2"``, ``"[1, 3]"``."""
    if kind is TaskType.GENERATION:
        if isinstance(answer, list) and metric not in SENTENCES:
            raise ValueError(f"{metric} takes one text as answer, not {answer!r}")
        answer = _stripped(answer)
        if metric == "bool" and answer not in WORDS:
            raise ValueError(f"bool takes yes or no as answer, not {answer!r}")
        return answer
    if isinstance(answer, str):
        try:
            answer = json.loads(answer)
        except (ValueError, RecursionError):
            return answer  # which is told as it stands
    return _stripped(answer) if kind is TaskType.NER else answer


def _stripped(answer: Any) -> Any:
    """A text, or each of a list, without outer blanks: no answer that is read has any."""
    if isinstance(answer, list):
        return [text.strip() if isinstance(text, str) else text for text in answer]
    return answer.strip() if isinstance(answer, str) else answer


def _known(name: str, value: Any, names: Sequence[str]) -> str:
    if value not in names:
        raise ValueError(f"{name} {value!r} is none of {', '.join(names)}")
    return str(value)


def _flag(value: Any) -> bool | None:
    """``is_multiple_choice``, which a CSV prints."""
    if value is None or isinstance(value, bool):
        return value
    said = {"true": True, "false": False, "": None}
    return said[_known("is_multiple_choice", str(value).strip().lower(), list(said))]
