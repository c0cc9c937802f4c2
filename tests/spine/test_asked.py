"""What prompts ask for: a prompt of its own for each rule; all questions of the public data where they are at hand."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.answering.questions import unscored
from spine.asked import Asked, asked
from spine.task_types import TaskType

MC, RANK, FIND = TaskType.MULTIPLE_CHOICE, TaskType.RANKING, TaskType.RETRIEVAL
NER, GEN = TaskType.NER, TaskType.GENERATION
DATA = Path(os.environ.get("SHOPBENCH_DATA") or "/nonexistent")
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="SHOPBENCH_DATA names no folder")


def items(*names: str, start: int = 1, mark: str = ". ") -> str:
    return "\n".join(f"{number}{mark}{name}" for number, name in enumerate(names, start))


FIVE = items("a spade", "a rake", "a hoe", "a fork", "a barrow")


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        (f"Rank these goods by how well they suit a gardener.\n{FIVE}\nOutput:", Asked(RANK, (1, 2, 3, 4, 5), 5)),
        (f"Give a permutation of 1 to 5.\n{items('x', 'y', 'z')}\nOutput:", Asked(RANK, (1, 2, 3), 3)),
        (
            f"Pick three goods that a beekeeper needs. Answer with their numbers.\n{FIVE}",
            Asked(FIND, (1, 2, 3, 4, 5), 3),
        ),
        (
            f"Which are sharp? List the indices.\nGoods: {items('a', 'b', 'c', start=0)}\nOutput:",
            Asked(FIND, (0, 1, 2)),
        ),
        (f"From a list of 15 goods, select the top 3, only indices.\n{FIVE}", Asked(FIND, (1, 2, 3, 4, 5), 3)),
        (
            f"To which is it nearest? Their numbers from the most to the least near one.\n{FIVE}",
            Asked(RANK, (1, 2, 3, 4, 5), 5),
        ),
        (
            f"Which one is new? Its number first and those of the others behind it.\n{FIVE}",
            Asked(RANK, (1, 2, 3, 4, 5), 5),
        ),
        (f"Sort them so that the largest stands first. The numbers only.\n{FIVE}", Asked(RANK, (1, 2, 3, 4, 5), 5)),
        (f"Choose three, separated by commas.\n{items('a', 'b', mark='.')}", Asked(FIND, (1, 2), 2)),
        ("Name the phrases of the query that are of the entity type 'colour'.\nQuery: red hat", Asked(NER)),
        ("Identify the 'Brand' in the product title 'Zentrelle oak bread board, 40 cm, oiled'.", Asked(NER)),
        ("Which words of this product title state the size?\nTitle: Cap, XL", Asked(NER)),
        ("Extract one keyphrase on the given aspect.\nReview: It fits like a glove.\nAspect: fit", Asked(GEN)),
        ("Describe the product type Trowel.\nOutput:", Asked(GEN)),
        ("Translate the title 'Oak bread board with juice groove' into German.\nOutput:", Asked(GEN)),
        (f"Write an advertisement for these.\n{FIVE}", Asked(GEN)),
        ("", Asked(GEN)),
    ],
)
def test_other_than_multiple_choice(prompt: str, expected: Asked) -> None:
    assert asked(prompt, is_multiple_choice=False) == expected
    if expected.type is not GEN:
        assert asked(prompt, is_multiple_choice=None).type is expected.type


@pytest.mark.parametrize(
    ("prompt", "listed", "words"),
    [
        (f"Which one is blue?\n{items('sky', 'grass', start=0)}\nAnswer:", (0, 1), ()),
        (f"Two goods are bought.\n{items('a', 'b', start=0)}\n3. c\nAnswer:", (0, 1, 3), ()),
        ("Which one? 0. a fig 1. a fork 2. a frog", (0, 1, 2), ()),
        ("On a scale of 1 to 5, how glad is the writer?\nReview: fine\nAnswer:", (1, 2, 3, 4, 5), ()),
        ("Rate this review; 1 is the worst and 5 is the best.\nReview:\n1) too big\n2) too red", (1, 2, 3, 4, 5), ()),
        ("How many stars out of 5 is this?\n0. none\n1. one\nAnswer:", (0, 1), ()),
        ("Is it a fork? Only output yes or no.\nAnswer:", (), ("yes", "no")),
        ("Are they one product? Output yes if they are or no otherwise.", (), ("yes", "no")),
        ("Say yes if the two can be used together, otherwise respond with no.\nAnswer:", (), ("yes", "no")),
        ("Please answer 'Yes' where it is a substitute, and 'No' if it is none.", (), ("yes", "no")),
        ("Is there one, yes, and why is there no other?", (), ()),
        ("How heavy is it?\nAnswer:", (), ()),
    ],
)
def test_multiple_choice(prompt: str, listed: tuple[int, ...], words: tuple[str, ...]) -> None:
    assert asked(prompt, is_multiple_choice=True) == Asked(MC, listed, 1, words)


def test_the_number_of_one_is_retrieved_unless_it_is_a_choice() -> None:
    prompt = f"What does a gardener look for next? Answer with the number of one.\n{FIVE}"
    assert [asked(prompt, flag).type for flag in (False, True, None)] == [FIND, MC, MC]


def test_the_last_list_is_the_one_that_counts_and_numbers_in_texts_do_not() -> None:
    session = items("looked at a rake", "bought a hoe")
    prompt = f"Steps:\n{session}\nSelect three numbers from the list.\n{FIVE}\n6.5 inches long\n2024. A good year"
    assert asked(prompt, False) == Asked(FIND, (1, 2, 3, 4, 5), 3)


def test_what_stands_in_the_data_asks_for_nothing() -> None:
    prompt = "Write a headline for the review.\nReview: I rank it first. The entity type 'x' of the title.\nOutput:"
    assert asked(prompt, False).type is GEN
    titles = items("Ranking of kings, select three numbers", "Permutation puzzle", start=0)
    assert asked(f"Which one is a book?\n{titles}", None).type is MC


@settings(deadline=None)
@given(st.text(max_size=300) | st.text("0123.)( \n:'\"abc", max_size=300), st.sampled_from([True, False, None]))
def test_anything_is_some_kind_of_question(prompt: str, flag: bool | None) -> None:
    found = asked(prompt, flag)
    assert not flag or found.type is MC
    assert list(found.listed) == sorted(set(found.listed))
    assert found.wanted is None or not found.listed or found.wanted <= len(found.listed)


@pytest.mark.parametrize("piece", ["木", "sort ", "attribute ", "identify the word ", " \t", "'a ", "(a) b", "only "])
@pytest.mark.parametrize("flag", [True, False, None])
def test_a_long_prompt_of_anything_is_looked_through(piece: str, flag: bool | None) -> None:
    """Over such a prompt, a pattern that can be read in two ways takes hours, one without a bound minutes."""
    found = unscored(piece * (100_000 // len(piece)) + ".", flag).asked
    assert (found.type is MC) == bool(flag) and not found.listed


@needs_data
def test_every_public_question_is_seen_for_what_it_is() -> None:
    for line in (DATA / "shopbench" / "development.json").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        found = asked(row["input_field"], row["is_multiple_choice"])
        assert found.type == row["task_type"]
        assert found.type not in (RANK, FIND) or found.wanted == (5 if found.type is RANK else 3)
        assert found.type is not MC or row["output_field"] in found.listed


@needs_data
def test_nearly_every_row_of_ec_guide_is() -> None:
    wrong: list[str] = []
    count = 0
    for path in sorted((DATA / "ec-guide").glob("*/*.json")):
        for row in json.loads(path.read_text(encoding="utf-8")):
            count += 1
            if asked(row["input_field"], row["task_type"] == MC).type != row["task_type"]:
                wrong.append(f"{path.name}: {row['input_field'][:80]}")
    assert count > 26_000 and len(wrong) <= 2, wrong[:10]
