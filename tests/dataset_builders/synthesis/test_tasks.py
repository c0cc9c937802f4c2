"""Each synthesis over the sample shop: a good answer becomes questions with words, a bad one is told why."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dataset_builders.held_out import held_out
from dataset_builders.pools.choice import unpacked
from dataset_builders.synthesis.answers import judge
from dataset_builders.synthesis.declare import Seed, Unfit, load_synthesis, synthesis_names
from dataset_builders.synthesis.request import first, template_digest
from dataset_builders.synthesis.seeds import SeedFile, SeedRequest, ensure_seeds
from dataset_builders.task import load_task, task_names
from dataset_builders.wording import BLANK, INSTRUCTION, filled, messages
from spine.prompts import wordings

Said = dict[str, Any]
Make = Callable[[Seed], Said]


@pytest.fixture(scope="module")
def seeds(shop: Path, cache: Path) -> dict[str, list[Seed]]:
    """Of each dataset the first seed rows of the sample shop."""
    files = ensure_seeds([SeedRequest(name, 30, shop) for name in synthesis_names()], cache, lambda *told: None)
    return {name: [unpacked(row) for _, row in _rows(path)] for name, path in files.items()}


def _rows(path: Path) -> Any:
    file = SeedFile(path)
    return file.rows(iter(range(len(file))))


def _words(text: str, number: int, start: int = 0) -> str:
    return " ".join(text.split()[start : start + number])


def _reworded(seed: Seed) -> Said:
    blanks = [name for name, value in seed.fields["blanks"].items() if f"[[{name}]]" in seed.fields[INSTRUCTION]]
    listed = "\n".join(f"[[{name}]]" for name in blanks)
    numbers = " ".join(re.findall(r"\d+", BLANK.sub(" ", seed.fields[INSTRUCTION])))
    said = f"Here is what one of our customers wants to know {numbers}, so give the number or text asked:\n{listed}"
    return {"instruction": said}


def _first_number(seed: Seed) -> str:
    return next(word for word in seed.fields["title"].replace(",", " ").split() if word.isdigit())


# A good answer to any seed row for which it can be made.
GOOD: dict[str, Make] = {
    "product_type_explanation": lambda seed: {
        "explanation": "A thing that people keep at home and take out whenever they need what it does."
    },
    "category_attribute": lambda seed: {"attribute": "Wick Burn Time"},
    "listed_type_explanation": lambda seed: {
        "product_type": "house thing",
        "explanation": "A thing that people keep at home and take out whenever they need what it does."
    },
    "attribute_to_category": lambda seed: {"category": "zeal", "ruled_out": ["zest", "qualm", "whim"]},
    "review_snippet_selection": lambda seed: {
        "same": [f"{seed.fields['snippet']} indeed", f"{seed.fields['snippet']} every day"],
        "opposite": [f"quite the contrary number {n}" for n in "abc"],
        "other_aspects": [f"something else in way {n}" for n in "abcdefghi"],
    },
    "query_entities": lambda seed: {
        "brand": [], "color": [], "material": [], "product_type": [_words(seed.fields["query"], 1)]
    },
    "product_entities": lambda seed: {
        "brand": [], "color": [], "material": [], "size": []
    } | {name: [value] for name, value in seed.fields["known"].items() if value in seed.fields["title"]},
    "product_fact_question": lambda seed: {
        "attribute": "first word", "values": ["zzz one", "zzz two", "zzz three"]
        if seed.fields["title_tells_it"] == "no" else [_words(seed.fields["title"], 1), "zzz two", "zzz three"],
    },
    "review_aspect_keyphrase": lambda seed: {"aspect": "zeal", "keyphrase": _words(seed.fields["review"], 3)},
    "review_aspect_selection": lambda seed: {
        "covered": [{"aspect": f"aspect {n}", "quote": _words(seed.fields["review"], 3, n)} for n in range(3)],
        "not_covered": [f"zeal {n}" for n in "abcdefg"],
    },
    "quantity_reasoning": lambda seed: {
        "question": "How much do three of these come to when they are put together?",
        "calculation": f"3 * {_first_number(seed)}", "answer": 3 * int(_first_number(seed)), "unit": "pieces",
        "wrong_answers": [0.5, 0.25, 0.75],
    } | {"question": "How much do 3 of these come to when they are put together?"},
    "commonsense_event": lambda seed: {
        "event": "the kettle boils dry", "relation": "causes", "right": "nobody switches it off",
        "wrong": ["the lid is closed", "the water is cold", "tea is poured"],
    },
    "complementary_category": lambda seed: {
        "complement": seed.fields["candidates"][0], "unrelated": seed.fields["candidates"][1:4]
    },
    "compatibility": lambda seed: {
        "statement": _words(seed.fields["listing"], 8), "fits": _words(seed.fields["listing"], 2),
        "does_not_fit": ["Zz 1", "Zz 2", "Zz 3"],
    },
    "query_relation": lambda seed: {
        "query": f"{seed.fields['query']} zeal" if seed.fields["relation"] == "narrowing" else "qqq zzz"
    },
    "next_query": lambda seed: {
        "next": _words(seed.fields["next_product"], 2),
        "unlikely": [f"qqqq {n}" for n in "abcdefghi"],
    },
    "product_query_ranking": lambda seed: {
        "exact": seed.fields["title"].replace(",", "").split()[-1] + " " + _words(seed.fields["title"], 3),
        "substitute": "something like it", "complement": "what goes with it", "irrelevant": "qqqq zzzz",
    },
    "multilingual_title": lambda seed: {
        "title": "の" + seed.fields["title"] if seed.fields["language"] == "Japanese" else seed.fields["title"] + " x"
    },
    "multilingual_keywords": lambda seed: {
        "right": [f"の{n}" for n in "abcd"], "wrong": [[f"の{n}{m}" for n in "abcd"] for m in "xyz"]
    },
    "multilingual_description": lambda seed: {"description": seed.fields["others"][0] + " の"},
    **{name: _reworded for name in synthesis_names() if load_task(name).llm == "reword"},
}  # fmt: skip


def test_every_dataset_that_is_marked_has_one() -> None:
    assert [name for name in task_names() if load_task(name).llm] == list(synthesis_names())
    assert set(GOOD) == set(synthesis_names())
    rewords = {name for name in synthesis_names() if load_task(name).llm == "reword"}
    assert rewords == {name for name in synthesis_names() if load_synthesis(name).module.endswith("._reword")}


def test_template_digests_differ() -> None:
    assert len({template_digest(load_synthesis(name)) for name in synthesis_names()}) == len(synthesis_names())


@pytest.mark.parametrize("name", synthesis_names())
def test_a_good_answer_becomes_questions(name: str, seeds: dict[str, list[Seed]]) -> None:
    synthesis = load_synthesis(name)
    assert len(seeds[name]) >= 20
    reasons, made = [], []
    for seed in seeds[name]:
        assert not held_out(seed.entity) and not any(map(held_out, seed.also))
        system, user = first(synthesis, seed)
        assert len(user["content"]) < 12_000 and "{{" not in system["content"] + user["content"]
        try:
            made += judge(synthesis, seed, json.dumps(GOOD[name](seed)))
        except (Unfit, StopIteration) as unfit:
            reasons.append(str(unfit))
    assert made, reasons[:3]
    for question in made:
        wording = wordings(name)[0]
        turns = messages(synthesis.task, synthesis.task.type, wording, question)
        assert turns[2]["content"] and "[[" not in turns[1]["content"]


def test_a_rewording_has_all_its_texts() -> None:
    fields = {"title": "[[options]] lamp", "options": ["a", "b"]}
    assert filled("Sort [[title]]: [[options]] Answer:", fields) == "Sort [[options]] lamp: \n0. a\n1. b\n Answer:"
    assert filled("[[options]]\nAnswer:", fields) == "0. a\n1. b\nAnswer:"


_BLANKS = {"title": "Oak Lamp", "options": ["Lamps", "Boards"]}
_REWORD = Seed("product:B1", {INSTRUCTION: "Sort [[title]]:\n[[options]]", "tone": "", "blanks": _BLANKS}, 0)
_ASK = "Which of these categories suits the product? [[title]]\n[[options]]"
_OAK = Seed("product:B1", {"title": "Oak Lamp", "attributes": ["material: Oak", "size: Large"]}, "")
_LONG = Seed("product:B1", {INSTRUCTION: _ASK, "tone": "", "blanks": _BLANKS}, 0)
_TITLE = {"title": "Oak Lamp 12 cm, 3 pieces", "brand": "Oak", "language": "German", "country": "Germany"}
_CALCULATION = {"question": "What do the 3 pieces measure together in a row?", "unit": "cm", "wrong_answers": [1, 2, 3]}
BAD = [
    ("product_category", _REWORD, {"instruction": "Which number suits [[title]] best of all these?"}, "a blank is"),
    ("product_category", _REWORD, {"instruction": "Which number suits [[title]] [[title]] [[options]]?"}, "a blank is"),
    ("product_category", _REWORD, {"instruction": "Lamps is the number that you must give for [[title]] [[options]]"},
     "tells what belongs"),
    ("product_category", _REWORD, {"instruction": "Gib die Nummer und den Namen für das hier, [[title]] [[options]]"},
     "another language"),
    ("product_category", _LONG,
     {"instruction": "Which one of these categories suits the product [[title]] [[options]]"},
     "the same words"),
    ("category_attribute", Seed("product:B1", {"category": "Keyboards", "other_categories": ["Mice"]}, ""),
     {"attribute": "keyboard size"}, "names a category"),
    ("attribute_to_category", _OAK,
     {"category": "oak lamp", "ruled_out": ["mug", "kettle", "rug"]}, "names a category"),
    ("attribute_to_category", _OAK,
     {"category": "lamp", "ruled_out": ["lamps", "kettle", "rug"]}, "two categories are alike"),
    ("listed_type_explanation", Seed("product:B1", {"title": "Oak Lamp", "description": "Bright."}, ""),
     {"product_type": "lamp", "explanation": "A lamp is what you buy for a room that is dark."}, "a sales pitch"),
    ("multilingual_title", Seed("product:B1", _TITLE, ""), {"title": "Oak Lampe 12 cm"}, "a number was lost"),
    ("multilingual_title", Seed("product:B1", _TITLE, ""), {"title": "The lamp of Oak with 12 cm and 3 for you"},
     "another language"),
    ("multilingual_title", Seed("product:B1", _TITLE, ""), {"title": "Eichenlampe 12 cm, 3 Stück"}, "the brand was"),
    ("quantity_reasoning", Seed("product:B1", _TITLE, ""), _CALCULATION | {"calculation": "3 * 12", "answer": 37},
     "the arithmetic is wrong"),
    ("quantity_reasoning", Seed("product:B1", _TITLE, ""), _CALCULATION | {"calculation": "36", "answer": 36},
     "does not use the title"),
    ("quantity_reasoning", Seed("product:B1", _TITLE, ""), _CALCULATION | {"calculation": "12 ** 3", "answer": 1},
     "no calculation"),
    ("quantity_reasoning", Seed("product:B1", _TITLE, ""), _CALCULATION | {"calculation": "12 * 77", "answer": 924},
     "a number from nowhere"),
    ("quantity_reasoning", Seed("product:B1", _TITLE, ""),
     _CALCULATION | {"calculation": "3 * 12", "answer": 36, "wrong_answers": [36.0, 1, 2]}, "two choices are the same"),
    ("query_entities", Seed("query:oak lamp", {"query": "oak lamp"}, ""),
     {"brand": ["Aldwick"], "color": [], "material": [], "product_type": []}, "not in the query"),
    ("query_entities", Seed("query:oak lamp", {"query": "oak lamp"}, ""),
     {"brand": ["oak"], "color": [], "material": ["oak"], "product_type": []}, "two types at once"),
    ("query_entities", Seed("query:oak lamp", {"query": "oak lamp"}, ""),
     {"brand": [], "color": [], "material": [], "product_type": []}, "nothing found"),
    ("product_entities", Seed("product:B1", {"title": "Oak Lamp", "known": {"material": "Oak"}}, ""),
     {"brand": [], "color": [], "material": ["Lamp"], "size": []}, "not what the column says"),
    ("product_fact_question", Seed("product:B1", {"title": "Oak Lamp", "facts": {}, "title_tells_it": "yes"}, ""),
     {"attribute": "material", "values": ["Oak", "Lamp", "Pine"]}, "stands in the title"),
    ("product_fact_question", Seed("product:B1", {"title": "Oak Lamp", "facts": {}, "title_tells_it": "yes"}, ""),
     {"attribute": "material", "values": ["Oak", "Pine", "pine"]}, "two choices are the same"),
    ("complementary_category", Seed("product:B1", {"product_type": "a", "example": "", "candidates": [*"bcdef"]}, ""),
     {"complement": "b", "unrelated": ["c", "d", "z"]}, "not among the candidates"),
    ("query_relation", Seed("query:oak lamp", {"query": "oak lamp", "relation": "narrowing"}, ""),
     {"query": "lamp shade"}, "not narrower"),
    ("query_relation", Seed("query:oak lamp", {"query": "oak lamp", "relation": "irrelevant"}, ""),
     {"query": "garden lamp"}, "not far enough"),
    ("query_relation", Seed("query:oak lamp", {"query": "oak lamp", "relation": "substitute"}, ""),
     {"query": "x123 y23"}, "no words"),
    ("product_type_explanation", Seed("product:B1", {"product_type": "Lamps", "categories": [], "example": ""}, ""),
     {"explanation": "The explanation is now corrected to one sentence in one paragraph."}, "speaks of itself"),
    ("product_type_explanation", Seed("product:B1", {"product_type": "Lamps", "categories": [], "example": ""}, ""),
     {"explanation": "You will love our lamps since they are the best that you can buy."}, "a sales pitch"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "seed", "said", "reason"), BAD)
def test_a_bad_answer_is_told_why(name: str, seed: Seed, said: Said, reason: str) -> None:
    with pytest.raises(Unfit) as caught:
        judge(load_synthesis(name), seed, json.dumps(said))
    assert caught.value.reason.startswith(reason), caught.value.reason
