"""Every task, on a tiny raw folder and on the sample shop: fit questions, fair places, prompts as agreed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from dataset_builders import check
from dataset_builders.task import Question, Seeded, load_task, task_names
from inference.parsers import parse
from recipe.paths import ROOT
from recipe.prompts import user_prompt, wordings
from recipe.task_types import TaskType, answer_text

GOLDEN = Path(__file__).parents[1] / "golden" / "prompts"
# name -> (type, source, track, way of synthesis), from facts/blend_v8.md
FACTS = {
    "alpaca_instructions": ("generation", "alpaca", None, None),
    "attribute_value_extraction": ("named_entity_recognition", "ecinstruct", 1, None),
    "co_purchase": ("retrieval", "amazon_m2", 3, None),
    "mmlu_auxiliary": ("multiple-choice", "mmlu", 2, None),
    "multilingual_title": ("generation", "amazon_m2", 4, "construct"),
    "product_category": ("multiple-choice", "amazon_reviews", 1, "reword"),
    "product_entities": ("named_entity_recognition", "amazon_m2", 1, "enrich"),
    "query_product_ranking": ("ranking", "esci", 3, None),
    "review_for_product": ("multiple-choice", "amazon_reviews", 3, None),
    "review_helpfulness_ranking": ("ranking", "amazon_reviews", 3, None),
    "review_rating": ("multiple-choice", "amazon_reviews", 3, None),
    "sentiment_analysis": ("multiple-choice", "ecinstruct", 3, None),
    "title_from_description": ("generation", "esci", 1, "reword"),
}
# Where the builder chooses the place of the right answer: among how many
PLACES = {"co_purchase": 15, "product_category": 4, "review_for_product": 4, "sentiment_analysis": 5}
PLACES |= {"query_product_ranking": 5, "review_helpfulness_ranking": 5, "mmlu_auxiliary": 4}
AS_PUBLISHED = {"mmlu_auxiliary"}  # its choices may refer to each other
EVERY = pytest.mark.parametrize("name", sorted(FACTS))


@cache
def questions(name: str, raw: Path, seed: int = 1) -> list[Question]:
    return list(load_task(name).build(raw, Seeded(seed, name)))


@pytest.fixture(scope="session")
def sample_shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    write = pytest.importorskip("dataset_builders.sample_shop").write
    folder = tmp_path_factory.mktemp("shop")
    write(folder, scale=0.2, seed=2024)
    return Path(folder)


@EVERY
def test_the_header_says_what_the_blend_says(name: str) -> None:
    task = load_task(name)
    assert (task.type, task.source, task.track, task.llm) == FACTS[name]
    assert task.what and "\n" not in task.what


@EVERY
def test_questions_of_the_tiny_folder(name: str, tiny_raw: Path) -> None:
    _all_fit(name, tiny_raw, least=15)


@EVERY
def test_questions_of_the_sample_shop(name: str, sample_shop: Path) -> None:
    _all_fit(name, sample_shop, least=10)


def _all_fit(name: str, raw: Path, least: int) -> None:
    """Each question is fit, each wording renders whole, and the answer is read back as the truth."""
    task = load_task(name)
    assert len(questions(name, raw)) >= least
    for number, question in enumerate(questions(name, raw)):
        assert check.problem(task.type, question) is None, question
        assert question.entity and question.entity.isprintable()
        read = parse(task.type, answer_text(task.type, question.truth))
        if task.type is TaskType.RANKING:
            assert isinstance(question.truth, list) and isinstance(read, list)
            assert sorted(read) == [1, 2, 3, 4, 5]
            assert [question.truth[int(at) - 1] for at in read] == sorted(question.truth, reverse=True)
        else:
            assert read == (question.truth.strip() if isinstance(question.truth, str) else question.truth)
        names = wordings(name)
        prompt = user_prompt(name, names[number % len(names)], question.fields)
        for value in [*question.fields.get("options", []), *question.fields.get("items", [])]:
            assert f". {value}" in prompt, f"a choice is not shown: {value}"


@EVERY
def test_the_seed_alone_decides(name: str, tiny_raw: Path) -> None:
    again = list(load_task(name).build(tiny_raw, Seeded(1, name)))
    assert again == questions(name, tiny_raw)


@pytest.mark.parametrize("name", sorted({*PLACES, "product_entities", "attribute_value_extraction"} - AS_PUBLISHED))
def test_another_seed_asks_otherwise(name: str, tiny_raw: Path) -> None:
    assert questions(name, tiny_raw, seed=2) != questions(name, tiny_raw)


@pytest.mark.parametrize(("name", "places"), PLACES.items())
def test_right_answers_are_everywhere(name: str, places: int, tiny_raw: Path) -> None:
    """Chi-square over the places, against its mean plus four standard deviations."""
    counts: Counter[int] = Counter()
    for question in questions(name, tiny_raw):
        if load_task(name).type is TaskType.RANKING:
            assert isinstance(question.truth, list)
            best = [at for at, weight in enumerate(question.truth) if weight == max(question.truth)]
            counts.update(best if len(best) == 1 else [])
        else:
            truth = question.truth
            counts.update([truth] if isinstance(truth, int) else [int(at) - 1 for at in truth])
    assert set(counts) == set(range(places)) and counts.total() >= 25
    expected = counts.total() / places
    chi_square = sum((count - expected) ** 2 / expected for count in counts.values())
    assert chi_square < (places - 1) + 4 * (2 * (places - 1)) ** 0.5, counts


def test_titles_are_asked_across_sites(tiny_raw: Path) -> None:
    asked = questions("multilingual_title", tiny_raw)
    assert {question.fields["language"] for question in asked} == {"German", "Japanese"}
    assert asked[0].truth == "Aldwick Bread Board aus Oak"


def test_entities_stand_in_the_text(tiny_raw: Path) -> None:
    for name, field in (("product_entities", "title"), ("attribute_value_extraction", "product")):
        for question in questions(name, tiny_raw):
            assert all(str(phrase) in question.fields[field] for phrase in question.truth)  # type: ignore[union-attr]


def test_wrong_categories_are_the_nearest(tiny_raw: Path) -> None:
    """Living holds five leaves, enough for four options; Dining one, whose wrong options are cousins."""
    for question in questions("product_category", tiny_raw):
        options = question.fields["options"]
        assert isinstance(question.truth, int)
        assert ("Boards" in options) == (options[question.truth] == "Boards")


def test_reviews_lose_their_markup(tiny_raw: Path) -> None:
    assert all("<br" not in question.fields["text"] for question in questions("review_rating", tiny_raw))


def test_tasks_are_loaded_without_heavy_libraries() -> None:
    code = """if True:
        import sys
        from dataset_builders.task import load_task, task_names
        tasks = [load_task(name) for name in task_names()]
        heavy = {"pyarrow", "polars", "numpy", "torch"} & set(sys.modules)
        sys.exit(f"loaded: {heavy}" if heavy else 0)"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@EVERY
def test_wordings_stay_as_they_are(name: str, tiny_raw: Path) -> None:
    """Golden prompts; UPDATE_GOLDEN=1 writes them anew, for a look at the difference in git."""
    assert len(wordings(name)) == 3
    for wording in wordings(name):
        prompt = user_prompt(name, wording, questions(name, tiny_raw)[0].fields) + "\n"
        file = GOLDEN / f"{name}.{wording}.txt"
        if os.environ.get("UPDATE_GOLDEN") == "1":
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(prompt, encoding="utf-8")
        assert file.read_text(encoding="utf-8") == prompt, f"{file.name}: UPDATE_GOLDEN=1 if this is meant"


def test_no_golden_prompt_is_left_over() -> None:
    known = {f"{name}.{wording}.txt" for name in task_names() for wording in wordings(name)}
    assert {file.name for file in GOLDEN.glob("*.txt")} <= known
