"""What is taken of a stream: the lowest ranks, in any order of the stream, whether or not the builder asks first."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from dataset_builders.held_out import held_out
from dataset_builders.pools.choice import Choice, Lowest, unpacked
from dataset_builders.task import Question


@given(st.lists(st.integers(0, 50), max_size=40), st.integers(0, 12))
def test_the_lowest_are_kept(ranks: list[int], size: int) -> None:
    kept = Lowest(size)
    for number, rank in enumerate(ranks):
        kept.offer(rank, f"{number} {rank}".encode())
    assert [int(text.split()[1]) for text in kept.taken()] == sorted(ranks)[:size]


@settings(deadline=None)
@given(st.integers(1, 20), st.integers(0, 5), st.integers(0, 1000), st.booleans())
def test_neither_the_order_nor_asking_first_changes_what_is_taken(train: int, val: int, seed: int, asks: bool) -> None:
    questions = [Question(f"product:{n % 90}", {"title": f"t{n}"}, 1, key=str(n)) for n in range(300)]
    plain, other = (Choice("task", 7, train=train, val=val) for _ in range(2))
    for question in questions:
        plain.offer(question)
    for question in random.Random(seed).sample(questions, len(questions)):
        if not asks or other.wants(question.entity, question.key):
            other.offer(question)
    for side, wanted in (("train", train), ("val", val)):
        taken, again = ([*map(unpacked, choice.sides[side].taken())] for choice in (plain, other))
        assert taken == again and len(taken) <= (2 * wanted + 8 if wanted else 0)
        assert all(held_out(question.entity) == (side == "val") for question in taken)
    assert other.asked == (len(questions) if asks else 0)


def test_a_question_comes_out_as_it_went_in() -> None:
    choice = Choice("task", 7, train=5, val=5)
    question = Question("product:B0", {"title": "t", "options": ["a", "b"]}, 1, also=("review:1", "query:q"))
    side = choice.offer(question)
    assert [unpacked(text) for text in choice.sides[side].taken()] == [question]
