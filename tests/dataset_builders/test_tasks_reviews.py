"""The tasks on what reviews say: answers recomputed from the shop's rules, and rows as messy as the published ones."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest

from dataset_builders.held_out import held_out
from dataset_builders.raw import RawData
from dataset_builders.sample_shop.catalogue import Aspect, catalogue
from dataset_builders.task import Question, Seeded, load_task
from dataset_builders.tasks._aspects import aspects, fitting, keyphrase, kin, phrases
from spine.prompts import user_prompt, wordings
from tests.dataset_builders.raw_files import write_jsonl
from tests.dataset_builders.review_rows import SHOP_TYPES, asked, kind_of, metas, of_rows, product, review


def retrieved(question: Question) -> list[str]:
    assert not isinstance(question.truth, int | str)
    return [question.fields["items"][int(place) - 1] for place in question.truth]


def shop_aspects() -> dict[str, Aspect]:
    return {aspect.name: aspect for kind in catalogue().types for aspect in kind.aspects}


def test_the_lexicon_tells_what_the_shops_reviews_say() -> None:
    for name, aspect in shop_aspects().items():
        for verdict, sentences in ((1, aspect.good), (-1, aspect.bad)):
            for sentence in sentences:
                assert [(phrase.about, phrase.verdict) for phrase in phrases(sentence)] == [((name,), verdict)], (
                    sentence
                )
    for kind in catalogue().types:
        assert not [phrase for texts in kind.openers for text in texts for phrase in phrases(text) if phrase.about]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Very soft, and it is well made!", [("Very soft", "softness", 1), ("well made", "quality", 1)]),
        ("The sound is great but the battery died", [("sound is great", "sound quality", 1)]),
        ("It’s not comfortable (wish I knew).", [("not comfortable", "comfort", -1)]),
        ("It smells like nothing I know", [("smells like nothing I know", "smell", 0)]),
        ("Only the strap is nice", [("Only the strap is nice", "straps", 0)]),
        ("It costs 2.50, a bargain at 9:30", [("bargain at 9:30", "value for money", 0)]),
        ("It runs small and was overpriced", [("runs small and was overpriced", "size", -1)]),
        ("Like a glove, as pictured. It sounds like a plan.", []),
        ("It weighs 2 lbs", [("weighs 2 lbs", "weight", 0)]),
    ],
)
def test_the_lexicon_leaves_open_what_it_cannot_tell(text: str, found: list[tuple[str, str, int]]) -> None:
    told = [(phrase.text, *phrase.about, phrase.verdict) for phrase in phrases(text) if len(phrase.about) == 1]
    assert set(found) <= set(told)
    assert all(phrase.text in text for phrase in phrases(text))


@pytest.mark.parametrize(
    "text", ["not work out pants", "I am 5'4, weight 130lbs", "I weigh 59 kg", "I carry all my weight in front"]
)
def test_what_is_said_of_the_writer_is_on_no_aspect(text: str) -> None:
    assert not any(phrase.about for phrase in phrases(text))


def test_kin_is_mutual() -> None:
    assert all(aspect in kin(other) for aspect in aspects() for other in kin(aspect))
    assert set(shop_aspects()) <= set(aspects())


def said(text: str) -> dict[str, list[str]]:
    """What a review of the shop says on which aspect."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for name, aspect in shop_aspects().items():
        found[name] += [sentence for sentence in (*aspect.good, *aspect.bad) if sentence in text]
    for name, fact in (("delivery", "Delivery took"), ("size", "stated size is off"), ("color", " one from")):
        found[name] += [sentence for sentence in text.split(".") if fact in sentence and "plain" not in sentence]
    return {name: sentences for name, sentences in found.items() if sentences}


def test_snippets_are_on_the_aspect_with_the_sentiment(shop: Path) -> None:
    for question in asked("review_snippet_selection", shop):
        aspect, blames = shop_aspects()[question.fields["aspect"]], question.fields["sentiment"] == "negative"
        sentences = " ".join(aspect.bad if blames else aspect.good)
        fitting = {item for item in question.fields["items"] if item in sentences}
        if aspect.name == "size" and blames:
            fitting |= {item for item in question.fields["items"] if item.startswith("stated size is off")}
        assert set(retrieved(question)) == fitting and len(fitting) == 3 and len(question.fields["items"]) == 15
        close = [other for name, other in shop_aspects().items() if name in kin(aspect.name) - {aspect.name}]
        texts = [sentence for other in close for sentence in (*other.good, *other.bad)]
        assert not [item for item in question.fields["items"] for text in texts if item in text]
        assert kind_of(question).path[-1] == question.fields["product_type"]


@pytest.mark.parametrize(
    ("text", "aspect", "touched"),
    [
        ("for under $20 I'm pleased with the length", "value for money", True),
        ("the length is worth 20 dollars", "value for money", True),
        ("the length is 20 inches", "value for money", False),
        ("the pockets come in handy", "ease of use", False),
        ("it is handy, the pockets are deep", "ease of use", True),
        ("it is a midsize bag with pockets", "size", True),
        ("they have buttons", "buttons", True),
        ("I hit the order button", "buttons", False),
    ],
)
def test_what_a_clause_touches(text: str, aspect: str, touched: bool) -> None:
    assert any(aspect in phrase.touched for phrase in phrases(text)) is touched


def test_a_snippet_needs_the_stars_on_its_side(tmp_path: Path) -> None:
    products = [product(number, leaf="Rugs") for number in range(120)]
    texts = [
        "It is very soft.",
        "So soft!",
        "The price is great.",
        "Great price.",
        "It smells great.",
        "It is too small.",
    ]
    texts += ["Love the color.", "It is well made.", "Fast shipping.", "It broke.", "It stinks.", "The color is ugly."]
    texts += ["The price is a waste.", "Cute.", "It is too big.", "Nice packaging.", "It is ugly.", "Easy to clean."]
    reviews = [
        review(number, f"{texts[number % 18]} Silky.", 5 if number % 18 in (0, 1, 2, 3, 4, 6, 7, 8, 13, 15, 17) else 1)
        for number in range(120)
    ]
    made = of_rows(tmp_path, "review_snippet_selection", products, reviews)
    praised = {"very soft", "So soft", "Silky"}
    soft = [question for question in made if question.fields["aspect"] == "softness"]
    assert soft and all(question.fields["sentiment"] == "positive" for question in soft)
    assert all(set(retrieved(question)) == praised for question in soft)


def test_a_keyphrase_is_the_only_one_on_its_aspect(shop: Path) -> None:
    made = asked("review_aspect_keyphrase", shop)
    for question in made:
        text, aspect, phrase = question.fields["review"], question.fields["aspect"], str(question.truth)
        assert text.count(phrase) == 1 and 1 <= len(phrase.split()) <= 8
        [sentence] = said(text)[aspect]
        assert phrase in sentence
    assert len({question.fields["aspect"] for question in made}) > 20


def test_a_keyphrase_among_close_ones_is_not_asked(tmp_path: Path) -> None:
    texts = [
        "So soft and great. <br/>The price is great.",
        "Great price. The price is not what I saw.",
        "It is so soft, so comfy.",
    ]
    reviews = [review(1, f"{text} I have had it for three weeks.") for text in texts]
    made = of_rows(tmp_path, "review_aspect_keyphrase", [product(1)], reviews)
    assert {(question.fields["aspect"], question.truth) for question in made} <= {
        ("softness", "So soft and great"),
        ("value for money", "price is great"),
    }
    assert len(made) == 1 and "<br" not in made[0].fields["review"]


def test_selected_aspects_are_covered_and_others_are_not(shop: Path) -> None:
    made = asked("review_aspect_selection", shop)
    for question in made:
        covered, right = said(question.fields["review"]), retrieved(question)
        assert len(question.fields["items"]) == 10 and len(right) == 3
        assert set(right) <= covered.keys()
        others = set(question.fields["items"]) - set(right)
        assert not others & {near for aspect in covered for near in kin(aspect)}


# --- as reviews are written ---


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("It is not soft, or even comfortable for that matter.", 0),
        ("Nobody could call it sturdy or nice. Or comfortable.", 0),
        ('Hardly what I would call "comfortable".', 0),
        ("Is it comfortable?", 0),
        ("It looks/feels comfortable", 0),
        ("It isn't cheap but it is comfortable", 1),
        ("I do not mind the price. Very comfortable.", 1),
        ("No regrets\nComfortable", 1),
    ],
)
def test_a_denial_reaches_to_the_end_of_its_sentence(text: str, verdict: int) -> None:
    assert [phrase.verdict for phrase in phrases(text) if phrase.about == ("comfort",)] == [verdict]


@pytest.mark.parametrize(
    ("sentence", "short"),
    [
        ("We both felt like the coat was well made", "well made"),
        ("The thick lining makes it very warm", "very warm"),
        ("It is a cute shirt and everyone at work likes my son in it", "cute shirt"),
        ("The design is nice", "design is nice"),
        ("So a very good size", "very good size"),
    ],
)
def test_a_keyphrase_is_no_whole_sentence(sentence: str, short: str) -> None:
    (phrase,) = (phrase for phrase in phrases(sentence) if phrase.verdict)
    assert keyphrase(phrase) == short


def test_an_aspect_fits_the_type() -> None:
    for kind in catalogue().types:
        assert {aspect.name for aspect in kind.aspects} <= fitting(kind.category, kind.path[-1])
    watch, shirt, beanie = (fitting("Amazon_Fashion", type) for type in ("Wrist Watches", "T-Shirts", "Beanies"))
    assert "heat retention" in beanie - watch - shirt and "moisture" not in shirt | watch | beanie
    assert "moisture" in fitting("All_Beauty", "Sets") and "taste" in fitting("Home_and_Kitchen", "Loose Leaf Teas")
    assert {"size", "quality", "value for money", "comfort"} <= watch & shirt & beanie


@pytest.mark.parametrize("name", ["review_aspect_keyphrase", "review_aspect_selection", "review_snippet_selection"])
def test_what_does_not_fit_is_not_asked(name: str, tmp_path: Path) -> None:
    said = "The ends are sharp. Very warm. Love the colors. Fits well. Great price. So comfortable."
    reviews = [review(number, f"{said} Number {'x' * number}.") for number in range(8) for _ in range(3)]
    made = of_rows(tmp_path, name, [product(number, leaf="Wrist Watches") for number in range(8)], reviews)
    asked_for = {question.fields.get("aspect") for question in made}
    asked_for |= {aspect for question in made if name == "review_aspect_selection" for aspect in retrieved(question)}
    assert not asked_for & {"sharpness", "heat retention"}
    assert made or name == "review_snippet_selection"


def test_stars_are_asked_alike_and_never_told(tmp_path: Path) -> None:
    stars = [5] * 60 + [4] * 20 + [3] * 12 + [2] * 6 + [1] * 8
    rows = [
        review(number, f"The {chr(97 + number % 26)} part of this one does what I want number{number}.", rating)
        for number, rating in enumerate(stars * 3)
    ]
    told = [review(1, "It works, I think, as it should do.", rating) | {"title": "Two Stars"} for rating in (1, 2)]
    short = [review(2, "Nice", 2), review(3, "", 1)]
    folder = tmp_path / "amazon_reviews/raw"
    write_jsonl(folder / "review_categories/Home.jsonl", [*told, *short, *rows])
    write_jsonl(folder / "meta_categories/meta_Home.jsonl", [])
    raw = RawData(tmp_path)
    made = list(load_task("review_rating").build(raw, Seeded(0, "review_rating")))
    counts = Counter(question.truth for question in made)
    assert set(counts) == {1, 2, 3, 4, 5} and max(counts.values()) - min(counts.values()) <= 1
    assert raw.lacking["its text tells the stars"] == 2 and raw.lacking["too few words to tell the stars"] == 1
    assert len(made) + sum(raw.lacking.values()) == len(rows) + len(told) + len(short) - 1  # one has no text


def test_a_rating_names_the_type_of_product_where_it_is_known(tmp_path: Path) -> None:
    said = [review(number, f"The {number}th of them does what I want of it.", 4 + number) for number in range(2)]
    typed, untyped = of_rows(tmp_path, "review_rating", [product(0, leaf="Wrist Watches")], said)
    assert typed.fields["product_type"] == "Wrist Watches" and "product_type" not in untyped.fields
    for wording in wordings("review_rating"):
        assert "Wrist Watches" in user_prompt("review_rating", wording, typed.fields)
        plain = user_prompt("review_rating", wording, untyped.fields)
        assert "of the type" not in plain and "Product type" not in plain and "()" not in plain


def test_wrong_reviews_are_of_the_same_side(shop: Path) -> None:
    made = asked("review_for_product", shop)
    assert all(1 <= len(question.also) <= 3 for question in made)
    assert {held_out(question.entity) for question in made} == {True, False}


@pytest.mark.parametrize("name", ["product_category", "review_rating", "review_helpfulness_ranking"])
def test_products_go_by_their_id_alone(name: str, shop: Path) -> None:
    known = {f"product:{row['parent_asin']}" for row in metas(shop)}
    assert {question.entity for question in asked(name, shop)} <= known


# --- what a customer likes ---


def ranked_first(question: Question) -> set[str]:
    assert isinstance(question.truth, list) and sum(map(float, question.truth)) == question.fields["liked"]
    return {item for item, weight in zip(question.fields["items"], question.truth, strict=True) if weight}


def test_customers_like_what_is_like_their_purchase(shop: Path) -> None:
    titles = {row["parent_asin"]: row["title"] for row in metas(shop)}
    made = list(load_task("liked_titles").build(RawData(shop), Seeded(0, "liked_titles")))
    for question in made:
        ids = [entity.removeprefix("product:") for entity in question.also]
        bought, *listed = (SHOP_TYPES[id] for id in ids)
        assert [titles[id] for id in ids] == [question.fields["title"], *question.fields["items"]]
        for kind, weight in zip(listed, question.truth, strict=True):  # type: ignore[arg-type]
            near = kind is bought or kind.index in bought.goes_with or bought.index in kind.goes_with
            assert near if weight else kind.path[:-1] != bought.path[:-1]
    assert len(made) > 10


def test_only_likes_count_and_nothing_that_says_too_little(tmp_path: Path) -> None:
    leaves = ["Lamps", "Mugs", "Pots", "Rugs", "Beds", "Nails", "Ropes"]
    rows = [product(number, f"Thing{chr(97 + number)} of stock", ("Home", f"H{number}", leaf)) for number, leaf in
            enumerate(leaves)]  # fmt: skip
    rows += [product(10, "Oak lantern, green", ("Garden", "Light", "Lanterns"))]
    rows += [product(11, "Steel lantern, green", ("Garden", "Light", "Lanterns")), product(12, "Lantern")]
    rows += [product(13, "Green pillow for a child", ("Home", "Living", "Pillows"))]
    others = [review(number, user=f"Other {number}") for number in range(7)]
    own = [(10, 5, "A"), (12, 5, "A"), (13, 5, "A"), (11, 4, "A"), (10, 3, "B"), (11, 5, "B"), (10, 5, ""), (11, 5, "")]
    reviews = [*others, *(review(number, rating=stars, user=user) for number, stars, user in own)]
    (question,) = built(tmp_path, "liked_titles", rows, reviews)
    assert question.fields["title"] == "Steel lantern, green" and question.entity == "customer:A"
    assert ranked_first(question) == {"Oak lantern, green"} and "Lantern" not in question.fields["items"]
    assert "Green pillow for a child" not in question.fields["items"], "the customer liked it, but nobody could tell"


def test_one_word_in_common_tells_no_liking(tmp_path: Path) -> None:
    rows = [product(number, f"Thing{chr(97 + number)} of stock", (f"H{number}", "Leaf")) for number in range(7)]
    rows += [product(10, "Classic brass lantern", ("A", "B")), product(11, "Classic wool socks", ("C", "D"))]
    rows += [product(12, "Brass lantern with handle", ("E", "F"))]
    others = [review(number, user=f"Other {number}") for number in range(7)]
    own = [review(number, user=user) for user, number in (("A", 11), ("A", 10), ("B", 12), ("B", 10))]
    made = built(tmp_path, "liked_titles", rows, [*others, *own])
    assert [question.entity for question in made] == ["customer:B"]


def test_a_review_is_told_by_what_names_its_product(tmp_path: Path) -> None:
    texts = {1: "This large blue thing came on time and my sister likes it very much.",
             2: "The kettles that I had before took twice as long to boil."}  # fmt: skip
    named = {
        1: "Large blue lantern",
        2: "Steel kettle",
        **{n: f"Oak {chr(97 + n)}tray{chr(97 + n)}" for n in range(3, 9)},
    }
    told = [review(number, f"The {title.split()[1]} is what I had hoped for, and it came at once.")
            for number, title in named.items() if number > 2]  # fmt: skip
    reviews = [*told, *(review(number, text) for number, text in texts.items())]
    made = of_rows(tmp_path, "review_for_product", [product(number, title) for number, title in named.items()], reviews)
    assert "Large blue lantern" not in {question.fields["title"] for question in made}
    assert texts[1] not in {option for question in made for option in question.fields["options"]}


def built(folder: Path, name: str, products: list[Any], reviews: list[Any]) -> list[Question]:
    write_jsonl(folder / "amazon_reviews/raw/review_categories/Home.jsonl", reviews)
    write_jsonl(folder / "amazon_reviews/raw/meta_categories/meta_Home.jsonl", products)
    return list(load_task(name).build(RawData(folder), Seeded(0, name)))
