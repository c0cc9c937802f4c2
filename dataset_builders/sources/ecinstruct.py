"""ECInstruct (NingLab): ten e-commerce tasks as instructions, 92,022 of them for training.

https://huggingface.co/datasets/NingLab/ECInstruct, CC BY 4.0. One file, a JSON array of 527 MB:
``ecinstruct/dataset.json``. A row (invented):

    {"split": "train", "task": "Sentiment_Analysis", "setting": "IND_Diverse_Instruction", "instruction":
     "How does the writer of this review feel?", "input": "It broke in a week.", "options":
     "[\\"A: very positive\\", ..., \\"E: very negative\\"]", "output": "E: very negative", ...}
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from dataset_builders.raw import RawData
from dataset_builders.sources._files import find, read, text
from dataset_builders.sources._plain import plain
from spine.raw_rows import RawRow

TaskName = Literal[
    "Answer_Generation",
    "Answerability_Prediction",
    "Attribute_Value_Extraction",
    "Multiclass_Product_Classification",
    "Product_Matching",
    "Product_Relation_Prediction",
    "Product_Substitue_Identification",  # published with this spelling
    "Query_Product_Ranking",
    "Sentiment_Analysis",
    "Sequential_Recommendation",
]
# What the authors train on; the other settings repeat the same rows in other forms.
_SETTING = "IND_Diverse_Instruction"
_COLUMNS = ("split", "task", "setting", "instruction", "input", "output")


class Value(NamedTuple):
    """The value of one attribute; "None" where the text is silent. In lower case, unlike the text."""

    attribute: str
    value: str
    source: str  # the key of the input that it was found under


class Example(NamedTuple):
    """``input`` is an object, a list (Sequential_Recommendation) or plain text (Sentiment_Analysis)."""

    instruction: str
    input: Mapping[str, Any] | Sequence[Any] | str
    options: tuple[str, ...]  # "A: very positive"; empty where the task has none
    output: str
    values: tuple[Value, ...]  # the output of Attribute_Value_Extraction, read; empty for the others


def examples(raw: RawData, task: TaskName) -> Iterator[Example]:
    """The training examples of one task, in the setting that the authors train on."""

    def parse(row: RawRow) -> Example | None:
        if (row["task"], row["split"], row["setting"]) != (task, "train", _SETTING):
            return None
        return Example(
            instruction=text(row["instruction"]),
            input=_input(task, text(row["input"])),
            options=_options(row.get("options")),
            output=plain(row["output"]),
            values=_values(row["output"]) if task == "Attribute_Value_Extraction" else (),
        )

    return read(raw, find(raw / "ecinstruct", "dataset"), _COLUMNS, parse, optional=("options",))


def _input(task: TaskName, printed: str) -> Mapping[str, Any] | Sequence[Any] | str:
    """Undoes the printing: JSON for most tasks, Python's for one, none for reviews."""
    if task == "Sentiment_Analysis":
        return plain(printed)
    if task == "Sequential_Recommendation":
        return list(_plain(_literal(printed)))
    value = json.loads(printed)
    if not isinstance(value, dict):
        raise TypeError(f"an object was expected as input, not {printed[:60]!r}")
    return {key: _plain(each) for key, each in value.items()}


def _plain(value: Any) -> Any:
    """All texts in it; what is printed as JSON is read before its entities are."""
    return plain(value) if isinstance(value, str) else list(map(_plain, value)) if isinstance(value, list) else value


def _options(printed: Any) -> tuple[str, ...]:
    """JSON in most tasks; the authors' notebook prints Sequential_Recommendation's as a Python list."""
    if not printed:
        return ()
    try:
        listed = json.loads(printed)
    except json.JSONDecodeError:
        listed = _literal(printed)
    if not isinstance(listed, list):
        raise TypeError(f"a list was expected as options, not {printed[:60]!r}")
    return tuple(plain(str(option)) for option in listed)


def _literal(printed: str) -> Any:
    try:
        return ast.literal_eval(printed)
    except (SyntaxError, MemoryError, RecursionError) as error:
        raise ValueError(f"not a printed list: {printed[:60]!r}") from error


def _values(printed: str) -> tuple[Value, ...]:
    try:
        return tuple(Value(*(plain(str(row[field])) for field in Value._fields)) for row in json.loads(printed))
    except KeyError as error:
        raise ValueError(f"a value lacks its {error}") from error
