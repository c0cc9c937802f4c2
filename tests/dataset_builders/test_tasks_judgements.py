"""The datasets made of ESCI's judgements: relations, rankings, keywords."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from pathlib import Path

from dataset_builders.raw import RawData
from dataset_builders.sample_shop.catalogue import EN, ProductType, catalogue
from dataset_builders.sources import esci
from dataset_builders.tasks._judgements import labels_of
from tests.dataset_builders.esci_rows import asked, judge, labels, products


def kind_of(text: str) -> ProductType:
    """The type of product that an English query or title of the shop names."""
    named = [kind for kind in catalogue().types if re.search(rf"\b{kind.names[EN]}\b", text, re.IGNORECASE)]
    return max(named, key=lambda kind: len(kind.names[EN]))


def test_relations_of_the_shop_follow_from_kinds_and_words(shop: Path) -> None:
    counts, related, found = Counter[str](), 0, defaultdict[str, set[str]](set)
    for id, query in labels(shop):
        found[query].add(id)
    for question in asked("query_relation", shop):
        first, second, options = (question.fields[name] for name in ("first", "second", "options"))
        assert isinstance(question.truth, int)
        relation = options[question.truth]
        ours, theirs = set(first.split()), set(second.split())
        assert max(len(first.split()), len(second.split())) <= 5, "as in the contest"
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


def test_labels_are_read_once_and_noted_by_whoever_asks(tmp_path: Path) -> None:
    judge(tmp_path, [("board", "E1", "E"), ("board", "E2", "E"), ("slate", "E1", "S")], {})
    first, second = (RawData(tmp_path, max_rejected=1.0, watched=True) for _ in range(2))
    found = labels_of(first, "us")
    assert found == {"E1": {"board": "E", "slate": "S"}, "E2": {"board": "E"}}
    assert labels_of(second, "us") is found and (second.unheard, second.rejected) == (first.unheard, first.rejected)
    judge(tmp_path, [("board", "E1", "E"), ("slate", "E1", "X")], {})
    third, fourth = (RawData(tmp_path, max_rejected=1.0, watched=True) for _ in range(2))
    assert labels_of(third, "us") == {"E1": {"board": "E"}}  # the file is another
    assert labels_of(fourth, "us") and len(fourth.rejected) == 1 and fourth.rejected == third.rejected
