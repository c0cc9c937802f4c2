"""What the builders on ECInstruct share: gaps in its rows, the right option, names for what has no id."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from dataset_builders.raw import RawData
from dataset_builders.sources.ecinstruct import Example, TaskName, examples
from dataset_builders.task import Question, Seeded
from dataset_builders.tasks._common import digest, distinct, multiple_choice, one_line, query_entity
from dataset_builders.tasks._esci import told
from dataset_builders.tasks._judgements import words_of

_LONGEST = 200  # characters of a title; few are longer
_SCRIPT = "getTime("  # in place of some titles: Amazon's pages of 2018 were not always read well
# Shares of a query's words in titles: of what serves it at least, of what is irrelevant at most, of what fits exactly.
SERVES, NEARLY, ALL = 0.4, 2 / 3, 0.8
_OPPOSITE = {"yes": "no", "no": "yes"}


def field(values: object, key: str, limit: int = _LONGEST) -> str:
    """``values[key]`` on one line; "" where nothing is there, which pandas left as NaN or "nan"."""
    found = values.get(key) if isinstance(values, Mapping) else None
    return _told(str(found), limit) if isinstance(found, str | int | float) else ""


def unmarked(line: str) -> str:
    """What follows the mark of a listed thing: "A: ", "1st: "."""
    return _told(line.partition(": ")[2], _LONGEST)


def _told(text: str, limit: int) -> str:
    return "" if text.lower() == "nan" or _SCRIPT in text else one_line(text, limit)


def snippets(row: Example) -> list[str]:
    """What reviews say, each piece on one line."""
    found = row.input.get("document") if isinstance(row.input, Mapping) else None
    return distinct(filter(None, map(one_line, map(str, found)))) if isinstance(found, list) else []


def title_entity(title: str) -> str:
    """ECInstruct shows no ids: a product goes by its title, in whichever of the tasks."""
    return f"title:{digest(title.lower())}"


def review_entity(review: str) -> str:
    """Nor has a review one: it goes by its text."""
    return f"ecinstruct:{digest(review)}"


def lettered(row: Example) -> tuple[str, list[str]]:
    """The right option and the wrong ones, without their letters: the contest numbers its options.

    The output is one of the options, or only its letter. ``("", [])`` if it is neither.
    """
    right = next((unmarked(option) for option in row.options if row.output in (option, option.partition(":")[0])), "")
    texts = distinct(filter(None, [right, *map(unmarked, row.options)]))  # the authors' cuts make some the same
    return (right, texts[1:]) if right and len(texts) > 1 else ("", [])


def on_query_and_title(
    raw: RawData,
    seeded: Seeded,
    name: TaskName,
    key: str,
    choices: Callable[[Example], tuple[str, list[str]]],
    may_be: Callable[[str, float], bool],
) -> Iterator[Question]:
    """A multiple choice on a query and the product under ``key``; ``choices``: ``lettered`` or ``yes_or_no``.

    ``may_be``: whether an answer can be right where the title has that share of the query's words. Labels of published
    rows are at times those of another row, and what nothing tells cannot be learnt.
    """
    for row in examples(raw, name):
        query, title = field(row.input, "query"), field(row.input, key)
        right, wrong = choices(row)
        if query and title and right:
            if not may_be(right, told(query, words_of(title))):
                raw.lacking["whose title does not have the query's words that its label says"] += 1
                continue
            rng, fields = seeded.rng(f"{query}\n{title}"), {"query": query, "title": title}
            yield multiple_choice(rng, query_entity(query), fields, right, wrong, [title_entity(title)])


def yes_or_no(row: Example) -> tuple[str, list[str]]:
    """The right answer and the wrong one, to be asked as a multiple choice; ``("", [])`` if it is neither."""
    right = row.output.lower()
    return (right, [_OPPOSITE[right]]) if right in _OPPOSITE else ("", [])


def ranked(row: Example) -> list[str]:
    """The titles of Query_Product_Ranking, best first, no two of them with one label; none unless the output orders
    exactly those that are listed."""
    listed = row.input.get("product list") if isinstance(row.input, Mapping) else None
    lines = [str(line).partition(":") for line in listed] if isinstance(listed, list) else []
    titles = {letter: one_line(title, _LONGEST) for letter, _, title in lines}
    order = [letter.strip() for letter in row.output.split(",")]
    whole = sorted(order) == sorted(titles) and len(distinct(filter(None, titles.values()))) == len(lines)
    return [titles[letter] for letter in order] if whole else []
