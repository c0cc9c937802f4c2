"""Amazon Reviews 2023: reviews and products' metadata, one pair of files for each category.

Stars follow from the wording: how it opens, and how many good and bad sentences on aspects there are.
Helpful votes grow with what a review tells: aspects and concrete facts.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dataset_builders.sample_shop.catalogue import EN, ProductType
from dataset_builders.sample_shop.draws import Draw
from dataset_builders.sample_shop.tables import Shop, Table, encode, jsonl_gz
from dataset_builders.sample_shop.words import Product, asin, bullets, description, details, price_text, stock, title

# Mirrors hold `details` as a JSON string and every price as text; the file of this category is like theirs.
MIRROR_CATEGORY = "Pet_Supplies"
_STARS = (1,) * 14 + (2,) * 12 + (3,) * 16 + (4,) * 22 + (5,) * 36  # in percent
# stars -> (good, bad) sentences, one of two mixes
_MIX = {1: ((0, 2), (0, 3)), 2: ((1, 2), (0, 2)), 3: ((1, 1), (2, 2)), 4: ((2, 1), (3, 1)), 5: ((2, 0), (3, 0))}
_A_CUSTOMER = 4  # reviews, in turn on things of two types that go together
_SIZES = ("small", "medium", "large")
_START_MS, _SPAN_MS = 1_420_070_400_000, 270_000_000_000  # from January 2015, eight and a half years


def _sentences(kind: ProductType, stars: int, draw: Draw) -> list[str]:
    """An opener, then good and bad sentences on different aspects, good ones first."""
    good, bad = draw.pick(_MIX[stars])
    aspects = draw.some(kind.aspects, good + bad)
    said = [draw.pick(aspect.good) for aspect in aspects[:good]]
    said += [draw.pick(aspect.bad) for aspect in aspects[good:]]
    return [draw.pick(kind.openers[stars - 1]), *said]


def _facts(shop: Shop, item: Product, draw: Draw) -> list[str]:
    """Up to three concrete remarks; they do not lean to any stars."""
    color = item.color[EN].lower() if item.color else "plain"
    chosen = draw.some(shop.catalogue.facts, (0, 0, 1, 1, 2, 3)[draw.below(6)])
    return [fact.format(n=draw.between(2, 9), color=color, brand=item.brand) for fact in chosen]


def review_text(shop: Shop, item: Product, stars: int, draw: Draw) -> tuple[str, int]:
    """The text of a review and its helpful votes."""
    said, facts = _sentences(item.kind, stars, draw), _facts(shop, item, draw)
    votes = max(0, 6 * len(facts) + 3 * (len(said) - 3) + draw.below(3))
    return " ".join([*said, *facts]), votes


def _image(code: str) -> dict[str, str]:
    urls = {f"{size}_image_url": f"https://images.example.org/{code}_{size[0]}.jpg" for size in _SIZES}
    return {**urls, "attachment_type": "IMAGE"}


def _review_rows(shop: Shop, category: str, total: int) -> Iterator[dict[str, Any]]:
    kinds = [kind.index for kind in shop.catalogue.types_of(category)]
    for number in range(total):
        draw = Draw(shop.seed, f"review {category}", number)
        customer = Draw(shop.seed, f"customer {category}", number // _A_CUSTOMER)
        first = shop.catalogue.types[customer.pick(kinds)]
        second = customer.pick([kind for kind in first.goes_with if kind in kinds] or [first.index])
        index = shop.any_of((first.index, second)[number % 2], draw, percent=40)
        item = stock(shop.catalogue, shop.seed, index)
        stars = draw.pick(_STARS)
        text, votes = review_text(shop, item, stars, draw)
        yield {
            "rating": float(stars),
            "title": draw.pick(shop.catalogue.headlines[stars - 1]),
            "text": text,
            "images": [_image(item.id)] if draw.chance(5) else [],
            # A variant (another colour) has its own asin under the common parent.
            "asin": item.id if draw.chance(70) else asin(index, "B1"),
            "parent_asin": item.id,
            "user_id": f"AE{customer.token(26)}",
            "timestamp": _START_MS + draw.below(_SPAN_MS),
            "helpful_vote": votes,
            "verified_purchase": draw.chance(88),
        }


def _price(item: Product, draw: Draw, mirror: bool) -> float | str | None:
    turn = draw.below(10)
    if turn < 2:
        return "None" if mirror else None
    if turn < 3:
        return f"from {price_text(item.cents)}"
    return price_text(item.cents) if mirror else item.cents / 100


def _listed_as(shop: Shop, item: Product, draw: Draw) -> str:
    """Its title; some sellers leave out the last parts of it, or all but the brand and the type."""
    whole, turn = title(shop.catalogue, item, EN), draw.below(10)
    if turn < 3 and item.topic is None:
        return f"{item.brand} {item.kind.names[EN]}"
    return whole.partition(", ")[0] if turn < 4 else whole


def _partners(shop: Shop, item: Product, draw: Draw) -> list[str]:
    """Ids of products whose types go with this one."""
    return [asin(shop.any_of(kind, draw)) for kind in draw.some(item.kind.goes_with, 2)]


def _meta_rows(shop: Shop, category: str) -> Iterator[dict[str, Any]]:
    mirror = category == MIRROR_CATEGORY
    types = len(shop.catalogue.types)
    kinds = {kind.index for kind in shop.catalogue.types_of(category)}
    for index in (i for i in range(shop.products) if i % types in kinds):
        item, draw = stock(shop.catalogue, shop.seed, index), Draw(shop.seed, "meta", index)
        facts: dict[str, str] = {"Brand": item.brand, **details(item)}
        for name, word in (("Color", item.color), ("Material", item.material), ("Size", item.size)):
            if word is not None:
                facts[name] = word[EN]
        facts["Item model number"] = item.model
        row = {
            "main_category": shop.catalogue.titles[category],
            "title": _listed_as(shop, item, draw),
            "average_rating": draw.between(25, 50) / 10,
            "rating_number": draw.between(1, 4_000),
            "features": bullets(shop.catalogue, item, EN) if draw.chance(90) else [],
            "description": [description(shop.catalogue, item, EN), item.kind.about][: 2 * draw.chance(80)],
            "price": _price(item, draw, mirror),
            "images": [{"thumb": f"https://images.example.org/{item.id}_t.jpg", "variant": "MAIN"}],
            "videos": [],
            "store": item.brand if draw.chance(95) else None,
            "categories": list(item.kind.path),
            "details": encode(facts) if mirror else facts,
            "parent_asin": item.id,
            "bought_together": _partners(shop, item, draw) if draw.chance(60) else None,
        }
        if item.author is not None:
            row |= {"subtitle": f"{item.binding[EN] if item.binding else ''} edition", "author": item.author}
        yield row


def tables(shop: Shop) -> list[Table]:
    """For each category its reviews, as many as its share of the types, and its metadata."""
    out, types = list[Table](), shop.catalogue.types
    for category in shop.catalogue.categories:
        share = len(shop.catalogue.types_of(category)) / len(types)
        total = max(1, round(shop.count(3_000) * share))
        meta = sum(1 for index in range(shop.products) if types[index % len(types)].category == category)
        rows, products = _review_rows(shop, category, total), _meta_rows(shop, category)
        out += [
            Table(f"amazon_reviews/raw/review_categories/{category}.jsonl.gz", total, rows, jsonl_gz),
            Table(f"amazon_reviews/raw/meta_categories/meta_{category}.jsonl.gz", meta, products, jsonl_gz),
        ]
    return out
