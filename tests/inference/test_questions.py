"""Files of questions in every form that is read, and what is said about those that are none."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from inference.answering.questions import read_questions
from spine.errors import RecipeError
from spine.task_types import TaskType

FRUIT = {
    "input_field": "Which one is a fruit?  \n0. a fig\n1. a fork\nAnswer: ",
    "output_field": 0,
    "task_name": "task9",
    "task_type": "multiple-choice",
    "metric": "accuracy",
    "is_multiple_choice": True,
    "track": "amazon-kdd-cup-24-shopping-knowledge-reasoning",
}


def lines(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_shopbench_rows(tmp_path: Path) -> None:
    ranked = {"task_name": "task12", "task_type": "ranking", "metric": "ndcg", "output_field": [0.1, 1]}
    shown = {"input_field": "Rank these.\n1. a\n2. b", "is_multiple_choice": False}
    other = FRUIT | ranked | shown | {"track": "amazon-kdd-cup-24-user-behavior-alignment"}
    fruit, ranking = read_questions(lines(tmp_path / "q.json", FRUIT, other))
    assert (fruit.type, fruit.truth, fruit.task, fruit.track) == (TaskType.MULTIPLE_CHOICE, 0, "task9", 2)
    assert fruit.prompt == "Which one is a fruit?\n0. a fig\n1. a fork\nAnswer:" and fruit.asked.listed == (0, 1)
    assert (ranking.type, ranking.truth, ranking.metric, ranking.track) == (TaskType.RANKING, [0.1, 1], "ndcg", 3)


def test_the_hidden_test_has_prompts_alone(tmp_path: Path) -> None:
    rows = [{key: FRUIT[key] for key in ("input_field", "is_multiple_choice")}]
    (only,) = read_questions(lines(tmp_path / "hidden.json", *rows))
    assert (only.type, only.truth, only.metric, only.task) == (TaskType.MULTIPLE_CHOICE, None, "accuracy", "hidden")


def test_ec_guide_rows(tmp_path: Path) -> None:
    choice_row = {"input_field": "A?\n0. a\n1. b", "output_field": "1", "metric": "accuracy"}
    word_row = {"input_field": "Only output yes or no.", "output_field": "no", "metric": "bool"}
    entity_row = {"input_field": "Entity type 'x'?", "output_field": '["a"]', "metric": "micro f1"}
    kinds = ["multiple-choice", "multiple-choice", "named_entity_recognition"]
    rows = [{**row, "task_type": kind} for row, kind in zip((choice_row, word_row, entity_row), kinds, strict=True)]
    (tmp_path / "PRP.json").write_text(json.dumps(rows))
    choice, yes_no, entities = read_questions(tmp_path / "PRP.json")
    assert (choice.truth, choice.task, choice.track) == (1, "PRP", None)
    assert (yes_no.type, yes_no.asked.words, yes_no.truth) == (TaskType.GENERATION, ("yes", "no"), "no")
    assert entities.truth == ["a"]


@pytest.mark.parametrize(
    "text",
    [
        '"Is 2, or ""two"", even?",yes,no,maybe,never,A\n',
        "question,choice0,choice1,choice2,choice3,answer\nq,a,b,c,d,0\n",
    ],
)
def test_mmlu_csv(tmp_path: Path, text: str) -> None:
    (tmp_path / "logic_test.csv").write_text(text)
    (only,) = read_questions(tmp_path / "logic_test.csv")
    assert only.truth == 0 and only.asked.listed == (0, 1, 2, 3) and only.task == "logic"
    assert only.prompt.endswith("\nAnswer:")


def test_a_choice_of_mmlu_may_hold_what_python_takes_for_a_lines_end(tmp_path: Path) -> None:
    (tmp_path / "management_test.csv").write_text(
        'What helps\x85?,teams,"plans\u2028,\nall",pay,staff,B\nq,a,b,c,d,0\n'
    )
    odd, usual = read_questions(tmp_path / "management_test.csv")
    assert odd.prompt.startswith("What helps\x85?\n0. teams\n1. plans") and odd.truth == 1 and usual.truth == 0


def test_mmlu_as_the_hub_has_it(tmp_path: Path) -> None:
    row = {"question": "Which floats?", "subject": "physics", "choices": ["a nail", "a cork", "b", "c"], "answer": 1}
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "all_test.parquet")
    (only,) = read_questions(tmp_path / "all_test.parquet")
    assert (only.task, only.truth, only.type) == ("physics", 1, TaskType.MULTIPLE_CHOICE)
    assert only.prompt == "Which floats?\n0. a nail\n1. a cork\n2. b\n3. c\nAnswer:"


def test_a_folder_of_files(tmp_path: Path) -> None:
    """Files of the same name are of different tasks, as EC-Guide's two PKS.json are."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    (tmp_path / "a" / "logic_test.csv").write_text("q,a,b,c,d,0\n")
    (tmp_path / "README.md").write_text("no questions")
    plain = {key: FRUIT[key] for key in ("input_field", "output_field", "is_multiple_choice")}
    for folder in ("a", "b"):
        lines(tmp_path / folder / "PKS.json", plain)
    lines(tmp_path / "b" / "own.jsonl", FRUIT)
    assert [question.task for question in read_questions(tmp_path)] == ["a/PKS", "logic", "b/PKS", "task9"]
    lines(tmp_path / "b" / "bad.json", {"input_field": 3})
    with pytest.raises(RecipeError, match=r"b/bad\.json: 1 of 1 rows cannot be asked"):
        read_questions(tmp_path)
    (tmp_path / "none").mkdir()
    with pytest.raises(RecipeError, match=r"none: holds no files of questions \(\.csv"):
        read_questions(tmp_path / "none")


def test_held_out_rows_of_a_run(tmp_path: Path) -> None:
    def row(task: str, kind: str, truth: Any, track: int | None) -> dict[str, Any]:
        messages = [{"role": "system", "content": "s"}, {"role": "user", "content": "Which?\n0. a\n1. b"}]
        return {"messages": messages, "task": task, "task_type": kind, "truth": json.dumps(truth), "track": track}

    rows = [
        row("mmlu_auxiliary", "multiple-choice", 1, 2),
        row("multilingual_title", "generation", "Planche", 4),
        row("multilingual_title", "generation", "まな板", 4),
        row("alpaca_instructions", "generation", "Yes.", None),
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "val.parquet")
    found = read_questions(tmp_path / "val.parquet")
    assert [question.metric for question in found] == ["accuracy", "bleu", "jp-bleu", "sent-transformer"]
    assert [question.track for question in found] == [2, 4, 4, None]


def test_limit_and_tasks(tmp_path: Path) -> None:
    path = lines(tmp_path / "q.json", *[{**FRUIT, "task_name": f"task{at % 3}"} for at in range(9)])
    assert [question.task for question in read_questions(path, limit=1)] == ["task0", "task1", "task2"]
    assert len(read_questions(path, tasks=["task2"])) == 3
    with pytest.raises(RecipeError, match="did you mean 'task2'"):
        read_questions(path, tasks=["task22"])


def test_one_track_alone(tmp_path: Path) -> None:
    tracks = ("understanding-shopping-concepts", "multi-lingual-abilities", None)
    rows = [{**FRUIT, "task_name": f"task{at}", "track": track} for at, track in enumerate(tracks)]
    path = lines(tmp_path / "q.json", *rows)
    assert [question.task for question in read_questions(path, tracks=[4])] == ["task1"]
    assert [question.task for question in read_questions(path, tracks=[4, 1])] == ["task0", "task1"]
    with pytest.raises(RecipeError, match=r"q\.json: has no questions of track 2, 3; it has those of: 1, 4"):
        read_questions(path, tracks=[1, 2, 3])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "not a JSON array: '[' was expected, not 'the end of the file'"),
        ("[]", "holds no questions"),
        ("{not json\n", "q.json:1: not JSON: Expecting property name enclosed in double quotes (letter 2"),
        ('{"input_field": 3}\n', "q.json:1: input_field is no text"),
        ('{"question": "x"}\n', "q.json:1: no 'input_field' among its keys question; read are: input_field"),
        ('[["a"]]', "an object was expected"),
        ('{"input_field": "x", "task_type": "riddle"}\n', "task_type 'riddle' is none of"),
        (
            '{"input_field": "x", "task_type": "retrieval", "output_field": "many"}\n',
            "a list of numbers was expected as answer",
        ),
        (
            '{"input_field": "x", "task_type": "ranking", "output_field": []}\n',
            "a list of weights was expected as answer, not []",
        ),
        (
            '{"input_field": "x", "task_type": "generation", "metric": "f2", "output_field": "x"}\n',
            "metric 'f2' is none of sent-transformer",
        ),
    ],
)
def test_faults_are_named(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "q.json").write_text(content)
    with pytest.raises(RecipeError, match=r"q\.json") as error:
        read_questions(tmp_path / "q.json")
    assert said in str(error.value)


def test_bytes_that_are_no_text_and_files_that_are_not_there(tmp_path: Path) -> None:
    (tmp_path / "q.json").write_bytes(b"\xff\xfe{}")
    with pytest.raises(RecipeError, match="not UTF-8"):
        read_questions(tmp_path / "q.json")
    with pytest.raises(RecipeError, match="no such file"):
        read_questions(tmp_path / "none.json")
    (tmp_path / "q.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(RecipeError, match=r"q\.parquet, row 1: cannot be read on: Parquet magic bytes"):
        read_questions(tmp_path / "q.parquet")


def test_a_question_may_be_longer_than_what_csv_usually_reads(tmp_path: Path) -> None:
    (tmp_path / "q.csv").write_text(f'"{"x" * 200_000}",a,b,c,d,A\n')
    csv.field_size_limit(131_072)  # Python's own; whoever has read raw files before has raised it
    assert len(read_questions(tmp_path / "q.csv")[0].prompt) > 200_000


def test_what_nobody_can_answer_right_is_left_out_and_told(tmp_path: Path) -> None:
    path, told = lines(tmp_path / "q.jsonl", FRUIT, FRUIT | {"output_field": 7}, FRUIT), list[str]()
    assert len(read_questions(path, tell=told.append)) == 2
    (line,) = told
    assert line.startswith("left out  1 of 3 rows of ") and line.endswith(
        "q.jsonl:2: the answer 7 is not among the options [0, 1]"
    )
