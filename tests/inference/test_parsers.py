"""ShopBench's parsers on the cases that its description and its kit decide, and on anything at all."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.scoring.parsers import parse
from spine.task_types import TaskType, answer_text

MC, RANK, FIND = TaskType.MULTIPLE_CHOICE, TaskType.RANKING, TaskType.RETRIEVAL
NER, GEN = TaskType.NER, TaskType.GENERATION


@pytest.mark.parametrize(
    ("task_type", "text", "answer"),
    [
        (MC, "2", 2),
        (MC, "\n 3", 3),
        (MC, "3. because it floats", 3),
        (MC, "10", 1),
        (MC, "-1", -1),
        (MC, "Answer: 2", -1),
        (MC, "²", -1),  # numeric, but no number to int()
        (MC, " \n", -1),
        (MC, "", -1),
        (RANK, "3,1,2,5,4", [3, 1, 2, 5, 4]),
        (RANK, "The order is [1, 2, 3, 4, 5].", [1, 2, 3, 4, 5]),
        (RANK, "1,2,2,3", []),
        (RANK, "1,7,2", [1, 2]),
        (RANK, "0,1,2,3,4,5", [0, 1, 2, 3, 4]),  # five count, before repetitions are looked for
        (RANK, "1,2,3,4,5,5", [1, 2, 3, 4, 5]),
        (RANK, "1 2", []),
        (RANK, "1, ½, 2", [1, 2]),
        (RANK, ",1,2", [1, 2]),
        (RANK, "", []),
        (FIND, "6, 9, 15", [6, 9, 15]),
        (FIND, "6,6,6,2", [6, 6, 6]),
        (FIND, "4", [4]),
        (FIND, "6, \n\n 9, none, 15", [6, 9, 15]),
        (FIND, "6;9;15", [6915]),
        (FIND, "-3, 2", [3, 2]),
        (FIND, "nothing", []),
        (NER, "oak, bread board", ["oak", "bread board"]),
        (NER, "['oak', 'bread, board']", ["oak", "bread, board"]),
        (NER, "[oak, board]", ["[oak", "board]"]),
        (NER, "['oak', 3]", ["['oak'", "3]"]),
        (NER, "'oak, board'", ["'oak", "board'"]),
        (NER, "\n, oak,, board ,", ["oak", "board"]),
        (NER, "[]", []),
        (NER, " ", []),
        (GEN, "\n Solid oak.\n\nOiled. \n", "Solid oak.\n\nOiled."),
        (GEN, "\n", ""),
    ],
)
def test_answers_are_read_as_the_contest_reads_them(task_type: TaskType, text: str, answer: object) -> None:
    assert parse(task_type, text) == answer


def test_only_5000_characters_are_read() -> None:
    assert parse(GEN, "a" * 6_000) == "a" * 5_000
    assert parse(MC, " " * 5_000 + "1") == -1
    assert parse(FIND, "x" * 4_999 + "12") == [1]


KINDS = {MC: int, GEN: str, RANK: list, FIND: list, NER: list}


@settings(deadline=None)  # the machine may be busy
@given(st.sampled_from(TaskType), st.text() | st.text("[]()'\"{}\\, 0123456789\x00½²", max_size=80))
def test_nothing_makes_a_parser_fail(task_type: TaskType, text: str) -> None:
    assert type(parse(task_type, text)) is KINDS[task_type]


@pytest.mark.parametrize("text", ["[" * 5_000, "(" * 5_000, "-" * 5_000, "9" * 5_000, "{" + "[]," * 1_600])
def test_neither_depth_nor_length_makes_one_fail(text: str) -> None:
    assert {task_type: type(parse(task_type, text)) for task_type in TaskType} == KINDS


@given(st.lists(st.integers(1, 15), min_size=3, max_size=3))
def test_positions_come_back(positions: list[int]) -> None:
    assert parse(FIND, answer_text(FIND, positions)) == positions


@given(st.lists(st.sampled_from([1.0, 0.1, 0.01, 0.0]), min_size=5, max_size=5))
def test_a_ranking_sorts_the_weights(weights: list[float]) -> None:
    order = parse(RANK, answer_text(RANK, weights))
    assert isinstance(order, list) and [weights[int(at) - 1] for at in order] == sorted(weights, reverse=True)
