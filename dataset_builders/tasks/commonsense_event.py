"""Which of four events causes an event, follows from it, prevents it, or is prevented by it.

https://github.com/hendrycks/test
mmlu/auxiliary_train.csv (no header; question, 4 choices, letter; invented):

    What will most likely happen if a puddle stands in the sun?,It freezes.,It dries up.,It turns green.,It boils.,B
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from dataset_builders.sources import mmlu
from dataset_builders.task import Questions, RawData, Seeded, TaskType, task
from dataset_builders.tasks._common import mmlu_entity, multiple_choice
from spine.yamlfile import read_lists

_LONGEST_STEM, _LONGEST_CHOICE = 180, 60  # characters; the rest are passages and whole arguments
_MOST_WORDS = 12


def _patterns(file: Path) -> Iterator[tuple[str, re.Pattern[str]]]:
    """Relation and stem, in the order in which they are tried."""
    raw = read_lists(file)
    for relation, stems in raw["stems"].items():
        for stem in stems:
            for name, part in raw["parts"].items():
                stem = stem.replace(f"<{name}>", part)
            yield relation, re.compile(stem, re.I)


_PATTERNS = [*_patterns(Path(__file__).with_name("_commonsense_event.yaml"))]
_TURNED = re.compile(r"\b(?:not|never|except|least|greatest|cannot)\b|n't\b|_", re.I)
# An event of its own: it does not go on with something said before, and nothing is asked in it.
_EVENT = re.compile(
    r"(?!(?:if|when|it|they|he|she|we|you|then|there|according)\b)"
    r"(?!.*\b(?:this|these|that|those|following|because|what|which|who|whose|how|why)\b)[^.?!:;]{4,}",
    re.I,
)
# Words of science, law and trade are long, of Latin or Greek make, or abbreviations and figures: an expansion of the
# money supply and polyteny are no everyday matters, a cup that falls is one.
_ACADEMIC = re.compile(
    r"\b(?:\w{13,}|\w{5,}(?:[ts]ions?|somes?|ous|itis|sis)|\w{4,}(?:ives?|[ae]nc(?:es?|y)|it(?:y|ies)|ics|isms?|oids?|ucts?)"
    r"|\w{3,}(?:dromes?|ogens?|olog\w+|opol\w+|[ct]ial|onal|mental|ical|plasms?|trophs?|polic\w+))\b"
    r"|\b[A-Z]{2}|\w-[A-Z]|[\d%$(\"/]"
)
_NO_EVENT = re.compile(r"(?:all|none|both|neither|either|any|each) of |both |of |[a-d] and [a-d]\b", re.I)


@task(type=TaskType.MULTIPLE_CHOICE, source="mmlu", track=2, llm="construct")
def build(raw: RawData, seeded: Seeded) -> Questions:
    for item in mmlu.auxiliary(raw):
        if len(item.question) > _LONGEST_STEM or (found := _read(" ".join(item.question.split()))) is None:
            continue
        relation, event, rest = found
        options = [" ".join(choice.split()).rstrip(" .") for choice in item.choices]
        if _ACADEMIC.search("\n".join((event, *options))):
            raw.lacking["of academic words"] += 1
        elif len(set(filter(_is_event, options))) == len(options):
            right, *wrong = (f"{rest}{option}" for option in (options.pop(item.answer), *options))
            fields = {"event": event, "relation": relation}
            yield multiple_choice(seeded.rng(repr(item)), mmlu_entity(item.question), fields, right, wrong)


def _read(stem: str) -> tuple[str, str, str] | None:
    """The relation that a stem asks for, the event it asks about, and what each choice goes on from."""
    if _TURNED.search(stem):
        return None
    for relation, pattern in _PATTERNS:
        if found := pattern.fullmatch(stem):
            event = re.sub(r" from (?=\w+ing\b)", " ", found["event"].strip(" ,"))  # "stop ice from melting"
            rest = found.groupdict().get("rest")
            certain = _EVENT.fullmatch(event) and len(event.split()) <= _MOST_WORDS
            return (relation, event, f"{rest} " if rest else "") if certain else None
    return None


def _is_event(choice: str) -> bool:
    return 0 < len(choice) <= _LONGEST_CHOICE and not _NO_EVENT.match(choice)
