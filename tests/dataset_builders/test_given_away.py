"""Questions that hold their own answer are not asked, whoever builds them; those that ask for it in a text are."""

from __future__ import annotations

from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dataset_builders.given_away import given_away, tells_stars
from dataset_builders.pools.build import Pool, Report
from dataset_builders.raw import RawData
from dataset_builders.task import Question, Seeded, Task, load_task, task_names
from spine.task_types import TaskType
from tests.dataset_builders.blends import ensure
from tests.dataset_builders.esci_rows import judge


@pytest.mark.parametrize(
    "text",
    [
        "Four Stars", "5 STARS", "Cinco estrellas", "I only gave them 4 stars, the heel is thin.", "4.5 stars.",
        "Would be a five-star hat if it stayed on", "Two and a half stars for the box", "I took a star away for that",
        "Had to knock off another star", "My star rating is for the seller", "Solid 9/10", "3 out of 5 from me",
        "I'd give it a 4 because the lid sticks", "We rated this one a 2.", "⭐⭐⭐ it is ok",
        "Not a 5 star because it smells",
    ],
)  # fmt: skip
def test_stars_are_told(text: str) -> None:
    assert tells_stars(text)


@pytest.mark.parametrize(
    "text",
    [
        "A scarf with three glittery stars", "She was the star of the show", "I gave it to my sister", "It starts at",
        "Head size 22 3/4 inches", "I wear a size 8/10", "Bent out of shape, rated for 9 pounds", "A Leading Star hat",
        "I gave one to a friend and two to my aunts", "Used 1/2 of it",
    ],
)  # fmt: skip
def test_stars_are_not_told(text: str) -> None:
    assert not tells_stars(text)


def made(kind: TaskType, **more: Any) -> Task:
    return Task("a_task", kind, "esci", 1, None, "", lambda raw, seeded: iter(()), **more)


TITLE = "Aldwick Oak Bread Board with Juice Groove, Large"
BOARDS = ["Brenmoor Slate Board", TITLE]
MC, GEN, FIND, RANK = TaskType.MULTIPLE_CHOICE, TaskType.GENERATION, TaskType.RETRIEVAL, TaskType.RANKING


@pytest.mark.parametrize(
    ("kind", "fields", "truth"),
    [
        (GEN, {"description": f"{TITLE.upper()}. Oiled by hand."}, TITLE),
        (MC, {"description": f"The {TITLE} is oiled by hand.", "options": BOARDS}, 1),
        (MC, {"features": ["Oiled", "Aldwick oak bread-board with juice groove (large)"], "options": BOARDS}, 1),
        # one word of the title is another, one is missing
        (GEN, {"text": "Our Oak Bread Boards with Juice Grooves, Large, are oiled by hand."}, TITLE),
        (MC, {"attribute": "Lantern type", "options": ["Mugs", "Lanterns"]}, 1),
        (FIND, {"title": TITLE, "items": BOARDS}, [2]),
        (RANK, {"title": TITLE, "items": BOARDS}, [0.1, 1.0]),
        (TaskType.NER, {"hint": "it is made of cast iron"}, ["cast iron"]),
    ],
)
def test_an_answer_in_another_field_is_told(kind: TaskType, fields: dict[str, Any], truth: Any) -> None:
    name = next(name for name in fields if name not in ("options", "items"))
    assert given_away(made(kind), Question("product:1", fields, truth)) == f"its {name} tells the answer"
    assert given_away(made(kind, quotes=(name,)), Question("product:1", fields, truth)) is None


@pytest.mark.parametrize(
    ("kind", "fields", "truth"),
    [
        (GEN, {"description": "A board of solid oak; its juice groove keeps the table dry. By Aldwick."}, TITLE),
        (MC, {"question": "Is there no lid?", "options": ["yes", "no"]}, 1),  # a short label stands anywhere
        (MC, {"title": f"{TITLE}, 12 inches", "options": ["10", "12"]}, 1),
        (FIND, {"title": TITLE, "items": BOARDS}, [1]),  # what is wrong may be alike
        (RANK, {"title": TITLE, "items": BOARDS}, [1.0, 0.1]),
    ],
)
def test_what_is_alike_does_not_tell(kind: TaskType, fields: dict[str, Any], truth: Any) -> None:
    assert given_away(made(kind), Question("product:1", fields, truth)) is None


@pytest.mark.parametrize(
    ("kind", "fields", "truth"),
    [
        (MC, {"title": "Nice cap", "text": "I gave it 4 stars as the brim is soft."}, 4),
        (MC, {"review": "Two stars for the colour.", "options": ["negative", "positive"]}, 0),
        (RANK, {"items": ["It broke at once.", "Five stars!"]}, [0.0, 1.0]),
    ],
)
def test_who_asks_how_content_a_writer_is_shows_no_stars(kind: TaskType, fields: dict[str, Any], truth: Any) -> None:
    assert given_away(made(kind, rates=True), Question("review:1", fields, truth)) == "its text tells the stars"
    assert given_away(made(kind), Question("review:1", fields, truth)) is None


# --- every builder ---


@cache
def some(name: str, folder: Path) -> list[Question]:
    return list(islice(load_task(name).build(RawData(folder, max_rejected=0.0), Seeded(1, name)), 40))


def answer(question: Question) -> str:
    """What a reader must not see, worked out by itself."""
    truth, fields = question.truth, question.fields
    if isinstance(truth, str):
        return truth
    if isinstance(truth, int):
        return fields["options"][truth] if "options" in fields else f"I gave it {truth} stars."
    if isinstance(truth[0], str):
        return truth[0]
    whole = all(isinstance(place, int) for place in truth)
    place = int(truth[0]) - 1 if whole else truth.index(max(truth))  # type: ignore[arg-type,union-attr,type-var]
    return str(fields["items"][place])


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(task_names()),
    draw=st.integers(0, 39),
    around=st.lists(st.sampled_from(["well", "BOX", "und", "12,", "¿tal?"]), min_size=1, max_size=5),
)
def test_no_builder_gets_an_answer_past_the_check(shop: Path, name: str, draw: int, around: list[str]) -> None:
    task, asked = load_task(name), some(name, shop)
    question = asked[draw % len(asked)]
    told = f"{' '.join(around)} {answer(question).upper()}, {' '.join(around)}"
    planted = Question(question.entity, {**question.fields, "note": told}, question.truth)
    if sum(map(str.isalnum, answer(question))) > 5:
        assert given_away(task, planted)
    if task.quotes and not task.rates and given_away(task, question) is None:
        quoted = {**question.fields, task.quotes[0]: told}
        assert given_away(task, Question(question.entity, quoted, question.truth)) is None


@pytest.mark.parametrize("name", task_names())
def test_fields_that_may_quote_the_answer_are_there_and_little_is_lost(name: str, shop: Path) -> None:
    task, asked = load_task(name), some(name, shop)
    assert {*task.quotes} <= {field for question in asked for field in question.fields}
    assert sum(given_away(task, question) is not None for question in asked) <= len(asked) / 3


def test_a_pool_counts_what_is_given_away(model: Path, tmp_path: Path) -> None:
    about = "A board of solid oak; its juice groove keeps the table dry. Aldwick oils each of them by hand for you."
    titles = {f"p{number}": f"Aldwick {kind} Board with Juice Groove" for number, kind in enumerate("XYZVWQ")}
    texts = {id: f"{title}: {about}" if id in ("p1", "p2") else about for id, title in titles.items()}
    folder = judge(tmp_path / "raw", (), {"title": titles, "description": texts})
    pool = Pool("title_from_description", folder, str(model), 1, 10, 5)
    report = Report.read(ensure([pool], tmp_path / "cache")[pool.name] / "report.json")
    assert report.dropped["its description tells the answer"] == 2 and not report.rejected
