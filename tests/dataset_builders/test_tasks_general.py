"""Tasks on MMLU and Alpaca: exams, what is kept out of them, events; instructions."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from dataset_builders.pools.decontaminate import Evaluation
from dataset_builders.pools.likeness import Words, texts_of
from dataset_builders.raw import RawData
from dataset_builders.sources import mmlu
from tests.dataset_builders.builds import built
from tests.dataset_builders.raw_files import put, write_csv, write_json


@pytest.mark.parametrize("archive", [False, True])
def test_the_whole_of_mmlu_in_both_layouts(archive: bool, tmp_path: Path) -> None:
    folder = tmp_path / "mmlu" / ("data" if archive else "")
    for part in ("test", "val", "dev"):
        put(folder / f"{part}/anatomy_{part}.csv", f"Which bone is in the {part}?,a,b,c,d,D\n")
    put(folder / f"auxiliary_train{'/race' * archive}.csv", "Who runs?,a,b,c,d,A\n")
    put(folder / f"auxiliary_train{'/obqa' * archive}.csv", "Who floats?,a,b,c,d,B\n")
    exams = built.__wrapped__("mmlu_exams", tmp_path)
    assert [question.fields["question"].split()[-1] for question in exams] == ["test?", "val?", "dev?"]
    assert {question.truth for question in exams} == {3}
    assert len(built.__wrapped__("mmlu_auxiliary", tmp_path)) == 1 + archive
    assert {item.subject for item in mmlu.exams(RawData(tmp_path))} == {"anatomy"}


def test_an_exam_is_kept_out_by_its_own_files(tmp_path: Path) -> None:
    for part, bone in (("test", "ankle"), ("val", "elbow")):
        rows = f"Which bone of the human body is nearest to the {bone} when somebody stands?,a,b,c,d,D\n"
        put(tmp_path / f"mmlu/{part}/anatomy_{part}.csv", rows + f"Where is the {bone}?,Arm,Leg,Head,Back,A\n")
    evaluation = Evaluation.load([tmp_path / "mmlu/test/anatomy_test.csv"])
    questions = built.__wrapped__("mmlu_exams", tmp_path)
    found = evaluation.find(Words.of(texts_of(question) for question in questions))
    assert [bool(hit) for hit in found] == ["ankle" in question.fields["question"] for question in questions]


def test_what_stands_for_no_input_is_none(tmp_path: Path) -> None:
    rows = [{"instruction": f"Name {at}.", "input": text, "output": "It."} for at, text in
            enumerate(["", "`<noinput>`", "No input.", "None", "Nonesuch", "no inputs"])]  # fmt: skip
    write_json(tmp_path / "alpaca/alpaca_data_cleaned.json", rows)
    given = [question.fields["input"] for question in built.__wrapped__("alpaca_instructions", tmp_path)]
    assert given == ["", "", "", "", "Nonesuch", "no inputs"]


def test_questions_on_one_passage_stay_together(tmp_path: Path) -> None:
    passage = "Mila went to the harbour. " * 5
    rows = [[f"{passage}{question}", "a", "b", "c", "d", "A"] for question in ("Who?", "Where?")]
    write_csv(tmp_path / "mmlu/auxiliary_train.csv", [*rows, ["Who?", "a", "b", "c", "d", "A"]])
    one, other, short = (question.entity for question in built.__wrapped__("mmlu_auxiliary", tmp_path))
    assert one == other != short


def test_an_event_keeps_the_answer_and_the_name_of_its_row(shop: Path) -> None:
    rows = {frozenset(item.choices): item for item in mmlu.auxiliary(RawData(shop))}
    names = {tuple(question.fields["options"]): question.entity for question in built("mmlu_auxiliary", shop)}
    questions = built("commonsense_event", shop)
    assert Counter(question.fields["relation"] for question in questions).keys() == {"causes", "follows", "prevents"}
    for question in questions:
        item = rows[frozenset(question.fields["options"])]
        assert question.fields["options"][question.truth] == item.choices[item.answer]
        assert question.fields["event"].lower() in item.question.lower()
        assert question.entity == names[item.choices]


def test_choices_need_the_list_that_they_point_at(tmp_path: Path) -> None:
    rows = [["A kettle that is too heavy to lift.", "1,3", "2,3", "1,2", "1,2,3", "B"]]
    rows += [["What is right? 1. Ice floats. 2. Iron floats. 3. Cork floats.", "1,3", "2,3", "1,2", "1,2,3", "A"]]
    rows += [["How many leaves has the book?", "1,000", "2,000", "3,000", "4,000", "A"]]
    write_csv(tmp_path / "mmlu/auxiliary_train.csv", rows)
    assert [question.truth for question in built.__wrapped__("mmlu_auxiliary", tmp_path)] == [0, 0]
