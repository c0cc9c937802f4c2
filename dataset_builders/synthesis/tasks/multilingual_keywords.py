"""Keyword sets for listings in other languages: the seed is a listing, and lacks keywords of its own."""

from __future__ import annotations

from typing import Annotated

from dataset_builders.sources import amazon_m2
from dataset_builders.synthesis.declare import Form, Seed, Seeds, Short, Synthesis, Unfit, exactly
from dataset_builders.synthesis.rules import counted, different, in_language
from dataset_builders.synthesis.tasks._common import TITLE, multiple_choice
from dataset_builders.task import Questions, RawData, Seeded
from dataset_builders.tasks._common import one_line, product_entity, spelled
from dataset_builders.tasks.multilingual_title import SITES

_TEXT = 300  # characters of a description
_WORDS = Annotated[list[Short], exactly(4)]


class Keywords(Form):
    right: _WORDS
    wrong: Annotated[list[_WORDS], exactly(3)]


def _seeds(raw: RawData, seeded: Seeded) -> Seeds:
    for row in amazon_m2.products(raw):
        if row.locale in SITES and row.title and seeded.wants(product_entity(row.id), row.locale):
            fields = {"title": one_line(row.title, TITLE), "text": one_line(row.desc, _TEXT)}
            fields["language"] = SITES[row.locale][0]
            yield Seed(product_entity(row.id), fields, "", key=row.locale)


def _questions(seed: Seed, answer: Keywords) -> Questions:
    sets = [answer.right, *answer.wrong]
    for keywords in sets:
        different(keywords)
        for keyword in keywords:
            if "," in counted(keyword, 1, 4, "keyword"):
                raise Unfit("a comma in a keyword", f"{keyword!r} holds a comma")
    different([", ".join(sorted(keywords, key=str.casefold)) for keywords in sets])
    in_language(" ".join(keyword for keywords in sets for keyword in keywords), seed.fields["language"])
    text = f"{seed.fields['title']} {seed.fields['text']}"
    for keywords in answer.wrong:
        if all(keyword in answer.right or spelled(keyword, text) for keyword in keywords):
            raise Unfit("a wrong set is right", f"every keyword of {', '.join(keywords)!r} applies")
    right, *wrong = (", ".join(keywords) for keywords in sets)
    yield multiple_choice(seed, {"title": seed.fields["title"], "text": seed.fields["text"]}, right, wrong)


synthesis = Synthesis(__name__, Keywords, _seeds, _questions, tokens=300)
