"""A product's description in another language, beside others of that language: translated by the model."""

from __future__ import annotations

from collections import defaultdict

from dataset_builders.held_out import held_out
from dataset_builders.sources import amazon_m2
from dataset_builders.synthesis.declare import Form, Seed, Seeds, Synthesis, Text, Unfit
from dataset_builders.synthesis.rules import in_language, same_numbers
from dataset_builders.synthesis.tasks._common import multiple_choice
from dataset_builders.task import Questions, RawData, Seeded
from dataset_builders.tasks._common import Recent, one_line, product_entity
from dataset_builders.tasks.multilingual_title import SITES

_SHORTEST, _LONGEST = 60, 400  # characters of a description
_WRONG = 3
_LANGUAGES = {"UK": "English"} | {locale: language for locale, (language, _) in SITES.items()}


class Description(Form):
    description: Text


def _seeds(raw: RawData, seeded: Seeded) -> Seeds:
    recent: defaultdict[str, Recent[tuple[str, str]]] = defaultdict(lambda: Recent(100))
    for row in amazon_m2.products(raw):
        text, entity = one_line(row.desc, _LONGEST), product_entity(row.id)
        if len(text) < _SHORTEST or held_out(entity):
            continue
        if seeded.wants(entity, row.locale):
            others = [locale for locale in sorted(_LANGUAGES) if locale != row.locale]
            target = others[seeded.digest(f"site {row.locale} {row.id}") % len(others)]
            drawn = recent[target].sample(seeded.rng(f"{row.locale}:{row.id}"), 3 * _WRONG)
            wrong = {other: shown for other, shown in drawn if other != entity and shown != text}
            if len(wrong) >= _WRONG:
                also = tuple(wrong)[:_WRONG]
                fields = {"description": text, "language": _LANGUAGES[target]}
                yield Seed(entity, fields | {"others": [wrong[name] for name in also]}, "", also, key=row.locale)
        recent[row.locale].add((entity, text))


def _questions(seed: Seed, answer: Description) -> Questions:
    given, language, made = seed.fields["description"], seed.fields["language"], one_line(answer.description)
    in_language(made, language)
    same_numbers(given, made)
    least, most = (0.2, 1.2) if language == "Japanese" else (0.5, 2.0)
    if made == given or not least * len(given) <= len(made) <= max(most, 5.0 * (given[0] > "\u2fff")) * len(given):
        raise Unfit("the length does not fit", "translate the whole description, no less and no more")
    yield multiple_choice(seed, {"description": given}, made, seed.fields["others"])


synthesis = Synthesis(__name__, Description, _seeds, _questions, tokens=500)
