"""What several syntheses share: seed rows of the shop, and a fair place for the right answer."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from typing import Any

from dataset_builders.sources import amazon_reviews
from dataset_builders.synthesis.declare import Form, Seed, Seeds, Unfit
from dataset_builders.synthesis.rules import counted, in_language, within
from dataset_builders.task import Question, RawData, Seeded
from dataset_builders.tasks import _common
from dataset_builders.tasks._common import distinct, one_line, product_entity, words
from dataset_builders.tasks._product_types import Names, Path, Tree, typed_products, typed_reviews

TITLE, TEXT, REVIEW = 300, 800, 800  # characters that the model is given
_SHORTEST_REVIEW = 60
_PITCH = re.compile(r"\b(?:you|your|our|we|us|i|my|this product|buy|best|perfect)\b|[!$€®™]", re.I)


def rng_of(seed: Seed) -> random.Random:
    """The same for the same seed row, whatever answer it gets."""
    return Seeded(0, "synthesis").rng(f"{seed.entity}\0{seed.key}")


def ask(seed: Seed, fields: dict[str, Any], truth: Any, also: Sequence[str] = ()) -> Question:
    """A question about what the seed row is about."""
    return Question(seed.entity, fields, truth, (*seed.also, *also), key=seed.key)


def multiple_choice(seed: Seed, fields: dict[str, Any], right: str, wrong: Sequence[str]) -> Question:
    """With the options in any order."""
    return _common.multiple_choice(rng_of(seed), seed.entity, fields, right, wrong, seed.also, seed.key)


def retrieval(seed: Seed, fields: dict[str, Any], right: Sequence[str], wrong: Sequence[str]) -> Question:
    """With the items in any order; positions count from 1."""
    return _common.retrieval(rng_of(seed), seed.entity, fields, right, wrong, seed.also, seed.key)


def wanted_products(raw: RawData, seeded: Seeded) -> Iterator[tuple[str, amazon_reviews.Product, Path]]:
    """(entity, product, its categories) of Amazon Reviews."""
    for product, path in typed_products(raw):
        entity = product_entity(product.parent_asin)
        if product.title and seeded.wants(entity):
            yield entity, product, path


def wanted_among_neighbours(
    raw: RawData, seeded: Seeded, count: int, *, among: int = 0
) -> Iterator[tuple[str, amazon_reviews.Product, Path, list[str]]]:
    """(entity, product, its categories, at most ``count`` near its own: see ``Tree.near``)."""
    for category in amazon_reviews.categories(raw):
        names = Names(amazon_reviews.products(raw, category))
        tree = Tree(names.paths())
        for product in amazon_reviews.products(raw, category):
            entity = product_entity(product.parent_asin)
            if (path := names.of(product)) and seeded.wants(entity):
                yield entity, product, path, tree.near(seeded.rng(entity), path, count, among=among)


def wanted_reviews(raw: RawData, seeded: Seeded) -> Seeds:
    """Reviews long enough to say something, with the type of their product."""
    for review, type in typed_reviews(raw):
        entity = product_entity(review.parent_asin)
        if seeded.wants(entity, review.key):
            text = one_line(review.text, REVIEW)
            if len(text) >= _SHORTEST_REVIEW:
                yield Seed(entity, {"product_type": type, "review": text}, "", key=review.key)


def listing(product: amazon_reviews.Product) -> str:
    """Its features and description as one text."""
    return one_line(" ".join((*product.features, *product.description)), TEXT)


def found_entities(answer: Form, text: str, what: str) -> dict[str, list[str]]:
    """Entity type -> phrases as ``text`` spells them, where there are any. Every phrase stands in the text, and none
    belongs to two types.

    Raises:
        Unfit: one does not, or does.
    """
    found: dict[str, list[str]] = {}
    taken: dict[str, str] = {}
    for field, phrases in answer.model_dump().items():
        for phrase in distinct(within(phrase, text, what) for phrase in phrases):
            if taken.setdefault(phrase.lower(), field) != field:
                raise Unfit("two types at once", f"{phrase!r} is given as {taken[phrase.lower()]} and as {field}")
            found.setdefault(field.replace("_", " "), []).append(phrase)
    return found


def explained(answer: str, product_type: str) -> str:
    """An answer that explains a type of product, tidy.

    Raises:
        Unfit: it is not one plain sentence, or says no more than the type's name.
    """
    text = in_language(counted(one_line(answer), 6, 45, "explanation"), "English")
    if not text.endswith(".") or ". " in text.rstrip("."):
        raise Unfit("not one sentence", "the explanation must be one sentence that ends with a full stop")
    if found := _PITCH.search(text):
        raise Unfit("a sales pitch", f"{found[0]!r} sells; say what the product type is")
    if not words(text) - words(product_type):
        raise Unfit("says nothing new", "the explanation only repeats the name")
    return text
