"""ESCI's judgements as several builders look at them: query by query, and product by product."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from dataset_builders.held_out import held_out
from dataset_builders.raw import RawData
from dataset_builders.sources import esci
from dataset_builders.tasks._common import one_line, product_entity, query_entity

TITLE = 250  # characters of a title that are shown
_LONGEST_QUERY = 120  # characters; longer ones are pasted titles
_TITLES = 3  # with one label for one query, that tell what surrounds it
_WORD = re.compile(r"\w+")
_ENDINGS = {"ie": "y", "fe": "f", "ve": "f"}  # a cookie is a cooky here, and a glove a glof: nobody reads it
IRREGULAR = {"mice": "mouse", "feet": "foot", "teeth": "tooth", "women": "woman", "children": "child"}
_GLUE = frozenset(("a", "an", "and", "by", "for", "from", "in", "of", "on", "or", "the", "to", "with", "without"))


def may_show(own: str, other: str) -> bool:
    """Whether a question about ``own`` may show ``other``.

    What was judged together cannot be chosen by its side: a training question leaves held-out things away, a
    held-out one shows what there is, and the blend keeps that out of training.
    """
    return held_out(own) or not held_out(other)


def flat(text: str) -> str:
    """Its words in lower case between single blanks: ``flat("red") in flat("Pan (Red)")``."""
    return f" {' '.join(_WORD.findall(text.lower()))} "


def stems(text: str) -> set[str]:
    """Its words in lower case without a plural's ending, and without those that say nothing."""
    return set(map(stem, _WORD.findall(text.lower()))) - _GLUE


def apart(text: str, option: str) -> bool:
    """Whether an option shares no word with ``text``: what the data also support is no wrong option."""
    return words_of(text).isdisjoint(words_of(option))


@lru_cache(maxsize=50_000)  # queries, categories and what recent products show come again and again
def words_of(text: str) -> frozenset[str]:
    return frozenset(stems(text))


@lru_cache(maxsize=200_000)  # a shop's words; asked for millions of times
def stem(word: str) -> str:
    """The same for one and for many: dress and dresses, battery and batteries, knife and knives, mouse and mice."""
    if len(word) < 4:
        return word
    if word[-1] == "s" and word[-2] not in "su":
        word = word[:-2] if word.endswith(("ches", "shes", "sses", "xes")) else word[:-1]
    if len(word) > 4:
        word = word[:-2] + _ENDINGS.get(word[-2:], word[-2:])
    return IRREGULAR.get(word, word)


def by_query(raw: RawData, locale: str) -> Iterator[tuple[str, list[esci.Example]]]:
    """Each query of a site with its judgements; ESCI's own test split stays out of training."""
    found = groupby(esci.examples(raw, locale, "train"), key=lambda row: (row.query_id, row.query))
    queries = ((one_line(text), list(judged)) for (_, text), judged in found)
    return raw.through((query, judged) for query, judged in queries if 1 < len(query) <= _LONGEST_QUERY)


def labels_of(raw: RawData, locale: str) -> Mapping[str, Mapping[str, str]]:
    """Product -> query -> label, of all judged products of a site (0.9 million American ones).

    Read once for all the builders of a process that ask for it.
    """
    file = esci.examples_file(raw).stat()
    settings = (raw.folder, raw.max_rejected, raw.most_bytes, raw.watched)
    labels, seen = _labels_of(settings, locale, (file.st_ino, file.st_size, file.st_mtime_ns))
    raw.rejected |= seen.rejected
    raw.unheard = seen.unheard
    return labels


@lru_cache(maxsize=1)
def _labels_of(
    settings: tuple[Path, float, int, bool], locale: str, file: tuple[int, int, int]
) -> tuple[Mapping[str, Mapping[str, str]], RawData]:
    """With what was noted while they were read.

    Four fifths were judged for one query: these share a mapping with the others that have its label. Each query's
    text is held once.
    """
    folder, max_rejected, most_bytes, watched = settings
    raw = RawData(folder, max_rejected, most_bytes, watched=watched)
    labels: dict[str, Mapping[str, str]] = {}
    for query, judged in by_query(raw, locale):
        alone = {label: {query: label} for label in esci.WEIGHTS}
        for row in judged:
            before = labels.get(row.product_id)
            labels[row.product_id] = {**before, query: row.label} if before else alone[row.label]
    return labels, raw


def judged_twice(raw: RawData, locale: str) -> dict[str, Mapping[str, str]]:
    """``labels_of`` the products that were judged for two queries or more: a fifth."""
    return {id: labels for id, labels in labels_of(raw, locale).items() if len(labels) > 1}


class Judged(NamedTuple):
    """A product that was judged for a query."""

    title: str
    entity: str
    label: str


def with_titles(raw: RawData, wants: Callable[[str], bool]) -> Iterator[tuple[str, list[Judged]]]:
    """The American queries whose entity is wanted, with those of their products that a question about them may show.

    The join holds the American titles (1.2 million).
    """
    titles = {product: one_line(title, TITLE) for product, title in esci.titles(raw, "us") if title}
    for query, rows in by_query(raw, "us"):
        if not wants(own := query_entity(query)):
            continue
        products: dict[str, Judged] = {}  # by title: two listings of one thing are one choice
        for row in rows:
            entity = product_entity(row.product_id)
            if (title := titles.get(row.product_id)) and may_show(own, entity):
                products[title] = Judged(title, entity, row.label)
        yield query, list(products.values())


class Site:
    """``judged_twice`` with the titles of these products, and what stands around a query."""

    def __init__(self, raw: RawData, locale: str) -> None:
        judged = judged_twice(raw, locale)
        self.titles = {id: one_line(title, 200) for id, title in esci.titles(raw, locale) if title and id in judged}
        self.labels: Mapping[str, Mapping[str, str]] = {id: judged[id] for id in self.titles}
        self._found: dict[str, dict[str, list[str]]] = {}
        for id, labels in self.labels.items():
            for query, label in labels.items():
                found = self._found.setdefault(query, {}).setdefault(label, [])
                if label != "I" and len(found) < _TITLES:
                    found.append(id)

    def queries(self) -> dict[bool, list[str]]:
        """All queries, by whether they are held out."""
        sides: dict[bool, list[str]] = {False: [], True: []}
        for query in self._found:
            sides[held_out(query_entity(query))].append(query)
        return sides

    def around(self, query: str) -> set[str]:
        """The words of a query and of what was found for it: a query with none of them wants something else, and
        nothing that goes with it."""
        return stems(" ".join([query, *(self.titles[id] for found in self._found[query].values() for id in found)]))
