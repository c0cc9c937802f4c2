"""Faults of real files, laid over the shop's rows as often as real files have them.

Rates are in percent of rows. Counted in 2,450 reviews and 2,032 titles of Amazon Fashion and in 724 queries of ESCI,
all as published, unless a comment says otherwise.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from dataset_builders.sample_shop.draws import Draw
from dataset_builders.sample_shop.tables import Table

_NUMBERS = ("One", "Two", "Three", "Four", "Five")
_PEOPLE = ("Women", "Men", "Girls", "Boys", "Kids")
# Leaves of category paths that name no product; one real path in ten ends in such a one (of 500).
_VAGUE = ("Exterior", "Casual", "Black", "Universal Fit", "Dry", "Interior", "Accessories")
_HEADINGS = ("Quality", "For you", "Service", "Size", "Warm tip")
_SYLLABLES = tuple(a + b for a in ("br", "d", "f", "k", "l", "m", "p", "s", "t", "v", "w", "z") for b in "aeiou")


def noisy(table: Table, seed: int) -> Table:
    """The table with its rows' faults; as it is, where real files of its kind have none."""
    for beginning, fault in _FAULTS.items():
        if table.name.startswith(beginning):
            return replace(table, rows=_faulty(table, fault, seed))
    return table


def _faulty(table: Table, fault: Callable[[Any, Draw], Any], seed: int) -> Iterator[Any]:
    for number, row in enumerate(table.rows):
        # A query stands in many rows, and is mistyped alike in all of them.
        of = row[_QUERY_ID] if fault is _example else number
        yield fault(row, Draw(seed, f"noise {table.name}", of))


def _mistyped(text: str, draw: Draw) -> str:
    """Two letters of a long word have changed places."""
    words = text.split(" ")
    long = [place for place, word in enumerate(words) if len(word) > 4]
    if long:
        place = draw.pick(long)
        word, at = words[place], draw.between(1, len(words[place]) - 3)
        words[place] = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    return " ".join(words)


def _name(draw: Draw) -> str:
    """Of a line of products: a word that hardly any other title has."""
    return "".join(draw.pick(_SYLLABLES) for _ in range(draw.between(2, 3))).capitalize()


def _title(text: str, draw: Draw) -> str:
    """As sellers write it: the line's name, for whom, how many, how large."""
    ends = [
        f" {_name(draw)}" if draw.chance(60) else "",  # ours: 4,413 different words in 28,360 want some such share
        f" for {draw.pick(_PEOPLE)}" if draw.chance(14) else "",
        f" {draw.between(3, 30)}mm" if draw.chance(8) else "",
        f" Pack of {draw.between(2, 6)}" if draw.chance(7) else "",
    ]
    return text + "".join(ends)


def _prose(text: str, draw: Draw) -> str:
    """A description in HTML, as a fifth of them are; that share is ours."""
    turn = draw.below(20)
    if turn < 2:
        return f"<p>{html.escape(text).replace('. ', '.</p><p>')}</p>"
    if turn < 4:
        return html.escape(text).replace(". ", ".<br><br>&nbsp;")
    return text


def _review(row: dict[str, Any], draw: Draw) -> dict[str, Any]:
    stars, text = int(row["rating"]), row["text"]
    if draw.chance(13):  # fewer than four words in a real one, here its first sentence
        text = text.partition(". ")[0]
    if draw.chance(2):
        text += f" I can only give it {stars} stars."
    if draw.chance(3):
        text = html.escape(text + ' Sizes run "small".')
    if draw.chance(8):
        text = text.replace(". ", ".<br /><br />", 1)
    if draw.chance(1):
        text = text.replace(". ", ".")
    if draw.chance(5):  # ours
        text = _mistyped(text, draw)
    if draw.chance(1):  # 0.6
        text = text.upper()
    if draw.chance(1):
        text += " \N{THUMBS UP SIGN}"
    if draw.below(1_000) < 4:
        text = f"[[VIDEOID:{draw.token(32).lower()}]] {text}"
    title = f"{_NUMBERS[stars - 1]} Star{'s' * (stars > 1)}" if draw.chance(20) else row["title"]
    return {**row, "title": title, "text": "" if draw.below(1_000) < 1 else text}


def _product(row: dict[str, Any], draw: Draw) -> dict[str, Any]:
    title, told, path = _title(row["title"], draw), row["description"], row["categories"]
    if draw.chance(10):
        path = [*path, draw.pick(_VAGUE)]
    if draw.chance(5):  # ours: All_Beauty has no path at all, others some
        path = []
    if told and draw.chance(5):  # ours: a description that says the title again
        told = [f"{title}.", *told[1:]]
    return {**row, "title": title, "description": [_prose(text, draw) for text in told], "categories": path}


_QUERY, _QUERY_ID = 1, 2  # columns of esci's examples


def _example(row: tuple[Any, ...], draw: Draw) -> tuple[Any, ...]:
    query, turn = row[_QUERY], draw.below(100)
    if turn < 5:  # something that is neither letter, digit nor hyphen
        query = draw.pick((f"!{query}", f"{query} 1/2", query.replace(" ", " & ", 1)))
    elif turn < 9:  # ours
        query = _mistyped(query, draw)
    elif turn < 10:
        query = query.upper()
    return (*row[:_QUERY], query, *row[_QUERY + 1 :])


def _listing(row: tuple[Any, ...], draw: Draw) -> tuple[Any, ...]:
    """Of ESCI's products: id, title, description, bullet points and more."""
    code, title, told, points, *more = row
    title = _title(title, draw)
    if told:
        told = f"{title}." if draw.chance(5) else _prose(told, draw)  # ours
    if points and draw.chance(10):  # ours: each with a heading in lenticular brackets
        points = "\n".join(f"\u3010{draw.pick(_HEADINGS)}\u3011{line}" for line in points.split("\n"))
    return (code, title, told, points, *more)


def _m2_product(row: tuple[Any, ...], draw: Draw) -> tuple[Any, ...]:
    """Of Amazon-M2's products: id, locale, title, ..., description; 4 in 100 real ones have no title."""
    *start, told = row
    start[2] = None if draw.chance(4) else _title(start[2], draw)
    return (*start, told and _prose(told, draw))


_FAULTS: dict[str, Callable[[Any, Draw], Any]] = {
    "amazon_reviews/raw/review_categories/": _review,
    "amazon_reviews/raw/meta_categories/": _product,
    "amazon_m2/products_train": _m2_product,
    "esci/shopping_queries_dataset_examples": _example,
    "esci/shopping_queries_dataset_products": _listing,
}
