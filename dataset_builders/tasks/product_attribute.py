"""The brand or the colour of a product, told by its listing.

https://github.com/amazon-science/esci-data
esci/shopping_queries_dataset_products.parquet (invented):

    product_id  product_title                     product_bullet_point   product_brand  product_color  product_locale
    B0EXAMPLE1  Aldwick Oak Bread Board, Brown    Oiled by hand          Aldwick        Brown          us
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from dataset_builders.sources import esci
from dataset_builders.task import Questions, RawData, Seeded, TaskType, task
from dataset_builders.tasks._brands import Brands
from dataset_builders.tasks._common import multiple_choice, one_line, product_entity
from dataset_builders.tasks._judgements import by_query, flat, stems
from dataset_builders.tasks._lexicon import family, is_color, without_idioms

_WRONG = 3
_TITLE, _TEXT = 200, 300  # characters that are shown
_KEPT = 8  # values for wrong options, of one word


@task(type=TaskType.MULTIPLE_CHOICE, source="esci", track=1, llm="reword", quotes=("title", "text"))
def build(raw: RawData, seeded: Seeded) -> Questions:
    # What a product is, its first query tells: the join holds the ids of the American products with it, and of
    # each word in queries the last few values that products with it had.
    kinds: dict[str, str] = {}
    for query, judged in by_query(raw, "us"):
        for row in judged:
            if row.label in "ES":
                kinds.setdefault(row.product_id, query)
    recent: defaultdict[tuple[str, str], dict[str, str]] = defaultdict(dict)
    brands = Brands(raw, "us")
    for product in esci.products(raw, "us"):
        if (kind := kinds.get(product.id)) is None:
            continue
        words, values = sorted(stems(kind)), _values(product, brands)
        if values and seeded.wants(product_entity(product.id)):
            seen = {name: [recent[name, word] for word in words] for name in values}
            yield from _question(product, values, seen, seeded)
        for name, right in values.items():
            for word in words:
                _remember(recent[name, word], right)


def _question(
    product: esci.Product, values: Mapping[str, str], seen: Mapping[str, Sequence[Mapping[str, str]]], seeded: Seeded
) -> Questions:
    """On one of the ``values`` that the listing names, at most; ``seen`` are those of products like it."""
    title, text = one_line(product.title, _TITLE), one_line(product.bullet_point or product.description, _TEXT)
    shown = _key(f"{title} {text}")
    rng = seeded.rng(entity := product_entity(product.id))
    for name, right in rng.sample(sorted(values.items()), len(values)):
        # Black & Decker is no colour, nor is white out.
        named = shown if name == "brand" else without_idioms(shown.replace(_key(product.brand), "  "))
        if _key(right) not in named:
            continue
        wrong = _wrong(rng, seen[name], _key(right), shown)
        if len(wrong) == _WRONG:
            yield multiple_choice(rng, entity, {"title": title, "text": text, "attribute": name}, right, wrong)
            return


def _wrong(rng: random.Random, seen: Sequence[Mapping[str, str]], right: str, shown: str) -> list[str]:
    """Values of products whose queries share words with this one's, the more the better, that the listing does not
    name and that are not the right one in other words, as are Navy Blue and Navy for Blue."""
    counts = Counter(key for values in seen for key in values)
    texts = {key: value for values in seen for key, value in values.items()}
    parts = family(right.split())
    fit = [key for key in counts if key not in shown and parts.isdisjoint(key.split())]
    rng.shuffle(fit)
    return [texts[key] for key in sorted(fit, key=lambda key: -counts[key])[:_WRONG]]


def _remember(values: dict[str, str], value: str) -> None:
    values.pop(_key(value), None)
    values[_key(value)] = value
    if len(values) > _KEPT:
        del values[next(iter(values))]


def _values(product: esci.Product, brands: Brands) -> dict[str, str]:
    brand, color = one_line(product.brand), one_line(product.color)
    values = {"color": color} if is_color(color) else {}
    if brands.names_whole(brand):
        values["brand"] = brand
    return values


def _key(text: str) -> str:
    return flat(text).replace(" gray ", " grey ")
