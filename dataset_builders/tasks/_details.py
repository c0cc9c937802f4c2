"""Which entries of a product's `details` are attributes of its type, and which are facts a title may tell."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from dataset_builders.sources.amazon_reviews import Product
from dataset_builders.tasks._common import one_line

_LONGEST = 40  # characters of a value
# In words of their own: not "ShippingWeight", "Itemmodelnumber".
_NAME = re.compile(r"(?!.*[a-z][A-Z])(?!.*[A-Za-z]{15})[A-Z][A-Za-z'&/ -]{2,39}")
# What any product may have, or what Amazon knows of it rather than the product has.
_GENERIC = re.compile(
    r"brand.*|colou?r|asin|upc|ean|isbn.*|gtin|sku|style|size|department|language|series|theme|type|unit count"
    r"|material.*|shipping.*|certifications?|usage|specific uses.*"
    r"|manufacturer.*|best sellers rank|customer reviews|date first available|item .*|(?:part|model|style).*"
    r"|number of items|country.*|is discontinued.*|(?:package|product|item|assembled).*(?:dimensions|weight|quantity)"
    r"|.*(?:warranty|spare part|rank|included|batteries).*|recommended uses.*|special features?|other .*|domestic .*"
    r"|international .*|publisher|publication date|import.*|age range.*|target .*|occasion|pattern",
    re.I,
)
# Names and numbers rather than facts.
_UNASKED = re.compile(
    r"brand.*|manufacturer.*|.*(?:model|part number|asin|upc|isbn|rank|reviews?|date|dimensions|included|batteries).*"
    r"|series|country.*|publisher|import.*|.*(?:warranty|weight|keyword|store).*",
    re.I,
)
# What tells nothing, or what no title means in these words.
_VAGUE = re.compile(
    r" (?:yes|no|none|other|multi|multi ?colou?r(?:ed)?|assorted|various|n a|generic|standard|regular|universal|unknown"
    r"|not applicable|does not apply|as shown|default|modern|classic|basic|one size|unisex|adult|all|new|true|false) "
)
_TOKEN = re.compile(r"\d+(?:[.,]\d+)?|[^\W\d_]+")


class Fact(NamedTuple):
    name: str
    value: str
    flat: str  # the value as ``flat`` has it


def attributes(product: Product) -> list[str]:
    """Names that tell its type from others."""
    return [name for name in product.details if _NAME.fullmatch(name) and not _GENERIC.fullmatch(name)]


def facts(product: Product) -> Iterator[Fact]:
    """What may be asked for: "Material" is "Brass"."""
    for name, value in product.details.items():
        if isinstance(value, str) and len(value) <= _LONGEST and _NAME.fullmatch(name) and not _UNASKED.fullmatch(name):
            words = flat(value)
            if len(words) > 3 and not words.replace(" ", "").isdigit() and not _VAGUE.fullmatch(words):
                yield Fact(name, one_line(value), words)


def flat(text: str) -> str:
    """Its words and numbers between blanks, in lower case: what stands in a title is then found as a part of it."""
    return f" {' '.join(_TOKEN.findall(text.lower()))} "
