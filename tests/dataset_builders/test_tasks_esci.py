"""The datasets made of ESCI: what is asked follows from judgements, columns and words, also in messy rows."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from dataset_builders.held_out import held_out
from dataset_builders.raw import RawData
from dataset_builders.sample_shop.catalogue import EN, ES, ProductType, catalogue
from dataset_builders.sources import esci
from dataset_builders.task import Question, Seeded, load_task
from dataset_builders.tasks._lexicon import MATERIAL, is_color
from tests.dataset_builders.raw_files import write_parquet

TASKS = (
    *("bullet_summary", "multilingual_keywords", "product_attribute", "product_query_ranking", "query_entities"),
    *("query_product_ranking", "query_relation", "title_from_description"),
)
_SHORT = [name for name in esci.Product._fields if name not in ("id", "locale")]
Asked = dict[tuple[str, str], list[str]]


@cache
def asked(name: str, folder: Path) -> list[Question]:
    return list(load_task(name).build(RawData(folder), Seeded(0, name)))


@cache
def labels(shop: Path) -> dict[tuple[str, str], str]:
    """(product, query) -> label of the training split."""
    rows = (row for row in esci.examples(RawData(shop)) if row.split == "train")
    return {(row.product_id, row.query.lower()): row.label for row in rows}


@cache
def products(shop: Path) -> dict[str, esci.Product]:
    return {row.id: row for row in esci.products(RawData(shop))}


def kind_of(text: str) -> ProductType:
    """The type of product that an English query or title of the shop names."""
    named = [kind for kind in catalogue().types if re.search(rf"\b{kind.names[EN]}\b", text, re.IGNORECASE)]
    return max(named, key=lambda kind: len(kind.names[EN]))


def judge(
    folder: Path, rows: Iterable[tuple[str, str, str]], columns: Mapping[str, Mapping[str, str]], locale: str = "us"
) -> Path:
    """Writes ESCI's two files: rows of (query, product, label), and columns of products by their short names."""
    rows = list(rows)
    queries = list(dict.fromkeys(query for query, _, _ in rows))
    base = {"product_locale": locale, "split": "train", "small_version": 1, "large_version": 1}
    examples = [
        base
        | {"example_id": at, "query": query, "query_id": queries.index(query), "product_id": id, "esci_label": label}
        for at, (query, id, label) in enumerate(sorted(rows, key=lambda row: queries.index(row[0])))
    ]
    write_parquet(folder / "esci/shopping_queries_dataset_examples.parquet", examples)
    things: list[dict[str, Any]] = [
        {"product_id": id, "product_locale": locale}
        | {f"product_{name}": columns.get(name, {}).get(id) for name in _SHORT}
        for id in dict.fromkeys([id for _, id, _ in rows] + [id for column in columns.values() for id in column])
    ]
    write_parquet(folder / "esci/shopping_queries_dataset_products.parquet", things)
    return folder


# --- All of them ---


@pytest.mark.parametrize("name", TASKS)
def test_entities_name_what_is_shown_and_training_shows_nothing_held_out(name: str, shop: Path) -> None:
    texts = {f"product:{id}" for id in products(shop)} | {f"query:{query}" for _, query in labels(shop)}
    for question in asked(name, shop):
        assert {question.entity, *question.also} <= texts
        assert held_out(question.entity) or not any(map(held_out, question.also))
        for item in question.fields.get("items", ()):
            named = {f"product:{id}" for id, row in products(shop).items() if row.title == item}
            assert {f"query:{item}", *named} & {*question.also}


# --- query_entities ---


def test_entities_of_the_shop_are_what_its_catalogue_calls_them(shop: Path) -> None:
    shelf, seen = catalogue(), Counter[str]()
    words = {
        "brand": {brand.lower() for brand in shelf.brands},
        "color": {color[lang].lower() for kind in shelf.types for color in kind.colors for lang in (EN, ES)},
        "material": {word[lang].lower() for kind in shelf.types for word in kind.materials for lang in (EN, ES)},
        "product type": {kind.names[lang].lower() for kind in shelf.types for lang in (EN, ES)},
    }
    for question in asked("query_entities", shop):
        name, query = question.fields["entity_type"], question.fields["query"]
        assert isinstance(question.truth, list)
        (phrase,) = question.truth
        assert f" {phrase} " in f" {query} " and phrase in words[name]
        seen[name] += 1
    assert set(seen) == set(words) and min(seen.values()) >= 10


@pytest.fixture(scope="module")
def messy(tmp_path_factory: pytest.TempPathFactory) -> Asked:
    """(query, entity type) -> phrases, on queries as people type them."""
    brand = {f"n{at}": "Nikka" for at in range(4)} | {"a1": "Addo", "a2": "Addo", "p": "Pum", "bd": "Black Diamond"}
    brand |= {"w1": "Appel", "w2": "Strappy", "w3": "Bandito", "w4": "Wristy"}
    color = {"n0": "Black/White", "n1": "black", "a1": "Black", "a2": "Navy Blue", "p": "2 Pack", "bd": "Black"}
    title = {f"n{at}": "Nikka Air Max Shoes, New" for at in range(4)}
    title |= {"a1": "Addo Shoes", "a2": "Addo Leather Shoes (blue)", "p": "Pum Shoes", "bd": "Headlamp"}
    title |= {f"w{at}": "Watch Band for Appel" for at in range(1, 5)}
    rows = {
        "Shoes": "n0 n1 a1 a2 p",
        "black Nikka shoes": "n0 n1",
        "black and white shoes": "n0",
        "nikka air max": "n0 n1 n2 n3",
        "black air max": "n0 n1 n2 n3",
        "navy blue shoes": "a2",
        "dark blue shoes": "a2",
        "leather shoes": "a2 p",
        "leather cleaner": "a2",
        "black diamond headlamp": "bd",
        "black diamond lantern": "bd n1 a1 w1 w2",
        "appel watch band": "w1 w2 w3 w4",
        "addo shoes": "a1 a2",
        "nikka shoes addo": "n0 n1 n2 n3",
        "shoes, black": "n0 a1",
        "2 pack shoes": "p",
    }
    judged = [(query, id, "E") for query, ids in rows.items() for id in ids.split()]
    # What is only a substitute proves nothing.
    judged += [("red hat", "n0", "S")]
    folder = judge(tmp_path_factory.mktemp("messy"), judged, {"brand": brand, "color": color, "title": title})
    return {
        (question.fields["query"], question.fields["entity_type"]): list(question.truth)  # type: ignore[arg-type]
        for question in asked("query_entities", folder)
    }


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("black Nikka shoes", {"brand": ["Nikka"], "color": ["black"], "product type": ["shoes"]}),
        ("black and white shoes", {"color": ["black", "white"]}),
        ("addo shoes", {"brand": ["addo"], "product type": ["shoes"]}),
        ("nikka air max", {"brand": ["nikka"]}),  # a model of one brand is no type
        ("black air max", {"color": ["black"]}),
        ("navy blue shoes", {"color": ["navy blue"]}),
        ("dark blue shoes", {}),  # none of its products is dark blue
        ("leather shoes", {"material": ["leather"], "product type": ["shoes"]}),
        ("leather cleaner", {}),
        ("black diamond headlamp", {"brand": ["black diamond"]}),
        ("black diamond lantern", {}),  # a brand or a colour, who knows
        ("appel watch band", {}),  # the brand of few of its products
        ("nikka shoes addo", {}),  # two brands
        ("shoes, black", {}),
        ("2 pack shoes", {}),
        ("red hat", {}),
        ("Shoes", {}),
    ],
)
def test_entities_of_messy_queries(query: str, found: dict[str, list[str]], messy: Asked) -> None:
    assert {name: phrases for (text, name), phrases in messy.items() if text == query} == found


def test_colours_and_materials_are_no_other_things() -> None:
    assert all(map(is_color, ("Black", "dark blue", "Rose Gold", "azul marino")))
    assert not any(map(is_color, ("", "2 Pack", "Black Leather", "Large", "Light", "Black/White", "Orange Flavour")))
    assert MATERIAL.findall("red stainless steel wine glass") == ["stainless steel"]
    assert MATERIAL.findall("glass jar of cast iron") == ["glass", "cast iron"]


# --- product_attribute ---


def test_attributes_are_columns_and_only_the_right_one_is_named(shop: Path) -> None:
    names = Counter[str]()
    for question in asked("product_attribute", shop):
        row, shown = products(shop)[question.entity.removeprefix("product:")], question.fields
        name, options, text = shown["attribute"], shown["options"], f"{shown['title']} {shown['text']}".lower()
        assert isinstance(question.truth, int)
        assert options[question.truth] == (row.brand if name == "brand" else row.color)
        assert [bool(re.search(rf"\b{option.lower()}\b", text)) for option in options].count(True) == 1
        names[name] += 1
    assert min(names["brand"], names["color"]) >= 100


def test_doubtful_attributes_are_not_asked(tmp_path: Path) -> None:
    brands = ["Aldwick", "Brenmoor", "Caldane", "Dorvane", "Generic", "Black & Dekkar", "Norrow", "Norrow", "Ellory"]
    colors = ["Red", "Navy Blue", "Green", "Gray", "2 Pack", "Black", "Blue", "Grey", "Blue"]
    titles = [f"{brand} Drill, {color}" for brand, color in zip(brands, colors, strict=True)]
    titles[5] = "Black & Dekkar Drill"  # which says no colour
    titles[6] = "Drill, goes with Aldwick, Brenmoor and Caldane"
    ids = [f"p{at}{turn}" for turn in range(40) for at in range(9)]
    columns = {
        name: {id: values[int(id[1])] for id in ids}
        for name, values in (("brand", brands), ("color", colors), ("title", titles))
    }
    folder = judge(tmp_path, ((f"drill {id[2:]}", id, "E") for id in ids), columns)
    met = defaultdict(set)
    for question in asked("product_attribute", folder):
        assert isinstance(question.truth, int)
        options = question.fields["options"]
        met[question.entity[8:10], question.fields["attribute"]].add(options[question.truth])
        right = options[question.truth]
        wrong = {*options} - {right}
        assert not {"Generic", "2 Pack"} & {*options}
        assert not any({right, other} in ({"Grey", "Gray"}, {"Blue", "Navy Blue"}) for other in wrong)
        assert question.entity[8:10] != "p6" or not wrong & {"Aldwick", "Brenmoor", "Caldane"}
    assert ("p0", "brand") in met and ("p0", "color") in met and ("p5", "brand") in met
    assert not {("p4", "brand"), ("p4", "color"), ("p5", "color"), ("p6", "brand"), ("p6", "color")} & set(met)


# --- bullet_summary ---


def test_bullets_say_only_what_the_description_says(tmp_path: Path, shop: Path) -> None:
    text = (
        "<p>This wooden tray holds <b>12 small glasses</b> &amp; is oiled by hand. It is easily cleaned with water.</p>"
    )
    points = [
        "• Holds 12 small glasses",
        "Holds 24 small glasses",  # another number
        "Dishwasher safe, lifetime guarantee",  # of which the text says nothing
        "Easily cleaned with water",
        "easily cleaned with water",
        "Tray",  # too short to tell anything
    ]
    description = {"a": text, "b": text, "c": text, "d": ""}
    bullets = {"a": "\n".join(points), "b": points[0], "c": "\n".join(points[1:4]), "d": "\n".join(points)}
    folder = judge(tmp_path, (), {"description": description, "bullet_point": bullets})
    (question,) = asked("bullet_summary", folder)
    assert question.entity == "product:a" and question.fields["count"] == 2
    assert question.truth == "- Holds 12 small glasses\n- Easily cleaned with water"
    assert question.fields["description"].startswith("This wooden tray holds 12 small glasses & is")
    counts = Counter(question.fields["count"] for question in asked("bullet_summary", shop))
    assert set(counts) == {2, 3, 4}


# --- query_relation ---


def test_relations_of_the_shop_follow_from_kinds_and_words(shop: Path) -> None:
    counts, related, found = Counter[str](), 0, defaultdict[str, set[str]](set)
    for id, query in labels(shop):
        found[query].add(id)
    for question in asked("query_relation", shop):
        first, second, options = (question.fields[name] for name in ("first", "second", "options"))
        assert isinstance(question.truth, int)
        relation = options[question.truth]
        ours, theirs = set(first.split()), set(second.split())
        kind, other = kind_of(first), kind_of(second)
        goes_with = kind.index in other.goes_with or other.index in kind.goes_with
        match relation:
            case "narrowing":
                assert ours < theirs and kind is other
            case "substitute":
                assert kind is other and not ours <= theirs and not theirs <= ours
            case "complement":
                assert kind is not other and goes_with
            case _:
                assert kind is not other and not ours & theirs and not found[first] & found[second]
                related += goes_with
        counts[relation] += 1
    assert len(counts) == 4 and min(counts.values()) >= 15
    assert counts["narrowing"] == counts["substitute"] == counts["complement"] >= counts["irrelevant"]
    # A judged shelf does not show all that goes with a type.
    assert related <= 0.05 * counts["irrelevant"]


def test_what_the_judgements_leave_open_is_no_relation(tmp_path: Path) -> None:
    shared = {
        ("lamp", "oak lamp"): ("EE", "narrowing"),
        ("kettle", "steel kettle"): ("EE ES", "narrowing"),
        ("phone", "phone case"): ("CE", ""),  # one would say narrowing, the judgements say complement
        ("drum", "drum set"): ("EE CE", ""),
        ("tent red", "red tent"): ("EE", ""),
        ("sofa", "couch"): ("EE ES", ""),
        ("6 ft rope", "9 ft rope"): ("ES", "substitute"),
        ("pan lid", "wok"): ("EC", "complement"),
        ("mop", "bucket"): ("EC ES", ""),
        ("cap", "hat"): ("SS", ""),
    }
    rows, relations = [], {}
    for turn in range(6):
        for (first, second), (seen, relation) in shared.items():
            pair = f"{first} {turn}", f"{second} {turn}"
            relations[pair] = relation
            for at, both in enumerate(seen.split()):
                rows += [(query, f"{pair[0]} {at}", label) for query, label in zip(pair, both, strict=True)]
    counts = Counter[str]()
    for question in asked("query_relation", judge(tmp_path, rows, {"title": {id: id for _, id, _ in rows}})):
        assert isinstance(question.truth, int)
        pair, relation = (
            (question.fields["first"], question.fields["second"]),
            question.fields["options"][question.truth],
        )
        if relation == "narrowing":
            assert relations[pair] == relation
        else:
            assert relations.get(pair, relations.get(pair[::-1], "irrelevant")) == relation
        counts[relation] += 1
    # As many as there are of the rarest, less those with a held-out query.
    assert counts["narrowing"] == counts["substitute"] == counts["complement"] >= 4 <= counts["irrelevant"]


# --- Rankings ---


def test_products_are_ranked_by_their_labels(shop: Path) -> None:
    for question in asked("query_product_ranking", shop):
        query = question.entity.removeprefix("query:")
        ids = [entity.removeprefix("product:") for entity in question.also]
        assert question.truth == [esci.WEIGHTS[labels(shop)[id, query]] for id in ids]
        assert question.fields["items"] == [products(shop)[id].title for id in ids]


def test_queries_are_ranked_by_their_labels_and_strangers_last(shop: Path) -> None:
    strangers = 0
    for question in asked("product_query_ranking", shop):
        id, items = question.entity.removeprefix("product:"), question.fields["items"]
        assert isinstance(question.truth, list) and len(items) == 4
        judged = {item: labels(shop)[id, item] for item in items if (id, item) in labels(shop)}
        assert len(set(judged.values())) >= 2
        for item, weight in zip(items, question.truth, strict=True):
            assert weight == (esci.WEIGHTS[judged[item]] if item in judged else 0.0)
            if item not in judged:
                assert not set(item.split()) & set(re.findall(r"\w+", products(shop)[id].title.lower()))
                strangers += 1
    assert strangers >= 100


# --- multilingual_keywords ---


def test_the_right_keywords_alone_are_all_of_queries_that_fit(shop: Path) -> None:
    exact: dict[str, set[str]] = defaultdict(set)
    for (id, query), label in labels(shop).items():
        if label == "E":
            exact[id] |= set(query.split())
    sites = Counter[str]()
    for question in asked("multilingual_keywords", shop):
        id = question.entity.removeprefix("product:")
        row, sets = products(shop)[id], [option.split(", ") for option in question.fields["options"]]
        text = f"{row.title} {row.description} {row.bullet_point}".lower()
        assert [exact[id].issuperset(found) for found in sets].count(True) == 1
        assert isinstance(question.truth, int) and exact[id].issuperset(sets[question.truth])
        assert len({len(found) for found in sets}) == 1 and 3 <= len(sets[0]) <= 4
        counts = Counter(word for found in sets for word in found)
        ours = [count for word, count in counts.items() if word in exact[id] and count < 4]
        theirs = [count for word, count in counts.items() if word not in exact[id]]
        assert ours == theirs == [2] * len(ours)  # neither side is told by how often its words occur
        assert all(word not in text for word in counts if word not in exact[id])
        sites[row.locale] += 1
    assert set(sites) == {"es", "jp"} and min(sites.values()) >= 5


def test_an_ending_does_not_make_a_keyword_wrong(tmp_path: Path) -> None:
    rows = [("falda roja corta lino", "a", "E"), ("faldas rojos largas algodón lunares volantes", "a", "S")]
    rows += [(query, "b", "S") for query, _, _ in rows]
    title = {"a": "Falda corta de lino, roja", "b": "Falda"}
    (question,) = asked("multilingual_keywords", judge(tmp_path, rows, {"title": title}, "es"))
    words = {word for option in question.fields["options"] for word in option.split(", ")}
    assert not words & {"rojos", "faldas"} and {"falda", "roja", "corta", "lino"} & words
