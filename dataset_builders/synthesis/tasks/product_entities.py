"""Entities of product titles: the seed has the columns that the file fills, and lacks the others."""

from __future__ import annotations

from dataset_builders.sources import amazon_m2
from dataset_builders.synthesis.declare import Form, Seed, Seeds, Short, Synthesis, Unfit
from dataset_builders.synthesis.tasks._common import TITLE, found_entities
from dataset_builders.task import Question, Questions, RawData, Seeded
from dataset_builders.tasks._common import one_line, product_entity, spelled

_TYPES = ("brand", "color", "material", "size")


class Entities(Form):
    brand: list[Short]
    color: list[Short]
    material: list[Short]
    size: list[Short]


def _seeds(raw: RawData, seeded: Seeded) -> Seeds:
    for row in amazon_m2.products(raw):
        if seeded.wants(product_entity(row.id), row.locale) and (title := one_line(row.title, TITLE)):
            known = {name: value for name in _TYPES if (value := one_line(getattr(row, name), 80))}
            yield Seed(product_entity(row.id), {"title": title, "known": known}, "", key=row.locale)


def _questions(seed: Seed, answer: Entities) -> Questions:
    title, known = seed.fields["title"], seed.fields["known"]
    for name, phrases in found_entities(answer, title, "title").items():
        value = spelled(known.get(name, "") or "\0", title)
        if value and not any(value.lower() in p.lower() or p.lower() in value.lower() for p in phrases):
            raise Unfit("not what the column says", f"the {name} is known to be {value!r}")
        yield Question(seed.entity, {"title": title, "entity_type": name}, phrases, key=seed.key)


synthesis = Synthesis(__name__, Entities, _seeds, _questions, tokens=160)
