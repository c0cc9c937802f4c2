"""The datasets made of ESCI's texts and columns: entities, attributes, bullet points, also in messy rows."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from dataset_builders.held_out import held_out
from dataset_builders.raw import RawData
from dataset_builders.sample_shop.catalogue import EN, ES, catalogue
from dataset_builders.sources import esci
from dataset_builders.task import Seeded, load_task
from dataset_builders.tasks._brands import Brands
from dataset_builders.tasks._esci import with_description, with_features
from dataset_builders.tasks._lexicon import MATERIAL, is_color
from tests.dataset_builders.esci_rows import asked, judge, labels, products

TASKS = (
    *("bullet_summary", "multilingual_keywords", "product_attribute", "product_query_ranking", "query_entities"),
    *("query_product_ranking", "query_relation", "title_from_description"),
    *("query_for_description", "query_for_features", "query_for_title", "title_for_description", "title_for_features"),
    *("title_for_query", "bullet_point_selection", "product_for_query", "title_brand", "query_product_relation"),
    *("query_product_pair_ranking", "exact_match_selection"),
)


def _points(row: esci.Product) -> list[str]:
    return row.bullet_point.split("\n")


Asked = dict[tuple[str, str], list[str]]


@pytest.mark.parametrize("name", TASKS)
def test_entities_name_what_is_shown_and_training_shows_nothing_held_out(name: str, shop: Path) -> None:
    texts = {f"product:{id}" for id in products(shop)} | {f"query:{query}" for _, query in labels(shop)}
    for question in asked(name, shop):
        assert {question.entity, *question.also} <= texts
        assert held_out(question.entity) or not any(map(held_out, question.also))
        for item in question.fields.get("items", ()):
            named = {f"product:{id}" for id, row in products(shop).items() if row.title == item or item in _points(row)}
            assert {f"query:{item.partition(' | ')[0]}", *named} & {question.entity, *question.also}


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
    title = {f"n{at}": "Nikka Air Max Shoes, New" for at in range(4)} | {"n3": "Nikka Women's Air Max Shoes"}
    title |= {"a1": "Addo Shoes", "a2": "Addo Leather Shoes (blue)", "p": "Pum Shoes", "bd": "Headlamp"}
    title |= {f"w{at}": "Watch Band for Appel" for at in range(1, 5)}
    title |= {
        "j1": "Simply Orange Juice",
        "j2": "Simply Orange Pulp Free",
        "f": "Flat Iron, Gold",
        "t": "White Out Tape",
    }
    color |= {"j1": "Orange", "j2": "Orange", "f": "Gold", "t": "White"}
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
        "simply orange": "j1 j2",
        "hot and gold flat iron": "f",
        "gold flat iron": "f",
        "white out tape": "t",
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
        ("simply orange", {}),  # its titles begin so: a name
        ("hot and gold flat iron", {}),  # half of a name, perhaps
        ("gold flat iron", {"color": ["gold"]}),
        ("white out tape", {}),
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
    colors = ["Red", "Navy Blue", "Green", "Gray", "2 Pack", "Black", "Blue", "Grey", "Teal"]
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
        assert not any(
            {right, other} <= alike for alike in ({"Grey", "Gray"}, {"Blue", "Navy Blue", "Teal"}) for other in wrong
        )
        assert question.entity[8:10] != "p6" or not wrong & {"Aldwick", "Brenmoor", "Caldane"}
    assert ("p0", "brand") in met and ("p0", "color") in met and ("p5", "brand") in met
    assert not {("p4", "brand"), ("p4", "color"), ("p5", "color"), ("p6", "brand"), ("p6", "color")} & set(met)


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


def test_a_description_that_is_its_title_reworded_is_none(tmp_path: Path) -> None:
    title = "Aldwick Wooden Breakfast Tray with Folding Legs and Handles"
    texts = {
        "a": "Wooden breakfast tray by Aldwick: with handles, with folding legs; a tray for breakfast in bed.",
        "b": "Serve coffee in bed on this wooden tray. Its legs fold flat, so that it goes behind a cupboard.",
    }
    folder = judge(tmp_path, (), {"title": {"a": title, "b": title}, "description": texts})
    raw = RawData(folder)
    (question,) = load_task("title_from_description").build(raw, Seeded(0, "title_from_description"))
    assert question.entity == "product:b" and raw.lacking["its description is its title reworded"] == 1
    row = next(row for row in esci.products(raw) if row.id == "a")
    assert not with_description(row) and not with_features(row._replace(bullet_point=texts["a"].replace("; ", "\n")))
    assert with_description(row._replace(description=texts["b"]))


def test_a_brand_that_is_half_a_name_is_not_asked_for(tmp_path: Path) -> None:
    """Columns hold "Eagle" where the titles say "Eagle Creek"; what follows several brands is what they sell."""
    titles = {"B1": "Eagle Creek Cargo Duffel", "B2": "Eagle Creek Roller", "B3": "Orvik Duffel", "B4": "Lorvik Duffel"}
    titles |= {
        "B5": "Orvik Roller",
        "B6": "Low Profile Roller Skates",
        "B7": "Low Light Lamp",
        "B8": "Norrow Low Shelf",
    }
    titles |= {"B9": "Norrow Low Stool", "B10": "Tabor Ski Wax", "B11": "Norrow Hiking Lamp"}
    brands = {id: title.split()[0] for id, title in titles.items()}
    rows = [("eagle creek roller", "B2", "E"), ("orvik duffel", "B3", "E"), ("eagle roller", "B2", "E")]
    # A word of what more others are, the brand of one product, and a product beside a query that is not its own.
    rows += [("low roller skates", "B6", "E"), ("tabor ski wax", "B10", "E"), ("norrow paper plates", "B11", "E")]
    folder = judge(tmp_path, rows, {"title": titles, "brand": brands})
    raw = RawData(folder)
    made = load_task("query_entities").build(raw, Seeded(0, "query_entities"))
    found = {question.fields["query"]: question.truth for question in made}
    assert found == {"orvik duffel": ["orvik"], "eagle roller": ["eagle"]}
    assert raw.lacking == {"whose brand is longer in the titles": 1, "of whose words no product that fits has half": 1}
    learned = Brands(raw, "us")
    assert [name for name in dict.fromkeys(brands.values()) if learned.names(name)] == ["Eagle", "Orvik", "Norrow"]
    assert not learned.whole("Eagle") and learned.whole("Orvik") and learned.names("Tabor & Sons")
