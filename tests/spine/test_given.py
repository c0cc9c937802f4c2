"""Questions in every form that files give them, and what is said about rows that are none. All rows are invented."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from spine.errors import RecipeError
from spine.forms import question_rows
from spine.given import Given, given
from spine.task_types import TaskType
from tests.dataset_builders.raw_files import put, write_parquet

MC, GEN = TaskType.MULTIPLE_CHOICE, TaskType.GENERATION
LIST = "Select the numbers of all that float.\n1. a cork\n2. a nail\n3. a duck\n4. a coin\nOutput:"
EXAM = "Which floats?\n0. a nail\n1. a cork\n2. a coin\nAnswer:"


def read(path: Path) -> list[Given]:
    return [given(row) for _, row in question_rows(path)[0]]


def refused(row: Any) -> str:
    with pytest.raises(ValueError) as caught:
        given(row)
    return str(caught.value)


@pytest.mark.parametrize(
    "row",
    [
        # ARC, as on the hub
        {"id": "Q7", "question": "Which floats?", "answerKey": "B",
         "choices": {"text": ["a nail", "a cork", "a coin"], "label": ["A", "B", "C"]}},
        {"question": "Which floats?", "answerKey": "2",
         "choices": {"label": ["1", "2", "3"], "text": ["a nail", "a cork", "a coin"]}},
        # MMLU: the hub's list, a mirror's columns, other columns
        {"question": "Which floats?", "subject": "", "choices": ["a nail", "a cork", "a coin"], "answer": 1},
        {"question": "Which floats?", "choice0": "a nail", "choice1": "a cork", "choice2": "a coin", "answer": "1"},
        {"question": "Which floats?", "a": "a nail", "b": "a cork", "c": "a coin", "answer": "B"},
    ],
)  # fmt: skip
def test_exams_become_multiple_choice(row: dict[str, Any]) -> None:
    found = given(row)
    assert (found.prompt, found.type, found.truth, found.metric) == (EXAM, MC, 1, "accuracy")
    assert found.asked.listed == (0, 1, 2)


@pytest.mark.parametrize(
    ("line", "options", "truth"),
    [
        ("Which floats?,a nail,a cork,a coin,a brick,B", 4, 1),
        ("Which floats?,a nail,a coin,a brick,a spoon,a cork,E", 5, 4),
        ('"Is it, or not?",yes,no,A', 2, 0),
    ],
)
def test_a_csv_without_a_header_has_as_many_options_as_it_has(
    line: str, options: int, truth: int, tmp_path: Path
) -> None:
    (found,) = read(put(tmp_path / "exam.csv", line + "\n"))
    assert found.asked.listed == tuple(range(options)) and found.truth == truth


def test_an_exams_option_may_hold_a_list_of_its_own() -> None:
    row = {"question": "Which pair?", "choices": ["both:\n0. tea\n1. rum", "a", "b", "c"], "answer": "D"}
    assert given(row).truth == 3


@pytest.mark.parametrize(
    "row",
    [
        {"instruction": "Name a fruit.", "input": "It is green.", "output": "A lime."},
        {"messages": [{"role": "user", "content": "Name a fruit.\nIt is green."},
                      {"role": "assistant", "content": "A lime."}]},
        {"messages": [{"role": "system", "content": "Name a fruit."}, {"role": "user", "content": "It is green."},
                      {"role": "assistant", "content": "A lime."}]},
        {"id": "x", "conversations": [{"from": "human", "value": "Name a fruit.\nIt is green."},
                                      {"from": "gpt", "value": "A lime."}]},
    ],
)  # fmt: skip
def test_instructions_and_single_exchanges_become_generation(row: dict[str, Any]) -> None:
    found = given(row)
    assert (found.prompt, found.type, found.truth) == ("Name a fruit.\nIt is green.", GEN, "A lime.")
    assert found.metric == "sent-transformer"


def test_an_exchange_may_say_its_type() -> None:
    turns = [{"role": "user", "content": LIST}, {"role": "assistant", "content": "[1, 3]"}]
    assert given({"messages": turns, "task_type": "retrieval"}).truth == [1, 3]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"input_field": "x", "output_feild": "y"}, "'output_feild' is not read; did you mean 'output_field'?"),
        ({"Input_Field": "x", "output_field": "y"}, "'Input_Field' is not read; did you mean 'input_field'?"),
        ({"text": "A page."}, "no 'input_field' among its keys text; read are: input_field, output_field, task_type"),
        ({}, "among its keys (none)"),
        (["a"], "an object was expected, not list"),
        ({"conversations": [{"from": "human", "value": "a"}] * 3}, "3 turns: one question (user) and its answer"),
        ({"messages": [{"role": "tool", "content": "a"}]}, "1 turns: one question (user) and its answer"),
        ({"messages": "a: b"}, "messages are a list of turns with role and content, or from and value"),
        ({"messages": [{"role": "user", "content": "a"}]}, "the answer is empty"),
        ({"instruction": "Sort.", "input": "a nail", "options": '["A: tool"]', "output": "A"}, "options of its own"),
        ({"question": "Which?", "choices": ["a"], "answer": 0}, "1 options: 2 to 10 were expected"),
        ({"question": "Which?", "choices": ["a", "b"], "answer": "C"}, "the answer 'C' is none of A, B"),
        ({"question": "Which?", "choices": {"text": ["a", "b"]}, "answerKey": "A"}, "no 'label'"),
        ({"question": "Which?", "choices": 7, "answer": 0}, "'int' object is not iterable"),
    ],
)
def test_rows_of_no_form_say_what_is_wanted(row: Any, said: str) -> None:
    assert said in refused(row)


def test_decimals_that_begin_a_line_are_no_options() -> None:
    """One parser for what is trained on and for what is asked (``spine.asked``)."""
    prompt = "How many boxes?\n1.5 L bottles come in tens.\n12.5 oz cans, too.\n0. six\n1. nine\nAnswer:"
    row = {"input_field": prompt, "task_type": "multiple-choice"}
    assert given(row | {"output_field": 1}).asked.listed == (0, 1)
    assert refused(row | {"output_field": 12}) == "the answer 12 is not among the options [0, 1]"


@pytest.mark.parametrize(
    ("kind", "answer", "said"),
    [
        ("multiple-choice", 2, "the answer 2 is not among the options [0, 1]"),
        ("multiple-choice", True, "the answer True is not among the options"),
        ("multiple-choice", "1.0", "the answer 1.0 is not among the options"),
        ("retrieval", [1, 1, 2, 3], "a position is given twice: [1, 1, 2, 3]"),
        ("retrieval", [5], "the answer 5 is not in the list [1, 2, 3, 4]"),
        ("retrieval", [], "a list of numbers was expected"),
        ("ranking", [1.0, float("nan"), 0, 0], "the weight nan is none from 0 to 100"),
        ("ranking", [1.0, float("inf"), 0, 0], "the weight inf is none from 0 to 100"),
        ("ranking", [1024, 0, 0, 0], "the weight 1024 is none from 0 to 100: the gain is 2**weight - 1"),
        ("ranking", [-1, 0, 0, 0], "the weight -1 is none from 0 to 100"),
        ("ranking", [1e-17, 0, 0, 0], "all weights are equal"),
        ("ranking", [1, 0], "2 weights for a list of 4"),
        ("named_entity_recognition", ["oak", "Oak"], "a phrase is given twice"),
        ("named_entity_recognition", [], "no phrase is given"),
        ("generation", 3, "a text was expected as answer, not 3"),
        ("generation", " ", "the answer is empty"),
    ],
)
def test_an_answer_that_nobody_could_get_right_is_none(kind: str, answer: Any, said: str) -> None:
    prompt = "Which?\n0. a\n1. b\nAnswer:" if kind == "multiple-choice" else LIST
    assert said in refused({"input_field": prompt, "task_type": kind, "output_field": answer})


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"metric": "ndcg"}, "metric 'ndcg' is none of sent-transformer"),
        ({"metric": "rougel", "output_field": ["a", "b"]}, "rougel takes one text as answer"),
        ({"metric": "bool", "output_field": "perhaps"}, "bool takes yes or no as answer, not 'perhaps'"),
        ({"is_multiple_choice": "perhaps"}, "is_multiple_choice 'perhaps' is none of true, false"),
    ],
)
def test_a_metric_fits_the_type(more: dict[str, Any], said: str) -> None:
    assert said in refused({"input_field": "Say.", "task_type": "generation", "output_field": "a"} | more)


def test_a_file_cannot_say_what_its_prompts_list() -> None:
    row = {"input_field": "Which?\n0. a\n1. b", "output_field": 7, "task_type": "multiple-choice"}
    assert "not among the options [0, 1]" in refused(row | {"listed": [7], "texts": ["other"]})


def test_twelve_options_are_listed_but_one_digit_is_read() -> None:
    prompt = "Which?\n" + "\n".join(f"{at}. {'x' * at}y" for at in range(12))
    row = {"input_field": prompt, "task_type": "multiple-choice"}
    assert given(row | {"output_field": 9}).truth == 9
    assert refused(row | {"output_field": 11}) == "the answer 11: one digit is read"


def test_several_references_are_an_answer_of_sentences(tmp_path: Path) -> None:
    row = {"input_field": "Say.", "task_type": "generation", "output_field": ["one", "two"]}
    assert given(row).truth == ["one", "two"]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("name", ["own.jsonl", "own.json", "own.csv"])
def test_utf_16_is_named_before_a_row_is_read(name: str, encoding: str, tmp_path: Path) -> None:
    text = "\n".join(json.dumps({"input_field": f"{at}?", "output_field": "a"}) for at in range(400))
    path = put(tmp_path / name, text.encode(encoding))
    with pytest.raises(RecipeError, match="not UTF-8 but, as it looks, UTF-16\n  -> iconv -f UTF-16 -t UTF-8 own"):
        read(path)


def test_half_a_letter_is_told_by_its_line(tmp_path: Path) -> None:
    whole, half = (
        r'{"input_field": "\ud83d\ude00?", "output_field": "a"}',
        r'{"input_field": "\ud83d?", "output_field": "a"}',
    )
    rows = dict(question_rows(put(tmp_path / "own.jsonl", f"{whole}\n{half}\n"))[0])
    assert given(rows[1]).prompt == "\U0001f600?"
    assert refused(rows[2]) == r"half a letter: '\ud83d' stands without its other surrogate"
    with pytest.raises(RecipeError, match=r"own\.json, row 2: not a JSON array: half a letter"):
        read(put(tmp_path / "own.json", rf'[{whole}, {{"input_field": "\ude00\ud83d"}}]'))


def test_broken_lines_are_told_by_their_own_numbers(tmp_path: Path) -> None:
    row = json.dumps({"input_field": "a?", "output_field": "b"})
    rows, unit = question_rows(put(tmp_path / "own.jsonl", f"{row}\n\n{row}\n{row[:-1]}  \n{row}\n"))
    assert unit == "line"
    faults = {number: refused(found) for number, found in rows if not isinstance(found, dict)}
    assert faults == {4: "not JSON: Expecting ',' delimiter (letter 45 of the line)"}


def test_cells_of_a_table_are_texts(tmp_path: Path) -> None:
    head = "input_field,output_field,task_type,is_multiple_choice,metric,track\n"
    cells = '"Which?\n0. a\n1. b",1,,True,,\n"Say.",Yes.,generation,False,rougel,multi-lingual-abilities\n'
    choice, text = read(put(tmp_path / "own.csv", head + cells))
    assert (choice.type, choice.truth, choice.metric, choice.track) == (MC, 1, "accuracy", None)
    assert (text.type, text.truth, text.metric, text.track) == (GEN, "Yes.", "rougel", 4)


def test_rows_of_a_run(tmp_path: Path) -> None:
    turns = [{"role": "system", "content": "s"}, {"role": "user", "content": "Which?\n0. a\n1. b"},
             {"role": "assistant", "content": "1"}]  # fmt: skip
    row = {"messages": turns, "task": "title_brand", "task_type": "multiple-choice", "truth": "1", "track": 2}
    (found,) = read(write_parquet(tmp_path / "val.parquet", [row]))
    assert (found.prompt, found.truth, found.task, found.track) == ("Which?\n0. a\n1. b", 1, "title_brand", 2)
