"""Questions of MMLU that become an event and how it is related to others."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from dataset_builders.task import Question
from tests.dataset_builders.test_tasks_m2 import built


@pytest.mark.parametrize(
    ("stem", "relation", "event"),
    [
        ("What can cause a forest fire?", "causes", "a forest fire"),
        ("Which of these actions would most likely lead to soil erosion?", "causes", "soil erosion"),
        ("What is the main cause of the tides?", "causes", "the tides"),
        ("Which statement best explains why ice floats?", "causes", "ice floats"),
        ("A puddle is gone by noon. What most likely caused this change?", "causes", "A puddle is gone by noon"),
        ("The lake froze over mainly because", "causes", "The lake froze over"),
        ("Why do birds fly south?", "causes", "birds fly south"),
        ("What will most likely happen if a cup falls?", "follows", "a cup falls"),
        ("If a cup falls, what will happen?", "follows", "a cup falls"),
        ("Heavy rain in the hills can cause", "follows", "Heavy rain in the hills"),
        ("Which is a likely effect of cutting all trees?", "follows", "cutting all trees"),
        ("Which of the following is caused by a virus?", "follows", "a virus"),
        ("What would best prevent a ball from rolling?", "prevents", "a ball rolling"),
        ("How can tooth decay be prevented?", "prevents", "tooth decay"),
        ("Wearing a helmet prevents what?", "prevented", "Wearing a helmet"),
    ],
)
def test_stems_are_turned_into_an_event_and_a_relation(tmp_path: Path, stem: str, relation: str, event: str) -> None:
    (question,) = events(tmp_path, [stem, "Rain.", "Wind.", "Snow.", "Heat.", "C"])
    assert (question.fields["relation"], question.fields["event"]) == (relation, event)
    assert sorted(question.fields["options"]) == ["Heat", "Rain", "Snow", "Wind"]
    assert question.fields["options"][question.truth] == "Snow"


@pytest.mark.parametrize(
    "stem",
    [
        "Which does NOT cause rust?",
        "All of these prevent rust except",
        "Which of these will most likely cause this?",
        "They are late because",
        "Which animal eats grass?",
        "Tom went home. It rained. What most likely happens next?",
        "Read the text.\nHe fell because",
        "Plants lean towards a window because they",
    ],
)
def test_stems_that_leave_doubt_are_not_asked(tmp_path: Path, stem: str) -> None:
    assert events(tmp_path, [stem, "Rain.", "Wind.", "Snow.", "Heat.", "C"]) == []


@pytest.mark.parametrize(
    ("stem", "choice"),
    [
        ("What can cause an expansion of the money supply?", "The bank buys bonds."),
        ("What is the main cause of polyploidy?", "Replication without division."),
        ("Which of the following is caused by a teratogen?", "A fetal syndrome."),
        ("A tariff on cars may lead to", "A fall of net exports in the DACH states."),
        (
            "Cities grew quickly because",
            "their industry drew workers away from villages and from the land that they had tilled",
        ),
    ],
)
def test_matters_of_a_school_are_no_everyday_events(tmp_path: Path, stem: str, choice: str) -> None:
    assert events(tmp_path, [stem, choice, "Rain.", "Wind.", "Snow.", "A"]) == []


def test_a_choice_goes_on_with_the_sentence(tmp_path: Path) -> None:
    (question,) = events(tmp_path, ["If a cup falls, it will", "break", "fly", "sing", "sleep", "A"])
    assert question.fields["options"][question.truth] == "it will break"


def test_choices_that_point_at_others_are_no_events(tmp_path: Path) -> None:
    assert events(tmp_path, ["What can cause rust?", "rain", "salt", "both of these", "sand", "C"]) == []


def events(folder: Path, row: list[str]) -> list[Question]:
    path = folder / "mmlu/auxiliary_train.csv"
    path.parent.mkdir(parents=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerow(row)
    return list(built.__wrapped__("commonsense_event", folder))
