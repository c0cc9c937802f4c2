"""Tasks on Amazon-M2: sessions, descriptions across languages, types, names of products."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest

from dataset_builders.held_out import held_out
from dataset_builders.raw import RawData
from dataset_builders.sample_shop.catalogue import ProductType, catalogue
from dataset_builders.sources.amazon_m2 import Product
from dataset_builders.task import Question
from dataset_builders.tasks import _sessions
from dataset_builders.tasks._queries import queries
from tests.dataset_builders.builds import built
from tests.dataset_builders.raw_files import read_csv, write_csv
from tests.dataset_builders.review_rows import SHOP_TYPES

PRODUCT = ("id", "locale", "title", "price", "brand", "color", "size", "model", "material", "author", "desc")


def products(raw: Path) -> list[dict[str, str]]:
    header, *rows = read_csv(raw / "amazon_m2/products_train.csv")
    return [dict(zip(header, row, strict=True)) for row in rows]


def chosen(question: Question) -> list[str]:
    """The right ones of a retrieval's items."""
    assert isinstance(question.truth, list)
    return [question.fields["items"][int(at) - 1] for at in question.truth]


def listing(id: str, locale: str, title: str, **columns: Any) -> list[Any]:
    return [{"id": id, "locale": locale, "title": title, **columns}.get(name, "") for name in PRODUCT]


def asked(folder: Path, name: str, *rows: list[Any]) -> list[Question]:
    write_csv(folder / "amazon_m2/products_train.csv", [PRODUCT, *rows])
    return list(built.__wrapped__(name, folder))


# --- sessions ---


@pytest.mark.parametrize("share", [0.05, 0.4])
def test_a_session_keeps_to_its_side(shop: Path, monkeypatch: pytest.MonkeyPatch, share: float) -> None:
    """Training sessions show nothing that is held out; what they are about is in ``also``, and every product once."""
    monkeypatch.setattr("dataset_builders.held_out.SHARE", share)
    for name in ("co_purchase", "next_query"):
        questions = built.__wrapped__(name, shop)
        sides = Counter(held_out(question.entity) for question in questions)
        assert sides[False] > 10 and sides[True], (name, sides)
        for question in questions:
            assert question.entity.startswith("session:") and len(set(question.also)) == len(question.also)
            assert held_out(question.entity) or not any(map(held_out, question.also))


def test_right_products_are_of_the_session_and_wrong_ones_are_not(shop: Path) -> None:
    sold = {(row["locale"], row["id"]): row["title"] for row in products(shop)}
    titles: dict[str, set[str]] = defaultdict(set)
    for (_, id), title in sold.items():
        titles[id].add(title)
    sessions = defaultdict(list)
    for items, after, locale in read_csv(shop / "amazon_m2/sessions_train.csv")[1:]:
        sessions[after].append({sold[locale, item] for item in [*re.findall(r"'(\w+)'", items), after]})
    for question in built("co_purchase", shop):
        items = question.fields["items"]
        right = set(chosen(question))
        assert len(question.also) == 16
        after, *listed = (name.removeprefix("product:") for name in question.also)
        assert all(title in titles[id] for id, title in zip(listed, items, strict=True))
        wrong = set(items) - right
        assert any(right <= seen and not wrong & seen for seen in sessions[after])


def test_the_sample_does_not_depend_on_the_order_of_the_file(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_sessions, "_MOST", 40)
    header, *rows = read_csv(shop / "amazon_m2/sessions_train.csv")
    write_csv(tmp_path / "amazon_m2/sessions_train.csv", [header, *reversed(rows)])
    sample = _sessions.visits(RawData(shop))
    assert 20 < len(sample) <= 40 and sample == _sessions.visits(RawData(tmp_path))
    kept = _sessions.known(RawData(shop), sample[:1], lambda row: row.title)
    assert set(kept) <= {(sample[0].locale, item) for item in (*sample[0].seen, sample[0].next)}


@pytest.mark.parametrize(
    ("locale", "title", "columns", "kind"),
    [
        ("UK", "Aldwick Oak Bread Board, Large", {"brand": "Aldwick"}, "oak bread board"),
        ("UK", "Aldwick Oak Bread Board with Handle", {"brand": "Aldwick", "material": "Oak"}, "bread board"),
        ("UK", "[2 Pack] ALDWICK USB Cable 3m - Black", {"brand": "Aldwick"}, "usb cable"),
        ("DE", "Aldwick Brotbrett aus Eiche, groß", {"brand": "Aldwick"}, "brotbrett"),
        ("FR", "Aldwick Planche à découper en chêne", {"brand": "Aldwick"}, "planche à découper"),
        ("ES", "Aldwick Tabla de cortar de roble", {"brand": "Aldwick"}, "tabla de cortar"),
        ("ES", "Aldwick Sartén de hierro, 28 cm", {"brand": "Aldwick", "material": "Hierro"}, "sartén"),
        ("IT", "Set 3 Tappetino da yoga, blu", {}, "tappetino da yoga"),
        ("JP", "Aldwick まな板 木製 L", {"brand": "Aldwick"}, "まな板"),
        ("UK", "Aldwick Headset Black with Red Wire", {"brand": "Aldwick"}, "headset"),
        ("UK", "Aldwick Tripod Adapter Compatible with Lorvik 7", {"brand": "Aldwick"}, "tripod adapter"),
        ("UK", "AW-12 (2023)", {}, None),
    ],
)
def test_the_kind_of_a_product(locale: str, title: str, columns: dict[str, str], kind: str | None) -> None:
    row = Product(**dict.fromkeys(PRODUCT, "") | {"locale": locale, "title": title, "price": None} | columns)  # type: ignore[arg-type]
    found = queries(row)
    assert (found.kind if found else None) == kind
    assert not found or all(
        found.kind in text and text == text.lower() and len(text.split()) <= 5 for text in found.texts
    )


def test_one_query_leads_to_the_next_product_and_to_no_other_of_the_session(shop: Path) -> None:
    sold: dict[str, set[str]] = defaultdict(set)
    for row in products(shop):
        sold[row["id"]].add(" ".join((row["title"], row["author"], row["brand"])).lower())
    made, did = built("next_query", shop), Counter[str]()
    for question in made:
        fields, after = question.fields, question.also[0].removeprefix("product:")
        (right,) = chosen(question)
        clicks = [text for what, text in fields["actions"] if what == "click"]
        did.update(what for what, _ in fields["actions"])
        assert len(fields["items"]) == 10 and 2 <= len(clicks) <= 6 and ["query", right] not in fields["actions"]
        assert {text for what, text in fields["actions"] if what == "purchase"} <= {*clicks}
        text = next(text for text in sorted(sold[after]) if all(word in text for word in right.split()))
        clicked = " ".join((text, *clicks)).lower()
        for query in set(fields["items"]) - {right}:
            assert len(query.split()) <= 5 and not all(word in clicked for word in query.split()), (query, clicked)
    assert len(made) > 50 and min(did[what] for what in ("query", "click", "purchase")) > 10


# --- the same product in another language ---


def test_one_description_is_of_the_product_and_no_other(shop: Path) -> None:
    described: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for row in products(shop):
        described[row["desc"]].add((row["id"], row["locale"]))
    questions = built("multilingual_description", shop)
    assert len(questions) > 30
    mixed = Counter[int]()
    for question in questions:
        product, options = question.entity.removeprefix("product:"), question.fields["options"]
        assert isinstance(question.truth, int)
        (site,) = {locale for id, locale in described[question.fields["description"]] if id == product}
        of_product = [
            bool({(id, at) for id, at in described[text] if id == product and at != site}) for text in options
        ]
        assert of_product == [at == question.truth for at in range(4)]
        sites = [{locale for _, locale in described[text]} for text in options]
        assert all(site not in found for found in sites)
        mixed[sum(found == sites[question.truth] for found in sites) - 1] += 1
        assert len(set(question.also)) == 3 and {held_out(name) for name in question.also} == {
            held_out(question.entity)
        }
    assert len(mixed) > 2, "wrong ones in the same and in other languages"


@pytest.mark.parametrize(
    ("locale", "title", "desc"),
    [
        ("DE", "Brotbrett aus Eiche, Farbe {}", "Brett aus Eiche, zweimal von Hand geölt, Farbe {}"),
        (
            "JP",
            "オーク{}色まな板",
            "オーク材の{}色まな板で手作業で二度オイルを塗りました",
        ),  # one word, for what it is worth
    ],
    ids=["German", "Japanese"],
)
def test_a_variant_of_the_product_is_no_wrong_choice(tmp_path: Path, locale: str, title: str, desc: str) -> None:
    """Fifty variants of one product and nothing else: there is nothing to ask."""
    rows = []
    for at in map(chr, range(ord("ア"), ord("ア") + 50)):
        english = f"Solid oak board for bread, oiled twice, colour {at}"
        rows.append(listing(f"B{at}", "UK", f"Oak Bread Board, colour {at}", brand="Aldwick", desc=english))
        columns = {"brand": "Aldwick", "desc": desc.format(at)}
        rows.append(listing(f"B{at}", locale, title.format(at), **columns))
    assert asked(tmp_path, "multilingual_description", *rows) == []


def test_a_text_left_in_its_language_is_no_translation(tmp_path: Path) -> None:
    rows = []
    for at in range(40):
        thing = f"{chr(65 + at % 26)}{chr(97 + at // 26)}lmon"
        english = f"{thing}wood of {thing}land with {thing}oil for kitchens"
        texts = {"UK": english, "DE": f"{english}!"}
        rows += [listing(f"B{at}", site, thing, brand=thing, desc=text) for site, text in texts.items()]
    assert asked(tmp_path, "multilingual_description", *rows) == []


# --- types, for which there is no column ---


def shop_type(question: Question) -> ProductType:
    return SHOP_TYPES[question.entity.removeprefix("product:")]


def test_a_listing_explains_its_type_and_does_not_show_the_answer(shop: Path) -> None:
    questions = built("listed_type_explanation", shop)
    assert len({question.fields["product_type"] for question in questions}) > 15
    for question in questions:
        kind, fields = shop_type(question), question.fields
        assert question.truth == kind.about and fields["product_type"].lower() == kind.name.lower()
        assert kind.name.lower() in fields["title"].lower()
        assert kind.about not in fields["description"]
    assert any(question.fields["description"] for question in questions)


def test_only_an_english_definition_explains(tmp_path: Path) -> None:
    about = "A bread board is a flat piece of wood on which bread is cut."
    rows = [
        listing("B1", "UK", "Aldwick Oak Bread Board, Large", brand="Aldwick", desc=f"Oiled.<br>{about}"),
        listing("B2", "UK", "Aldwick Oak Bread Board, Small", brand="Aldwick", desc="A bread board is a great gift."),
        listing("B3", "UK", "Aldwick Kettle", brand="Aldwick", desc=about),
        listing("B1", "DE", "Aldwick Bread Board", brand="Aldwick", desc=about),
    ]
    one, other = asked(tmp_path, "listed_type_explanation", *rows)
    assert one.truth == other.truth == about and one.fields["product_type"] == "bread board"
    assert [one.fields["description"], other.fields["description"]] == ["Oiled.", "A bread board is a great gift."]
    assert asked(tmp_path, "listed_type_explanation", *rows[1:]) == []


def test_no_other_category_has_such_a_product(whole_shop: Path) -> None:
    questions = built("attribute_to_category", whole_shop)
    assert len({question.fields["options"][question.truth] for question in questions}) > 10
    clear = 0
    for question in questions:
        options, material = question.fields["options"], question.fields["attributes"][0].removeprefix("material: ")
        kinds = [next(kind for kind in catalogue().types if kind.name.lower().startswith(name)) for name in options]
        able = [any(word[0] == material for word in kind.materials) for kind in kinds]
        assert able[question.truth] and kinds[question.truth] is shop_type(question)
        clear += sum(able) == 1
    assert clear > 0.95 * len(questions), "seven sightings, as there are of most types here, are nearly a proof"


def test_a_name_that_one_brand_uses_is_no_category(tmp_path: Path) -> None:
    rows = []
    for at, (thing, material) in enumerate(
        [("Kettle", "Steel"), ("Carpet", "Wool"), ("Teapot", "Clay"), ("Zippo", "Brass")] * 30
    ):
        brand = f"Maker{chr(97 + at // 4 % 5)}"
        columns = {"brand": "One" if thing == "Zippo" else brand, "material": material}
        rows.append(listing(f"B{at}", "UK", f"{columns['brand']} {thing}, Large", **columns))
    named = {
        name for question in asked(tmp_path, "attribute_to_category", *rows) for name in question.fields["options"]
    }
    assert named == set(), "three categories are not enough"
    more = [
        listing(f"C{at}", "UK", f"Maker{at % 3} Sofa", brand=f"Maker{at % 3}", material="Felted") for at in range(30)
    ]
    made = asked(tmp_path, "attribute_to_category", *rows, *more)
    assert {name for question in made for name in question.fields["options"]} == {"kettle", "carpet", "teapot", "sofa"}


# --- names of products ---


def test_products_are_the_same_on_every_site(shop: Path) -> None:
    ids = {row["id"] for row in products(shop)}
    for name in ("product_entities", "multilingual_title", "quantity_reasoning", "multilingual_description"):
        entities = {question.entity for question in built(name, shop)}
        assert entities and {entity.removeprefix("product:") for entity in entities} <= ids, name


def test_running_text_is_no_title(tmp_path: Path) -> None:
    said = "Although most agencies take on bookings, many of them specialise in types of travel."
    rows = [listing("B0A", "UK", said), listing("B0A", "DE", "Obwohl die meisten Agenturen Buchungen annehmen.")]
    rows += [listing("B0B", "UK", "Oak Bread Board for the Kitchen, Oiled by Hand."), listing("B0B", "DE", "Brotbrett")]
    assert [question.truth for question in asked(tmp_path, "multilingual_title", *rows)] == ["Brotbrett"]


def test_half_of_a_range_is_no_size(tmp_path: Path) -> None:
    rows = [
        listing("B0A", "UK", "Canvas Slip On 31 - 35", size="35"),
        listing("B0B", "UK", "Canvas Slip On 35", size="35"),
        listing("B0C", "UK", "Duvet 135x200 - 35 tog", size="35 tog"),
        listing("B0D", "UK", "Copper", color="Copper"),  # nor is a title that is nothing else asked about
    ]
    assert [question.truth for question in asked(tmp_path, "product_entities", *rows)] == [["35"]]


def test_the_brand_of_what_a_product_is_for_is_not_its_own(tmp_path: Path) -> None:
    rows = [
        listing("B0A", "UK", "Leather Case for Lorvik Tab 4", brand="Lorvik"),
        listing("B0B", "DE", "Lederhülle für Lorvik Tab 4", brand="Lorvik"),
        listing("B0C", "UK", "Lorvik Leather Case for Tab 4", brand="Lorvik"),
    ]
    assert [question.entity for question in asked(tmp_path, "product_entities", *rows)] == ["product:B0C"]
