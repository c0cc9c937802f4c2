"""The title a product has on another country's Amazon site, given its British title.

https://www.aicrowd.com/challenges/amazon-kdd-cup-23-multilingual-recommendation-challenge
amazon_m2/products_train.csv, ids that are sold in both countries (id, locale, title, ...; invented):

    B0EXAMPLE1,UK,"Aldwick Oak Bread Board, Large",18.99,Aldwick,...
    B0EXAMPLE1,DE,"Aldwick Brotbrett aus Eiche, groß",21.49,Aldwick,...
"""

from __future__ import annotations

import re

from dataset_builders.sources import amazon_m2
from dataset_builders.task import Question, Questions, RawData, Seeded, TaskType, task
from dataset_builders.tasks._common import one_line, product_entity

# locale -> (language, country)
SITES = {
    "DE": ("German", "Germany"),
    "ES": ("Spanish", "Spain"),
    "FR": ("French", "France"),
    "IT": ("Italian", "Italy"),
    "JP": ("Japanese", "Japan"),
}
_END = re.compile(r"[.!?][\"'”’)]*$")
_WORD = re.compile(r"[^\W\d_]+")
_LEAST, _SMALL = 5, 0.5  # words of a sentence, and the share of them that begin small


@task(type=TaskType.GENERATION, source="amazon_m2", track=4, llm="construct")
def build(raw: RawData, seeded: Seeded) -> Questions:
    # The join holds every British title (half a million); the other sites are then streamed past them.
    british = {row.id: one_line(row.title) for row in amazon_m2.products(raw) if row.locale == "UK"}
    for row in amazon_m2.products(raw):
        if row.locale not in SITES or not (title := british.get(row.id)) or not seeded.wants(product_entity(row.id)):
            continue
        if is_sentence(title):
            raw.lacking["whose title is a sentence"] += 1
        elif other := one_line(row.title):
            language, country = SITES[row.locale]
            fields = {"title": title, "language": language, "country": country}
            yield Question(product_entity(row.id), fields, other)


def is_sentence(title: str) -> bool:
    """Whether what stands for an English title is running text: mirrors fill the column from corpora of translations.

    >>> is_sentence("Time is also how we compare the length of events."), is_sentence("Oak Bread Board, Extra Large.")
    (True, False)
    """
    words = _WORD.findall(title)
    small = sum(word[0].islower() for word in words)
    return len(words) >= _LEAST and _END.search(title) is not None and small >= _SMALL * len(words)
