"""Products of ESCI beside the queries that they were judged for, and wrong options that are hard, for all that match
one with the other.

What is asked can be answered from what is shown: the right option has a larger share of its words there than any
wrong one, and no wrong one is told whole by what is known of the product. Wrong options come from the judgements
(another label for the same query), else from what shares words with the right one.
"""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Generic, TypeVar

from dataset_builders.held_out import held_out
from dataset_builders.raw import RawData
from dataset_builders.sources import esci
from dataset_builders.task import Questions, Seeded
from dataset_builders.tasks._common import multiple_choice, one_line, product_entity, query_entity, reworded
from dataset_builders.tasks._judgements import Judged, labels_of, may_show, stems, words_of

T = TypeVar("T")
# The fields of a prompt; empty where the text tells too little, or no more than the title does.
Shown = Callable[[esci.Product], Mapping[str, Any]]
WRONG = 3
CLEAR = 2 / 3  # share of its words that a query has in a text that it matches
# Least and greatest share of a query's words in the titles that show what was judged.
_SHARES = {"E": (0.8, 1.0), "S": (0.5, 0.99), "C": (1 / 3, 1.0), "I": (0.0, 1 / 3)}
_LIKE = 0.75  # a wrong title has less than this part of the right one's share: its variants have all of it
_TOLD = 0.4  # share of a title's words that its description has
_TITLE, _DESCRIPTION, _FEATURE, _FEATURES = 200, 700, 160, 5  # characters that are shown; bullet points
_SHORTEST = 80  # characters of a description
_POINT = 20  # characters of a bullet point, at least: not "8 oz."
_KEPT = 6  # products of a query for wrong options
_LOOKED_AT, _NEAREST = 10, 20  # queries with one word, of which so many are taken
# Whose words tell what is not wanted: "frame without mat".
_NEGATED = re.compile(r"\b(?:no|non|not|without|except)\b", re.I)


def says_what(query: str) -> bool:
    """Whether its words tell what is wanted."""
    return bool(words_of(query)) and not _NEGATED.search(query)


def told(text: str, words: AbstractSet[str]) -> float:
    """The share of its words that are among ``words``."""
    own = words_of(text)
    return len(own & words) / max(1, len(own))


def less(share: float, right: float) -> bool:
    """Whether the share of a wrong option is clearly less than the right one's: any less where that is told whole,
    and the more of it is not told, the less."""
    return share < 2 * right - 1


def title_of(product: esci.Product) -> str:
    return one_line(product.title, _TITLE)


def features_of(product: esci.Product) -> list[str]:
    """Its first bullet points that say something."""
    found: dict[str, str] = {}
    for line in product.bullet_point.split("\n"):
        if len(point := one_line(line, _FEATURE).lstrip("-*•·✔★. ")) >= _POINT:
            found.setdefault(point.casefold(), point)
        if len(found) == _FEATURES:
            break
    return [*found.values()]


def with_title(product: esci.Product) -> Mapping[str, Any]:
    return {"title": title_of(product)}


def with_description(product: esci.Product) -> Mapping[str, Any]:
    text = one_line(product.description, _DESCRIPTION)
    return {"description": text} if len(text) >= _SHORTEST and not reworded(text, product.title) else {}


def with_features(product: esci.Product) -> Mapping[str, Any]:
    points = features_of(product)
    return {"features": points} if len(points) > 1 and not reworded(" ".join(points), product.title) else {}


def products(
    raw: RawData, judged: Mapping[str, Mapping[str, str]], shown: Shown = with_title,
    wants: Callable[[str], bool] = lambda entity: True, texts: Sequence[str] = esci.Product._fields[2:],
) -> Iterator[tuple[esci.Product, Mapping[str, str], Mapping[str, Any]]]:  # fmt: skip
    """American products that were judged, with their queries' labels and what is shown; others are counted.

    Args:
        wants: of an entity, before anything is shown of it.
        texts: see ``esci.products``.
    """
    for product in esci.products(raw, "us", texts):
        if (labels := judged.get(product.id)) and wants(product_entity(product.id)):
            if product.title and (fields := shown(product)):
                yield product, labels, fields
            else:
                raw.lacking[f"without {shown.__name__.removeprefix('with_')}"] += 1


class RecentOfQueries(Generic[T]):
    """Of each query the last few of its products, so that memory stays bounded."""

    def __init__(self) -> None:
        self._of: defaultdict[str, dict[str, T]] = defaultdict(dict)
        self._held_out: set[str] = set()  # ids

    def add(self, id: str, queries: Iterable[str], value: T) -> None:
        if held_out(product_entity(id)):
            self._held_out.add(id)
        for query in queries:
            kept = self._of[query]
            kept[id] = value
            if len(kept) > _KEPT:
                del kept[next(iter(kept))]

    def of(self, entity: str, queries: Iterable[str]) -> dict[str, T]:
        """id -> value, of what a question about ``entity`` may show (``may_show``)."""
        found = {id: value for query in queries for id, value in self._of.get(query, {}).items()}
        return found if held_out(entity) else {id: value for id, value in found.items() if id not in self._held_out}


class Near:
    """Queries that share words."""

    def __init__(self, queries: Iterable[str]) -> None:
        self._with: defaultdict[str, list[str]] = defaultdict(list)
        for query in filter(says_what, dict.fromkeys(queries)):
            for word in words_of(query):
                self._with[word].append(query)

    def like(self, rng: random.Random, query: str) -> list[str]:
        """Others, those that share most first."""
        own, found = words_of(query), dict[str, int]()
        for word in sorted(own):
            having = self._with.get(word, [])
            for other in rng.sample(having, min(_LOOKED_AT, len(having))):
                found[other] = len(own & words_of(other))
        return sorted(found, key=lambda other: -found[other])[:_NEAREST]


def choose_query(raw: RawData, seeded: Seeded, shown: Shown) -> Questions:
    """The query that a product fits exactly, among four; only its ``shown`` text is given.

    The join holds the labels of all judged products, and the queries by their words.
    """
    judged = labels_of(raw, "us")
    near = Near(query for labels in judged.values() for query in labels)
    for product, labels, fields in products(raw, judged, shown, seeded.wants):
        entity, words = product_entity(product.id), _words(fields)
        own = [query for query in labels if says_what(query) and may_show(entity, query_entity(query))]
        exact = [query for query in own if labels[query] == "E" and told(query, words) >= CLEAR]
        if exact:
            rng, known = seeded.rng(entity), stems(" ".join(product))
            right = rng.choice(exact)
            shares: dict[frozenset[str], tuple[float, str]] = {}  # by the words: no singular beside its plural
            for query in (*own, *near.like(rng, right)):
                share = told(query, words)
                wrong = labels.get(query) != "E" and less(share, told(right, words)) and not words_of(query) <= known
                if wrong and may_show(entity, query_entity(query)):
                    shares.setdefault(words_of(query), (share, query))
            options = hardest(rng, {query: share for share, query in shares.values()})
            if len(options) == WRONG:
                yield multiple_choice(rng, entity, fields, right, options, map(query_entity, (right, *options)))


def choose_title(raw: RawData, seeded: Seeded, shown: Shown) -> Questions:
    """The title of the product whose ``shown`` text is given, among those of products found for the same query.

    The join holds the labels of all judged products, and the titles of the last few of each query.
    """
    judged, recent = labels_of(raw, "us"), RecentOfQueries[str]()
    for product, labels, fields in products(raw, judged, shown):
        entity, title = product_entity(product.id), title_of(product)
        if seeded.wants(entity):
            rng, words = seeded.rng(entity), _words(fields)
            own, alike = told(title, words), recent.of(entity, (query for query in labels if labels[query] in "ES"))
            titles = {other: id for id, other in alike.items()}
            shares = {other: told(other, words) for other in titles}
            wrong = hardest(rng, {other: share for other, share in shares.items() if share < _LIKE * own})
            if len(wrong) == WRONG and own >= _TOLD:
                also = (product_entity(titles[other]) for other in wrong)
                yield multiple_choice(rng, entity, fields, title, wrong, also)
        recent.add(product.id, labels, title)


def hardest(rng: random.Random, likeness: Mapping[T, float], count: int = WRONG) -> list[T]:
    """At most ``count`` of the wrong options, those that are most like the right one."""
    return sorted(rng.sample(list(likeness), len(likeness)), key=lambda option: -likeness[option])[:count]


def clear(query: str, judged: Sequence[Judged]) -> dict[Judged, float]:
    """Those whose titles show what was judged, with the share of the query's words that they have: exact matches have
    nearly all, substitutes many, complements some or all, and what is irrelevant few."""
    shares = {product: told(query, words_of(product.title)) for product in judged if says_what(query)}
    least, most = ({label: bounds[at] for label, bounds in _SHARES.items()} for at in (0, 1))
    return {one: share for one, share in shares.items() if least[one.label] <= share <= most[one.label]}


def exact_among_others(
    rng: random.Random, query: str, judged: Sequence[Judged], exact: int, counts: range
) -> tuple[list[Judged], list[Judged]] | None:
    """So many exact matches and others, in a number among ``counts``, each of which has fewer of the query's words in
    its title; ``None`` where there are not enough."""
    shares = clear(query, judged)
    right = [product for product in shares if product.label == "E"]
    right = rng.sample(right, min(exact, len(right)))
    least = min((shares[product] for product in right), default=0.0)
    others = {one: share for one, share in shares.items() if one.label != "E" and less(share, least)}
    wrong = hardest(rng, others, counts[-1])
    return (right, wrong) if len(right) == exact and len(wrong) in counts else None


def one_of_each(rng: random.Random, products: Iterable[Judged]) -> dict[str, Judged]:
    """Label -> one of the products that have it."""
    found: dict[str, list[Judged]] = {label: [] for label in esci.WEIGHTS}
    for product in products:
        found[product.label].append(product)
    return {label: rng.choice(of) for label, of in found.items() if of}


def _text(fields: Mapping[str, Any]) -> str:
    return " ".join(value if isinstance(value, str) else " ".join(value) for value in fields.values())


def _words(fields: Mapping[str, Any]) -> set[str]:
    return stems(_text(fields))
