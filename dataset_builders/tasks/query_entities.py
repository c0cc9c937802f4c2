"""Phrases of a customer's query that name a brand, a colour, a material or the type of product.

https://github.com/amazon-science/esci-data
esci/shopping_queries_dataset_examples.parquet, the rest from the products file (invented):

    query                       product_id  esci_label  product_title                product_brand  product_color
    aldwick green bread board   B0EXAMPLE1  E           Aldwick Bread Board, Green   Aldwick        Green
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from sys import intern

from dataset_builders.sources import esci
from dataset_builders.task import Question, Questions, RawData, Seeded, TaskType, task
from dataset_builders.tasks._brands import Brands
from dataset_builders.tasks._common import distinct, one_line, query_entity
from dataset_builders.tasks._esci import told
from dataset_builders.tasks._judgements import by_query, flat, words_of
from dataset_builders.tasks._lexicon import COLOR_RUN, COLORS, MATERIAL, NO_TYPE, TREATMENTS, is_color, without_idioms

_LOCALES = ("us", "es")  # Japanese writes its words together
_LONGEST = 80  # characters of a query
_TOLD = 0.5  # share of a query's words that one product at least has: others show nothing of what they mean
_LEAST = 2  # titles that name a type of product, and brands that sell it
_PARTS = re.compile(r"\s*(?:[,/&|;]|\band\b|\by\b)\s*")  # of a column: `Black/White`
_AND = ("and", "n", "&", "y")
_Exact = Sequence[tuple[str, str, str]]  # title, brand, colour of the products that fit a query exactly


@dataclass
class _Query:
    """``found``: phrases by entity type; ``rest``: what is left of the query, in pieces. Where that is one phrase
    which may name a type, ``titles`` of its exact products hold it, those of so many ``brands``. ``goes_on``: whether
    its brand is a part of a longer name: "eagle" of "Eagle Creek"."""

    text: str
    found: dict[str, list[str]] = field(default_factory=dict)
    rest: list[str] = field(default_factory=list)
    titles: int = 0
    brands: int = 0
    goes_on: bool = False


@task(type=TaskType.NER, source="esci", track=1, llm="enrich", quotes=("query",))
def build(raw: RawData, seeded: Seeded) -> Questions:
    for locale in _LOCALES:
        # The join holds title, brand and colour of one site's products; after it, that site's queries alone.
        queries = list(_queries(raw, locale))
        brands = {phrase.lower() for query in queries for phrase in query.found.get("brand", ())}
        # Several brands sell a type: "air max" follows colours as "shoes" does, but one brand makes it.
        free = (query for query in queries if "brand" not in query.found)
        types = {query.rest[0] for query in free if query.brands >= _LEAST}
        for query in raw.through(queries):
            if not brands.isdisjoint(_phrases(query.rest)):
                # The first would be half an answer, and the rest is more than a type.
                raw.lacking["with a second brand"] += bool(query.found)
                continue
            if query.found and query.titles >= _LEAST and query.rest[0] in types:
                query.found["product type"] = [_as_written(query.text, query.rest[0])]
            if query.goes_on:
                raw.lacking["whose brand is longer in the titles"] += 1
                del query.found["brand"]
            for name, phrases in query.found.items():
                fields = {"query": query.text, "entity_type": name}
                yield Question(query_entity(query.text), fields, phrases)


def _queries(raw: RawData, locale: str) -> Iterator[_Query]:
    brands = Brands(raw, locale)
    products = {
        row.id: (one_line(row.title), intern(brand.lower() if brands.names(brand) else ""), intern(row.color.lower()))
        for row in esci.products(raw, locale)
        for brand in [one_line(row.brand)]
    }
    for text, judged in by_query(raw, locale):
        exact = [products[row.product_id] for row in judged if row.label == "E" and row.product_id in products]
        if exact and all(told(text, words_of(" ".join(columns))) < _TOLD for columns in exact):
            raw.lacking["of whose words no product that fits has half"] += 1
        elif exact and "," not in text and len(text) <= _LONGEST and len(text.lower()) == len(text):
            query = _read(text, exact)
            query.goes_on = any(brands.go_on(brand, text) for brand in query.found.get("brand", ()))
            raw.heard += 1
            yield query


def _read(text: str, exact: _Exact) -> _Query:
    """What the exact products' columns and titles confirm of a query."""
    query, left, doubtful = _Query(text), f" {text.lower()} ", False
    for name, find in (("brand", _brand), ("color", _colors), ("material", _materials)):
        if (phrases := find(left, exact)) is None:
            doubtful = True  # and so is what comes after: Black Diamond is no colour
            break
        for phrase in phrases:
            left = left.replace(f" {phrase} ", " | ")
        if phrases:
            query.found[name] = [_as_written(text, phrase) for phrase in phrases]
    query.rest = [piece for part in left.split("|") if (piece := part.strip())]
    if len(query.rest) == 1 and not doubtful and _may_be_type(query.rest[0], exact):
        phrase = flat(query.rest[0])
        brands = [brand for title, brand, _ in exact if phrase in flat(title)]
        query.titles, query.brands = len(brands), len({*brands} - {""})
    return query


def _brand(left: str, exact: _Exact) -> list[str] | None:
    """The brand of most of the products; ``None`` if the query names one of few of them."""
    counts = Counter(brand for _, brand, _ in exact if len(brand) > 1)
    named = [brand for brand in counts if f" {brand} " in left]
    if named and (len(named) > 1 or 2 * counts[named[0]] < counts.total()):
        return None
    return named


def _colors(left: str, exact: _Exact) -> list[str] | None:
    """All colours of the query, ``None`` if the products have another one of them, or one of them may be a part of a
    name: "simply orange", with which titles begin, or "hot and gold".
    """
    counts = Counter(part for _, _, color in exact for part in {*_PARTS.split(color)} if is_color(part))
    confirmed = {color for color, count in counts.items() if 4 * count >= len(exact)}
    runs = [run for run in COLOR_RUN.findall(left) if not COLORS.isdisjoint(run.split())]
    found = distinct(part for run in runs for part in ([run] if run in confirmed else run.split()))
    named = without_idioms(left) != left or any(_begins_a_name(left, run, exact) for run in runs)
    return found if confirmed.issuperset(found) and not named else None


def _begins_a_name(left: str, run: str, exact: _Exact) -> bool:
    """Whether the query up to the end of a colour stands at the beginning of half of the titles; or the colour stands
    behind an "and" that joins it to no other colour."""
    before, _, _ = left.partition(f" {run} ")
    words = before.split()
    begun = f"{before.strip()} {run}"
    titles = sum(title.lower().startswith(begun) for title, _, _ in exact)
    joined = words[-1:] and words[-1] in _AND and not is_color(" ".join(words[-2:-1]))
    return bool(joined) or ("|" not in before and bool(words) and 2 * titles >= len(exact))


def _materials(left: str, exact: _Exact) -> list[str] | None:
    """All materials of the query, ``None`` if one stands in few of the titles or need not be what it is made of."""
    found = distinct(MATERIAL.findall(left))
    titles = [flat(title) for title, _, _ in exact] if found else []
    made_of = not found or TREATMENTS.isdisjoint(left.split())
    confirmed = all(4 * sum(flat(phrase) in title for title in titles) >= len(titles) for phrase in found)
    return found if made_of and confirmed else None


def _may_be_type(phrase: str, exact: _Exact) -> bool:
    words = phrase.split()
    makers = {word for _, brand, _ in exact for word in brand.split()}
    plain = all(word.replace("-", "").isalpha() for word in words)
    return len(words) <= 3 < len(phrase) and plain and NO_TYPE.isdisjoint(words) and makers.isdisjoint(words)


def _phrases(pieces: list[str]) -> set[str]:
    """All phrases of up to three words."""
    found = set()
    for words in map(str.split, pieces):
        found |= {" ".join(words[at : at + size]) for size in (1, 2, 3) for at in range(len(words) + 1 - size)}
    return found


def _as_written(text: str, phrase: str) -> str:
    at = f" {text.lower()} ".index(f" {phrase} ")
    return text[at : at + len(phrase)]
