"""Types of Amazon-M2's products, which have no column for them: what their English titles call them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from dataset_builders.sources.amazon_m2 import Product
from dataset_builders.tasks._lexicon import COLORS, MATERIAL, NO_TYPE
from dataset_builders.tasks._queries import kind_of

ENGLISH = "UK"  # the site
_BRANDS = 2  # that call a product so: a single one's name for it may be a model's


def types_of(row: Product) -> list[str]:
    """What the title may call the product, the most exact name first: "camping lantern", "lantern"."""
    words = kind_of(row).split()
    names = [" ".join(words[at:]) for at in range(len(words)) if words[-1] not in NO_TYPE | COLORS]
    return [name for name in names if name.split()[0] not in NO_TYPE | COLORS and not MATERIAL.match(f"{name} ")]


def shared_types(named: Mapping[str, tuple[str, Sequence[str]]]) -> dict[str, str]:
    """Product -> the most exact of its names that several brands use; given its brand and its names."""
    brands: defaultdict[str, set[str]] = defaultdict(set)
    for brand, names in named.values():
        for name in names:
            if len(brands[name]) < _BRANDS:
                brands[name].add(brand)
    found = {id: next((n for n in names if len(brands[n]) == _BRANDS), "") for id, (_, names) in named.items()}
    return {id: name for id, name in found.items() if name}
