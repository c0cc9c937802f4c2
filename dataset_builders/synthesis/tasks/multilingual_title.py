"""Titles for another country's site, of products that no other site sells: translated by the model."""

from __future__ import annotations

from dataset_builders.sources import amazon_m2
from dataset_builders.synthesis.declare import Form, Seed, Seeds, Synthesis, Text, Unfit
from dataset_builders.synthesis.rules import different, in_language, same_numbers
from dataset_builders.synthesis.tasks._common import TITLE, ask
from dataset_builders.task import Questions, RawData, Seeded
from dataset_builders.tasks._common import one_line, product_entity, spelled
from dataset_builders.tasks.multilingual_title import SITES


class Title(Form):
    title: Text


def _seeds(raw: RawData, seeded: Seeded) -> Seeds:
    for row in amazon_m2.products(raw):
        if row.locale == "UK" and seeded.wants(product_entity(row.id)) and (title := one_line(row.title, TITLE)):
            language, country = SITES[sorted(SITES)[seeded.digest(f"site {row.id}") % len(SITES)]]
            brand = spelled(row.brand, title) or ""
            yield Seed(
                product_entity(row.id), {"title": title, "brand": brand, "language": language, "country": country}, ""
            )


def _questions(seed: Seed, answer: Title) -> Questions:
    given, made, language = seed.fields["title"], one_line(answer.title), seed.fields["language"]
    different([given, made])
    in_language(made, language)
    same_numbers(given, made)
    least, most = (0.15, 1.2) if language == "Japanese" else (0.5, 2.0)
    if not least * len(given) <= len(made) <= most * len(given) + 20:
        raise Unfit("the length does not fit", "the title must say what the given one says, no less and no more")
    if language != "Japanese" and seed.fields["brand"].lower() not in made.lower():
        raise Unfit("the brand was lost", f"the brand {seed.fields['brand']!r} stays as it is")
    yield ask(seed, {key: seed.fields[key] for key in ("title", "language", "country")}, made)


synthesis = Synthesis(__name__, Title, _seeds, _questions, tokens=250)
