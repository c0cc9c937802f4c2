"""Which of four devices a part or an accessory fits, by what its listing states.

https://amazon-reviews-2023.github.io
amazon_reviews/raw/meta_categories/meta_{Cat}.jsonl, titles, features and `details` (invented, shortened):

    {"title": "Fernhill Clear Case", "categories": ["Electronics", "Cases", "Phone Cases"], "parent_asin": "B0EXAMPLE9",
     "features": ["Compatible with Lorvik P5 and Lorvik P7."], "details": {"Compatible Phone Models": "Lorvik P5"}, ...}
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

from dataset_builders.sources import amazon_reviews
from dataset_builders.task import Questions, RawData, Seeded, TaskType, task
from dataset_builders.tasks._common import Recent, distinct, multiple_choice, one_line, product_entity
from dataset_builders.tasks._lexicon import COLORS, NO_TYPE
from dataset_builders.tasks._product_types import path_of

_WRONG, _DRAWN, _POOL = 3, 24, 200  # wrong devices; of so many drawn; of so many remembered for each product type
_ASKED, _LONGEST = 3, 300  # devices of one product; characters of a title or a statement
_MODELS = 2  # words with a number in one device: "Lorvik 12 LV9300"
_KEY = re.compile(r"(?:compatible [a-z ]{3,25}|[a-z ]{3,25} compatibility)", re.I)
_STATES = re.compile(
    r"\b(?:(?P<plain>for)|(?:compatible|works?) (?:with|for)|fits(?: for)?|compatible [a-z ]{3,25}:"
    r"|[a-z]{3,12} compatibility:)\s+(?P<devices>(?:[^.;:|()\[\]!?]|\.(?=\d)){3,200})",
    re.I,
)
_SENTENCE = re.compile(r"(?<=[.!?;])\s+")
# It may fit what it does not name, or not fit what it names.
_WIDE = re.compile(
    r"\b(?:universal|all|most|many|any|other|others|series|later|newer|earlier|older|above|up|through|thru|to|etc"
    r"|similar|more|generation|gen)\b|\d\s?[-–~]\s?\w|\+",
    re.I,
)
_DENIED = re.compile(r"\b(?:not|no|except|without|incompatible)\b|n['’]t\b", re.I)
_BETWEEN = re.compile(r"\s*(?:[,/&]|\band\b|\bor\b)\s*")
# A device ends in its model: "Lorvik P5", "Lorvik 12 Pro", not "Lorvik P5 clear".
_DEVICE = re.compile(r"(?=.*[A-Z])(?=.*\d)[A-Za-z][\w-]*(?: [\w-]+){0,4}")
_MODEL = re.compile(r"\w*\d\w*|pro|max|plus|mini|ultra|lite|air|xl|fe|se", re.I)
# What need not have the shape of a device fits others of its maker as well.
_FITS_MANY = re.compile(
    r"\b(?:charg\w+|cables?|cords?|adapt[eo]rs?|trackers?|power banks?|stands?|mounts?|holders?|headphones?|headsets?"
    r"|ear(?:buds|phones)|speakers?|stylus\w*|keyboards?|controllers?|remotes?|docks?|armbands?|bags?|pouch(?:es)?)\b"
)
_NO_DEVICE = re.compile(r"(?:usb|bluetooth|windows|mac ?os|ios|android|hdmi|ac|dc|led|type)\b", re.I)
# Sizes, counts and years: "Girls 6mm", "Women Pack of 4", "Summer 2019".
_MEASURE = re.compile(
    r"\d+(?:[.,]\d+)?(?:mm|cm|m|in|inch|ft|oz|lbs?|kg|g|ml|l|v|w|mah|[gt]b|hz|pcs?|pk|packs?|pairs?|years?|yrs?|months?)"
    r"|(?:19|20)\d\d|\d+x\d+|of|sizes?|ages?|packs?|pcs|pieces?|sets?|pairs?|count|years?|months?|grades?|class|levels?",
    re.I,
)
_PLAIN = re.compile(r"[A-Z][a-z]+(?: [A-Z]?[a-z]+){0,2}")  # what has no model: "Induction"


class _Statement(NamedTuple):
    text: str  # empty if the title says it
    devices: list[str]


@task(type=TaskType.MULTIPLE_CHOICE, source="amazon_reviews", track=2, llm="construct", quotes=("title", "statement"))
def build(raw: RawData, seeded: Seeded) -> Questions:
    for category in amazon_reviews.categories(raw):
        pools: defaultdict[tuple[str, bool], Recent[str]] = defaultdict(lambda: Recent(_POOL))
        families: set[str] = set()  # "Lorvik", as something was stated to be compatible with one of them
        for product in amazon_reviews.products(raw, category):
            if not (path := path_of(product)) or not (stated := _statements(product, families)):
                continue
            entity, text = product_entity(product.parent_asin), _text(product)
            rng = seeded.rng(entity)
            fields = {"title": one_line(product.title, _LONGEST), "statement": stated[0].text}
            for device in stated[0].devices[:_ASKED] if seeded.wants(entity) else ():
                # Of the product's type, and where these are too few, of the whole category.
                drawn = (pools[kind, _plain(device)].sample(rng, _DRAWN) for kind in (path[-1], path[0]))
                wrong = _unnamed(distinct(chain(*drawn)), text)
                if len(wrong) == _WRONG:
                    yield multiple_choice(rng, entity, fields, device, wrong)
            for device in distinct(device for statement in stated for device in statement.devices):
                for kind in (path[-1], path[0]):
                    pools[kind, _plain(device)].add(device)


def _plain(device: str) -> bool:
    return _PLAIN.fullmatch(device) is not None


def _unnamed(devices: Sequence[str], text: str) -> list[str]:
    """Those of which nothing stands in ``text``: what fits a 12 may fit a 12s, and a charger fits all of a maker's."""
    words, wide = set(re.findall(r"\d+|[a-z]+", text)), _FITS_MANY.search(text)
    return [
        device
        for device in devices
        if not (_telling(device.lower()) | set(re.findall(r"[a-z]+", device.lower()) if wide else ())) & words
    ][:_WRONG]


def _telling(device: str) -> set[str]:
    """The numbers of its model; all words where it has none."""
    return set(re.findall(r"\d+", device) or device.split())


def _statements(product: amazon_reviews.Product, families: set[str]) -> list[_Statement]:
    """What the features, the details and the title say that it fits; empty where that may be more than is named.

    "For" alone may be followed by anybody and anything: it counts before devices of ``families``, which those add to
    that something is said to be compatible with.
    """
    title = one_line(product.title)
    details = (f"{key}: {value}" for key, value in product.details.items() if _KEY.fullmatch(key))
    found = []
    features = (sentence for feature in product.features for sentence in _SENTENCE.split(one_line(feature)))
    for text in (*features, *details, title):
        for states in _STATES.finditer(text):
            devices = [name for name in _BETWEEN.split(states["devices"].strip()) if _is_device(name, states[0])]
            if states["plain"]:
                devices = [name for name in devices if _family(name) in families]
            else:
                families.update(_family(name) for name in devices if not _plain(name))
            if devices and (len(text) > _LONGEST or _WIDE.search(states[0]) or _DENIED.search(text)):
                return []
            if devices:
                found.append(_Statement("" if text is title else text, devices))
    return found


def _is_device(name: str, statement: str) -> bool:
    if "ompatibility:" in statement:
        return _plain(name)
    words = name.split()
    if len(words) < 2 or not _DEVICE.fullmatch(name) or _NO_DEVICE.match(name):
        return False
    # "HP 92 HP 93" are two, "Women 38" are none.
    one = words[0].isalpha() and len({word.lower() for word in words}) == len(words) and words[0].lower() not in NO_TYPE
    models = sum(any(map(str.isdigit, word)) for word in words)
    anything = any(_MEASURE.fullmatch(word) or word.lower() in COLORS for word in words)
    return one and models <= _MODELS and not anything and bool(_MODEL.fullmatch(words[-1]))


def _family(device: str) -> str:
    return device.split()[0].lower()


def _text(product: amazon_reviews.Product) -> str:
    """All in which a device may be named."""
    details = (str(value) for key, value in product.details.items() if _KEY.fullmatch(key))
    return " ".join([product.title, *product.features, *product.description, *details]).lower()
