"""Questions that are ready to be asked, as files give them: one reader for what is trained on and for what is scored.

ShopBench's rows, and EC-Guide's (invented; ``task_type`` is one of ShopBench's five, found in the words where it is
not said; without ``output_field`` a question can be asked, but neither trained on nor scored):

    {"input_field": "Which one is a fruit?\\n0. a fig\\n1. a fork\\nAnswer: ", "output_field": 0,
     "task_type": "multiple-choice", "metric": "accuracy", "track": "amazon-kdd-cup-24-shopping-knowledge-reasoning"}

Every other form becomes such a row: exams (MMLU's CSV with and without a header, of 2 to 10 options, and its Parquet;
ARC's), instructions (Alpaca), one exchange (``messages``, ShareGPT's ``conversations``), a run's own rows.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spine.asked import UNLISTED, Asked, asked, listed_texts
from spine.prompts import clean
from spine.raw_rows import RawRow, Unreadable, csv_records, is_utf8, raw_rows
from spine.task_types import METRICS, RANKED, SENTENCES, TaskType, Truth

FORMS = (
    "input_field, output_field, task_type (ShopBench, EC-Guide); question, choices, answer (MMLU, ARC); "
    "instruction, input, output (Alpaca); messages or conversations with one question and its answer"
)
TRACKS = {
    "understanding-shopping-concepts": 1,
    "shopping-knowledge-reasoning": 2,
    "user-behavior-alignment": 3,
    "multi-lingual-abilities": 4,
}
MOST_WEIGHT = 100.0  # of relevance: the gain of nDCG is 2**weight - 1
_ROLES = {"human": "user", "gpt": "assistant"}  # ShareGPT's names
_LETTERS = "ABCDEFGHIJ"
_YES_NO = ("yes", "no")
# Of our own datasets, those that stand for ShopBench's task6 (rougel) and task17 (bleu, jp-bleu).
_DATASET_METRICS = {"review_aspect_keyphrase": "rougel", "multilingual_title": "bleu"}
_JAPANESE = re.compile(r"[぀-ヿ]")


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


def question_rows(path: Path) -> tuple[Iterator[tuple[int, Any]], str]:
    """The numbered rows of a file of questions, and what the numbers count (``raw_rows``).

    A CSV without a header is MMLU's original form: question, options, letter.

    Raises:
        RecipeError: no file of rows, or one that is broken as a whole.
    """
    rows, unit = raw_rows(path)
    csv = path.name.removesuffix(".gz").endswith(".csv")
    return (_csv_rows(path) if csv else rows), unit


def asks(row: Any) -> dict[str, Any]:
    """A row of any form in ShopBench's; ``texts`` has the question and its options apart, where they are.

    Raises:
        ValueError: it is of no known form, and why.
    """
    with _as_value_errors():
        return _asks(row)


def _asks(row: Any) -> dict[str, Any]:
    if isinstance(row, Unreadable):
        raise ValueError(row.problem)
    if not isinstance(row, dict):
        raise TypeError(f"an object was expected, not {type(row).__name__}")
    if "input_field" in row:
        return row
    if "messages" in row or "conversations" in row:
        return _exchange(row)
    if "question" in row and (options := _options(row)):
        return _exam(row, *options)
    if isinstance(row.get("instruction"), str) and "output" in row:
        if row.get("options"):
            raise ValueError("an instruction with options of its own: write them into its input")
        prompt = "\n".join(filter(None, (row["instruction"], row.get("input"))))
        return _free(row, prompt, row["output"])
    raise ValueError(f"no 'input_field' among its keys {', '.join(map(str, row)) or '(none)'}; read are: {FORMS}")


def given(row: Any) -> Given:
    """The question that a raw row holds.

    Raises:
        ValueError: there is none, or its answer is one that no model could get right.
    """
    with _as_value_errors():
        return _given(_asks(row))


@contextmanager
def _as_value_errors() -> Iterator[None]:
    try:
        yield
    except KeyError as error:
        raise ValueError(f"no {error}") from error
    except (TypeError, RecursionError) as error:
        raise ValueError(str(error)) from error


def _given(row: Mapping[str, Any]) -> Given:
    if not isinstance(row["input_field"], str):
        raise TypeError("input_field is no text")
    if not (prompt := clean(row["input_field"])):
        raise ValueError("input_field is empty")
    said = TaskType(_known("task_type", row["task_type"], list(TaskType))) if row.get("task_type") else None
    flag = _flag(row.get("is_multiple_choice"))
    asking = asked(prompt, said is TaskType.MULTIPLE_CHOICE if flag is None and said else flag)
    kind, metric, answer = said or asking.type, row.get("metric"), row.get("output_field")
    # EC-Guide's yes-or-no rows: a word is answered, no number of an option.
    if metric == "bool" or (kind is TaskType.MULTIPLE_CHOICE and answer in _YES_NO):
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
            choices = listed or UNLISTED
            if type(truth) is not int or truth not in choices:
                return f"the answer {truth!r} is not among the options {list(choices)}"
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
        answer = answer.strip() if isinstance(answer, str) else answer
        if metric == "bool" and answer not in _YES_NO:
            raise ValueError(f"bool takes yes or no as answer, not {answer!r}")
        return answer
    if isinstance(answer, str):
        try:
            answer = json.loads(answer)
        except (ValueError, RecursionError):
            return answer  # which is told as it stands
    if kind is TaskType.NER and isinstance(answer, list):
        return [phrase.strip() if isinstance(phrase, str) else phrase for phrase in answer]
    return answer


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


# --- other forms ------------------------------------------------------------------------------------------------------


def _csv_rows(path: Path) -> Iterator[tuple[int, Any]]:
    """Rows by the names of the first record, or those of an exam where that is a question already."""
    head: list[str] | None = None
    first = True
    for number, record in csv_records(path):
        if isinstance(record, Unreadable):
            yield number, record
        elif not is_utf8(record):
            yield number, Unreadable("not UTF-8")
        elif first and {"input_field", "question", "instruction"} & {cell.strip().lower() for cell in record}:
            head = [cell.strip().lower() for cell in record]
        elif head is None:
            yield number, {"question": record[0], "choices": record[1:-1], "answer": record[-1]}
        elif len(record) != len(head):
            yield number, Unreadable(f"{len(record)} fields where {len(head)} were expected")
        else:
            yield number, dict(zip(head, record, strict=True))
        first = False


def _options(row: RawRow) -> tuple[list[str], list[str]] | None:
    """Options and their labels: MMLU's list or columns, or ARC's object of both."""
    found = row.get("choices")
    if isinstance(found, Mapping):
        return list(found["text"]), [str(label).strip() for label in found["label"]]
    if found is None:
        found = [row[name] for name in (f"choice{at}" for at in range(len(_LETTERS))) if row.get(name) is not None]
        found = found or [row[name] for name in _LETTERS.lower() if row.get(name) is not None]
    return (list(found), list(_LETTERS[: len(found)])) if found else None


def _exam(row: RawRow, options: list[str], labels: list[str]) -> dict[str, Any]:
    """The answer is a label, or a number from 0."""
    if not 2 <= len(options) <= len(_LETTERS):
        raise ValueError(f"{len(options)} options: 2 to {len(_LETTERS)} were expected")
    texts = [str(row["question"]).strip(), *(str(option).strip() for option in options)]
    lines = "\n".join(f"{number}. {text}" for number, text in enumerate(texts[1:]))
    answer = str(row["answerKey"] if "answerKey" in row else row.get("answer", "")).strip()
    numbers = dict(zip(map(str, range(len(options))), range(len(options)), strict=True))
    numbers |= {label: at for at, label in enumerate(labels)}
    if answer and answer not in numbers:
        raise ValueError(f"the answer {answer!r} is none of {', '.join(labels)}, nor a number from 0")
    return {
        "input_field": f"{texts[0]}\n{lines}\nAnswer:",
        "output_field": numbers.get(answer),
        "task_type": TaskType.MULTIPLE_CHOICE,
        "task_name": row.get("subject"),
        "texts": texts,
        "listed": tuple(numbers.values())[: len(options)],
    }


def _exchange(row: RawRow) -> dict[str, Any]:
    """One question and its answer. A system turn is asked with them, but that of our own rows, which have ``truth``."""
    turns = row["messages"] if "messages" in row else row["conversations"]
    if not isinstance(turns, list) or not all(isinstance(turn, dict) for turn in turns):
        raise TypeError("messages are a list of turns with role and content, or from and value")
    texts = {"system": "", "user": "", "assistant": ""}
    for turn in turns:
        role = turn.get("role", turn.get("from"))
        role, content = _ROLES.get(str(role), str(role)), turn.get("content", turn.get("value"))
        if not isinstance(content, str) or role not in texts or texts[role]:
            raise ValueError(
                f"{len(turns)} turns: one question (user) and its answer (assistant) as texts were expected"
            )
        texts[role] = content
    if "truth" not in row:
        return _free(row, "\n".join(filter(None, (texts["system"], texts["user"]))), texts["assistant"])
    truth, task = json.loads(row["truth"]), row["task"]
    metric = _DATASET_METRICS.get(task)
    return {
        "input_field": texts["user"],
        "output_field": truth,
        "task_type": row["task_type"],
        "task_name": task,
        "metric": "jp-bleu" if metric == "bleu" and _JAPANESE.search(str(truth)) else metric,
        "track": row["track"],
    }


def _free(row: RawRow, prompt: str, answer: Any) -> dict[str, Any]:
    """An instruction and its answer: in free words, unless the row says another type."""
    kept = {name: row[name] for name in ("task_name", "metric", "track") if name in row}
    return kept | {
        "input_field": prompt,
        "output_field": answer,
        "task_type": row.get("task_type") or TaskType.GENERATION,
    }
