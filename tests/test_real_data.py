"""Readers and parsers on real published data, where the variable SHOPBENCH_DATA names a folder that holds some."""

from __future__ import annotations

import json
import os
import shutil
from itertools import islice
from pathlib import Path

import pytest

from dataset_builders.held_out import held_out
from dataset_builders.own_questions import own_task
from dataset_builders.pools.decontaminate import Evaluation
from dataset_builders.pools.fitness import problem
from dataset_builders.pools.likeness import Words
from dataset_builders.raw import RawData
from dataset_builders.sources import alpaca, mmlu
from dataset_builders.task import Seeded, load_task, task_names
from inference.answering.questions import read_questions
from inference.answering.rules import Mode
from inference.scoring.parsers import parse
from spine.asked import asked
from spine.prompts import user_prompt, wordings
from spine.task_types import TaskType, answer_text
from tests.inference.test_decoding import rules_of, writable

DATA = Path(os.environ.get("SHOPBENCH_DATA") or "/nonexistent")
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="SHOPBENCH_DATA names no folder")


def test_every_public_answer_survives_our_text_form_and_the_parsers() -> None:
    lines = (DATA / "shopbench" / "development.json").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 96
    for row in map(json.loads, lines):
        kind, truth = TaskType(row["task_type"]), row["output_field"]
        parsed = parse(kind, answer_text(kind, truth))
        if kind is TaskType.RANKING:
            weights = [truth[position - 1] for position in parsed]  # type: ignore[union-attr]
            assert weights == sorted(truth, reverse=True)
        elif kind is TaskType.RETRIEVAL:
            assert parsed == truth[:3]
        elif kind is TaskType.NER:
            assert parsed == truth or any("," in phrase for phrase in truth)
        elif kind is TaskType.MULTIPLE_CHOICE:
            assert parsed == truth


def test_real_mmlu_is_read_whole(tmp_path: Path) -> None:
    (tmp_path / "mmlu").mkdir()
    shutil.copytree(DATA / "mmlu" / "test", tmp_path / "mmlu" / "test")
    rows = list(mmlu.exams(RawData(tmp_path)))
    assert len(rows) > 7000 and all(len(row.choices) == 4 and 0 <= row.answer < 4 for row in rows)


def test_real_alpaca_rows_are_read_whole(tmp_path: Path) -> None:
    (tmp_path / "alpaca").mkdir()
    shutil.copy(DATA / "alpaca" / "alpaca_en_demo.json", tmp_path / "alpaca" / "alpaca_data_cleaned.json")
    rows = list(alpaca.instructions(RawData(tmp_path)))
    assert len(rows) == 999 and all(row.instruction for row in rows)


# Rows whose answer is not among the choices that their prompt lists: in PRP.json the options are numbered 0, 1, 3.
BROKEN = {"PRP.json": 0.23, "PKS.json": 0.03}


@pytest.mark.parametrize("path", sorted((DATA / "ec-guide").glob("*/*.json")), ids=lambda path: path.name)
def test_real_files_of_ec_guide_are_entries_of_a_blend(path: Path) -> None:
    raw = RawData(path.parent, max_rejected=BROKEN.get(path.name, 0.01))
    asked = list(own_task("own", path).build(raw, Seeded(0, "own")))
    assert len(asked) > 100
    for question in asked:
        assert question.type is not None
        read = parse(question.type, answer_text(question.type, question.truth))
        if question.type is not TaskType.GENERATION:
            assert read == question.truth


@pytest.mark.parametrize(
    ("folder", "tasks", "questions"), [("shopbench", 18, 96), ("ec-guide", 23, 26_044), ("mmlu/test", 29, 7_658)]
)
def test_real_files_of_questions_are_read_whole(folder: str, tasks: int, questions: int) -> None:
    found = read_questions(DATA / folder)
    assert len(found) == questions and len({question.task for question in found}) == tasks
    assert all(question.truth is not None for question in found)


def test_the_public_questions_are_found_among_others() -> None:
    development = DATA / "shopbench" / "development.json"
    evaluation = Evaluation.load([development])
    prompts = [json.loads(line)["input_field"] for line in development.read_text(encoding="utf-8").splitlines()]
    found = evaluation.find(Words.of([prompt] for prompt in prompts))
    assert sum(hit is not None for hit in found) == len(prompts)
    others = [f"{prompt.splitlines()[0][:40]} of something that nobody has asked before here" for prompt in prompts]
    assert not any(evaluation.find(Words.of([text] for text in others)))


@pytest.mark.parametrize(
    ("name", "count"),
    [("query_for_title", 50), ("title_for_query", 50), ("query_product_relation", 200), ("title_brand", 5),
     ("query_product_pair_ranking", 100)],
)  # fmt: skip
def test_real_judgements_make_fit_questions(name: str, count: int) -> None:
    """The folder holds few texts and few products a query; brands are the first words of titles."""
    task, raw = load_task(name), RawData(DATA / "raw")
    asked = list(task.build(raw, Seeded(0, name)))
    assert len(asked) >= count and not raw.rejected
    for question in asked:
        assert problem(task.type, question) is None
        assert held_out(question.entity) or not any(map(held_out, question.also))


@pytest.mark.parametrize("folder", ["shopbench", "ec-guide", "mmlu"])
def test_every_right_answer_may_be_written(folder: str, tmp_path: Path) -> None:
    rules = rules_of("digits apart", tmp_path)
    bound = 0
    for question in read_questions(DATA / folder):
        rule = rules.rule(Mode.EXACT, question.asked, question.prompt)
        assert question.truth is not None and writable(rules, rule, question.type, question.truth), question
        bound += rule.choice is not None
    assert bound


def test_every_right_answer_to_what_is_made_of_real_rows_may_be_written(tmp_path: Path) -> None:
    rules, raw, bound = rules_of("numbers joined", tmp_path), RawData(DATA / "raw", max_rejected=0.1), 0
    for name in task_names():
        task, names = load_task(name), wordings(name)
        for number, question in enumerate(islice(task.build(raw, Seeded(0, name)), 300)):
            prompt = user_prompt(name, names[number % len(names)], question.fields)
            rule = rules.rule(Mode.EXACT, asked(prompt, task.type is TaskType.MULTIPLE_CHOICE), prompt)
            assert writable(rules, rule, task.type, question.truth), prompt
            bound += rule.choice is not None
    assert bound > 2_000
