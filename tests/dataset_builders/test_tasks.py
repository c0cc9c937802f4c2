"""Every task on the sample shop: as the blend describes it, fit questions, fair places, prompts as agreed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

import pytest

from dataset_builders.pools import fitness
from dataset_builders.raw import RawData
from dataset_builders.task import Question, Seeded, load_task, task_names
from inference.answering.rules import Mode
from inference.scoring.parsers import parse
from spine.asked import asked
from spine.paths import ROOT
from spine.prompts import user_prompt, wordings
from spine.task_types import TaskType, answer_text
from tests.inference.test_decoding import rules_of, writable

GOLDEN = Path(__file__).parents[1] / "golden" / "prompts"
# name -> (type, source, track, way of synthesis)
FACTS = {
    "alpaca_instructions": ("generation", "alpaca", None, None),
    "answer_generation": ("generation", "ecinstruct", 1, None),
    "answerability": ("multiple-choice", "ecinstruct", 1, "reword"),
    "attribute_to_category": ("multiple-choice", "amazon_m2", 1, "enrich"),
    "attribute_value_extraction": ("named_entity_recognition", "ecinstruct", 1, "reword"),
    "bullet_point_selection": ("retrieval", "esci", 1, "reword"),
    "bullet_summary": ("generation", "esci", 1, "reword"),
    "category_attribute": ("multiple-choice", "amazon_reviews", 1, "enrich"),
    "co_purchase": ("retrieval", "amazon_m2", 3, None),
    "commonsense_event": ("multiple-choice", "mmlu", 2, "construct"),
    "compatibility": ("multiple-choice", "amazon_reviews", 2, "construct"),
    "complementary_category": ("multiple-choice", "amazon_reviews", 2, "enrich"),
    "exact_match_selection": ("retrieval", "esci", 3, "reword"),
    "liked_titles": ("ranking", "amazon_reviews", 3, None),
    "listed_type_explanation": ("generation", "amazon_m2", 1, "enrich"),
    "mmlu_auxiliary": ("multiple-choice", "mmlu", 2, None),
    "mmlu_exams": ("multiple-choice", "mmlu", 2, None),
    "multilingual_description": ("multiple-choice", "amazon_m2", 4, "construct"),
    "multilingual_keywords": ("multiple-choice", "esci", 4, "enrich"),
    "multilingual_title": ("generation", "amazon_m2", 4, "construct"),
    "next_query": ("retrieval", "amazon_m2", 3, "construct"),
    "product_attribute": ("multiple-choice", "esci", 1, "reword"),
    "product_category": ("multiple-choice", "amazon_reviews", 1, "reword"),
    "product_entities": ("named_entity_recognition", "amazon_m2", 1, "enrich"),
    "product_fact_question": ("multiple-choice", "amazon_reviews", 1, "construct"),
    "product_for_query": ("multiple-choice", "esci", 3, "reword"),
    "product_matching": ("multiple-choice", "ecinstruct", 1, "reword"),
    "product_query_ranking": ("ranking", "esci", 3, "construct"),
    "product_relation": ("multiple-choice", "ecinstruct", 2, "reword"),
    "product_substitute": ("multiple-choice", "ecinstruct", 2, "reword"),
    "product_type_explanation": ("generation", "amazon_reviews", 1, "enrich"),
    "quantity_reasoning": ("multiple-choice", "amazon_m2", 2, "construct"),
    "query_entities": ("named_entity_recognition", "esci", 1, "enrich"),
    "query_for_description": ("multiple-choice", "esci", 3, "reword"),
    "query_for_features": ("multiple-choice", "esci", 3, "reword"),
    "query_for_title": ("multiple-choice", "esci", 3, "reword"),
    "query_product_pair_ranking": ("ranking", "esci", 3, "reword"),
    "query_product_ranking": ("ranking", "esci", 3, "reword"),
    "query_product_ranking_ecinstruct": ("ranking", "ecinstruct", 3, None),
    "query_product_relation": ("multiple-choice", "esci", 3, "reword"),
    "query_product_relevance": ("multiple-choice", "ecinstruct", 3, "reword"),
    "query_product_retrieval": ("retrieval", "ecinstruct", 3, None),
    "query_relation": ("multiple-choice", "esci", 3, "construct"),
    "review_aspect_keyphrase": ("generation", "amazon_reviews", 1, "construct"),
    "review_aspect_selection": ("retrieval", "amazon_reviews", 1, "construct"),
    "review_for_product": ("multiple-choice", "amazon_reviews", 3, None),
    "review_helpfulness_ranking": ("ranking", "amazon_reviews", 3, None),
    "review_rating": ("multiple-choice", "amazon_reviews", 3, "reword"),
    "review_sentiment_ranking": ("ranking", "ecinstruct", 3, "reword"),
    "review_snippet_selection": ("retrieval", "amazon_reviews", 1, "construct"),
    "sentiment_analysis": ("multiple-choice", "ecinstruct", 3, "reword"),
    "sequential_recommendation": ("multiple-choice", "ecinstruct", 3, "reword"),
    "title_brand": ("multiple-choice", "esci", 1, "reword"),
    "title_for_description": ("multiple-choice", "esci", 1, "reword"),
    "title_for_features": ("multiple-choice", "esci", 1, "reword"),
    "title_for_query": ("multiple-choice", "esci", 3, "reword"),
    "title_from_description": ("generation", "esci", 1, "reword"),
}
EVERY = pytest.mark.parametrize("name", sorted(FACTS))
# Their choices stand as published, since they may refer to each other.
AS_PUBLISHED = {"mmlu_auxiliary", "mmlu_exams", "review_rating"}
CANNOT = "It cannot be inferred."


@cache
def questions(name: str, folder: Path, seed: int = 1) -> list[Question]:
    return list(load_task(name).build(RawData(folder, max_rejected=0.0), Seeded(seed, name)))


def test_every_dataset_is_described_here() -> None:
    assert set(task_names()) == set(FACTS)


@EVERY
def test_the_header_says_what_the_blend_says(name: str) -> None:
    task = load_task(name)
    assert (task.type, task.source, task.track, task.llm) == FACTS[name]
    assert task.what and "\n" not in task.what


@EVERY
def test_questions_are_fit_and_their_answers_are_read_back(name: str, shop: Path, tmp_path: Path) -> None:
    """Each question is fit, each wording renders whole, the answer may be written and is read back as the truth."""
    task, made, rules = load_task(name), questions(name, shop), rules_of("digits apart", tmp_path)
    assert len(made) >= 10
    mistaken = 0
    for number, question in enumerate(made):
        assert fitness.problem(task.type, question) is None, question
        assert all(entity and ":" in entity and entity.isprintable() for entity in (question.entity, *question.also))
        read = parse(task.type, answer_text(task.type, question.truth))
        if task.type is TaskType.RANKING:
            assert isinstance(question.truth, list) and isinstance(read, list)
            assert sorted(read) == list(range(1, len(question.truth) + 1))
            assert [question.truth[int(at) - 1] for at in read] == sorted(question.truth, reverse=True)
        else:
            assert read == (question.truth.strip() if isinstance(question.truth, str) else question.truth)
        names = wordings(name)
        prompt = user_prompt(name, names[number % len(names)], question.fields)
        for value in [*question.fields.get("options", []), *question.fields.get("items", [])]:
            assert f". {value}" in prompt, f"a choice is not shown: {value}"
        asks = asked(prompt, task.type is TaskType.MULTIPLE_CHOICE)
        mistaken += asks.type is not task.type
        assert writable(rules, rules.rule(Mode.EXACT, asks, prompt), task.type, question.truth), prompt
    assert mistaken <= len(made) / 5  # what a review says may sound like an order


def test_the_seed_alone_decides_in_any_process(shop: Path) -> None:
    """Nothing depends on the order of sets, which another PYTHONHASHSEED changes."""
    code = f"""if True:
        import hashlib
        from pathlib import Path
        from dataset_builders.raw import RawData
        from dataset_builders.task import Seeded, load_task, task_names
        for name in task_names():
            made = repr(list(load_task(name).build(RawData(Path({str(shop)!r})), Seeded(1, name))))
            print(name, hashlib.sha256(made.encode()).hexdigest())"""
    printed = []
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        command = [sys.executable, "-c", code]
        printed.append(subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True))
    assert printed[0].stdout.splitlines() == printed[1].stdout.splitlines() != []


@EVERY
def test_what_is_not_wanted_changes_nothing_else(name: str, shop: Path) -> None:
    """A builder may leave out questions of which it is told that they will not be taken, and no others."""
    coin = Seeded(5, "coin")

    def wants(entity: str, key: str) -> bool:
        return coin.digest(f"{entity} {key}") % 2 == 0

    some = load_task(name).build(RawData(shop, max_rejected=0.0), Seeded(1, name, wants))
    wanted = [question for question in questions(name, shop) if wants(question.entity, question.key)]
    assert [question for question in some if wants(question.entity, question.key)] == wanted


@EVERY
def test_right_answers_are_everywhere(name: str, whole_shop: Path) -> None:
    """Chi-square over the places, against its mean plus five standard deviations."""
    kind, places = load_task(name).type, Counter[tuple[int, int]]()
    if name in AS_PUBLISHED or kind in (TaskType.NER, TaskType.GENERATION):
        pytest.skip("no place to be chosen")
    for question in questions(name, whole_shop):
        truth = question.truth
        assert not isinstance(truth, str)
        if isinstance(truth, int):
            options = question.fields["options"]
            if options[truth] != CANNOT:  # its place is the last, as at the contest
                places[len(options) - (CANNOT in options), truth] += 1
        elif kind is TaskType.RANKING:
            best = [at for at, weight in enumerate(truth) if weight == max(map(float, truth))]
            places.update((len(truth), at) for at in best if len(best) == 1)
        else:
            places.update((len(question.fields["items"]), int(at) - 1) for at in truth)
    choices, _ = Counter(count for count, _ in places.elements()).most_common(1)[0]
    counts = [places[choices, at] for at in range(choices)]
    assert sum(counts) >= 50
    expected = sum(counts) / choices
    chi_square = sum((count - expected) ** 2 / expected for count in counts)
    assert chi_square < (choices - 1) + 5 * (2 * (choices - 1)) ** 0.5, counts


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
def test_wordings_stay_as_they_are(name: str, shop: Path) -> None:
    """Golden prompts; UPDATE_GOLDEN=1 writes them anew, for a look at the difference in git."""
    assert len(wordings(name)) == 3
    for wording in wordings(name):
        prompt = user_prompt(name, wording, questions(name, shop)[0].fields) + "\n"
        file = GOLDEN / f"{name}.{wording}.txt"
        if os.environ.get("UPDATE_GOLDEN") == "1":
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(prompt, encoding="utf-8")
        assert file.read_text(encoding="utf-8") == prompt, f"{file.name}: UPDATE_GOLDEN=1 if this is meant"


def test_no_golden_prompt_is_left_over() -> None:
    known = {f"{name}.{wording}.txt" for name in task_names() for wording in wordings(name)}
    assert {file.name for file in GOLDEN.glob("*.txt")} <= known


@EVERY
def test_no_rule_takes_a_third_without_a_word(name: str, shop: Path) -> None:
    """What ``docs/questions.md`` does not tell of takes less than a third of the sample shop's rows."""
    raw, task = RawData(shop, max_rejected=0.0), load_task(name)
    kept = sum(1 for _ in task.build(raw, Seeded(0, name)))
    page = (ROOT / "docs/questions.md").read_text(encoding="utf-8")
    told = ", ".join(re.findall(r"^\| .* \| ([^|]*) \| [^|]* \|$", page, re.M)).split(", ")
    if not any(fnmatch(name, pattern) for pattern in told):
        assert max(raw.lacking.values(), default=0) <= (kept + raw.lacking.total()) / 3, raw.lacking
