"""Which values of ESCI's brand column name a maker: columns also hold a title's first word, half of a name, or a word
that says what a thing is."""

from __future__ import annotations

import re
from collections import Counter, defaultdict

from dataset_builders.raw import RawData
from dataset_builders.sources import esci
from dataset_builders.tasks._common import one_line
from dataset_builders.tasks._judgements import flat
from dataset_builders.tasks._lexicon import is_brand

_LEAST = 2  # products of a brand of one word: what one alone has may as well be a slip
# Who makes the thing stands before what it is for: "Case for Aldwick".
_FITS = re.compile(r"\b(?:for|with|fits?|compatible|works|by|from|para|con|de)\b", re.I)


class Brands:
    """Learned from the titles of a site; memory holds their words, and for each brand the words that follow it."""

    def __init__(self, raw: RawData, locale: str) -> None:
        self._products: Counter[str] = Counter()
        self._elsewhere: Counter[str] = Counter()  # word -> titles that have it, though neither first nor as the brand
        self._after: defaultdict[str, Counter[str]] = defaultdict(Counter)  # brand -> words
        self._before: defaultdict[str, set[str]] = defaultdict(set)  # word -> brands, two at most
        for product in esci.products(raw, locale, ("title", "brand")):
            title, brand = product.title, one_line(product.brand).lower()
            self._products[brand] += 1
            self._elsewhere.update({*flat(_FITS.split(title, maxsplit=1)[0]).split()[1:]} - {brand})
            begun = f"{brand} "
            if brand and title.lower().startswith(begun) and (words := flat(title[len(begun) :]).split(maxsplit=1)):
                self._after[brand][words[0]] += 1
                if len(self._before[words[0]]) < 2:
                    self._before[words[0]].add(brand)

    def names(self, value: str) -> bool:
        """Whether a column's value is a maker's name, and no word of what as many other products are."""
        products, alone = self._products[brand := value.lower()], " " not in value
        return is_brand(value) and not (alone and (products < _LEAST or self._elsewhere[brand] >= products))

    def names_whole(self, value: str) -> bool:
        """Whether it is a maker's name, and all of it."""
        return self.names(value) and self.whole(value)

    def whole(self, value: str) -> bool:
        """Whether such a name is no half of one: "eagle" of "Eagle Creek"."""
        after = self._after.get(value.lower(), Counter())
        return len(after) != 1 or after.total() < _LEAST or not self.go_on(value, f"{value} {next(iter(after))}")

    def go_on(self, value: str, query: str) -> bool:
        """Whether the query names a longer name, of which ``value`` is a part: the word behind it follows that brand
        alone, and in all its titles. Other words say what the product is."""
        after = self._after.get(brand := value.lower(), Counter())
        words = flat(query.lower().partition(f"{brand} ")[2]).split(maxsplit=1)
        return bool(words) and self._before.get(words[0]) == {brand} and after[words[0]] == after.total()
