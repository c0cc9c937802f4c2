"""The same question in other words: the model is given one wording with its blanks, and what will stand in them.

Only the words around the blanks are the model's. The texts of the question are put in later, so that an answer can
neither change nor invent any of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from dataset_builders.synthesis.declare import Form, Seed, Seeds, Synthesis, Text, Unfit
from dataset_builders.synthesis.rules import counted, in_language
from dataset_builders.task import Question, Questions, RawData, Seeded, load_task
from dataset_builders.wording import BLANK, INSTRUCTION, blank
from spine.prompts import user_prompt, wordings

_SHORTEST, _LONGEST = 8, 120  # words of an instruction
_ALIKE = 0.7  # of the words of both instructions, from which on the second is the first
# Tones, so that thousands of rewordings do not end up as one.
_TONES = (
    "as a customer who asks in a chat", "as a short command", "as a polite request", "as a colleague in the shop",
    "as an exam question", "as a line of a specification", "in simple words", "in a formal tone", "as a search form",
    "with the purpose of the question first", "with the form of the answer first", "as one long sentence",
)  # fmt: skip


class Reworded(Form):
    instruction: Text


def reword(name: str) -> Synthesis:
    """The synthesis of a dataset whose instruction is put in other words."""
    return Synthesis(__name__, Reworded, _seeds(name), _questions, tokens=250, instructs=True, name=name)


def _seeds(name: str) -> Callable[[RawData, Seeded], Seeds]:
    def seeds(raw: RawData, seeded: Seeded) -> Seeds:
        for question in load_task(name).build(raw, seeded):
            number = seeded.digest(f"tone {question.entity} {question.key}")
            known = wordings(name)
            wording = known[number % len(known)]
            given = {
                INSTRUCTION: user_prompt(name, wording, _blanks(question.fields)),
                "tone": _TONES[number // len(known) % len(_TONES)],
                "blanks": dict(question.fields),
            }
            yield Seed(question.entity, given, question.truth, question.also, key=question.key)

    return seeds


def _blanks(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Each text as a blank of its name; a list as one, with a blank for all its lines."""
    return {name: blank(name) if isinstance(value, str | int) and value else _listed(name, value)
            for name, value in fields.items()}  # fmt: skip


def _listed(name: str, value: Any) -> Any:
    return _OneBlank(blank(name), len(value)) if isinstance(value, list) else value


class _OneBlank(list[str]):
    """A single line that counts as all those for which it stands: "the 5 products"."""

    def __init__(self, line: str, length: int) -> None:
        super().__init__([line])
        self._length = length

    def __len__(self) -> int:
        return self._length


def _questions(seed: Seed, answer: Reworded) -> Questions:
    given, made = _tidy(seed.fields[INSTRUCTION]), _tidy(answer.instruction)
    wanted, found = sorted(BLANK.findall(given)), sorted(BLANK.findall(made))
    if wanted != found:
        names = ", ".join(map(blank, wanted))
        raise Unfit("a blank is missing or too many", f"the instruction must hold {names}, each exactly once")
    bare = BLANK.sub(" ", made)
    if lost := {*re.findall(r"\d+", BLANK.sub(" ", given))} - {*re.findall(r"\d+", bare)}:
        raise Unfit("a number was lost", f"the instruction must say {', '.join(sorted(lost))}, in digits")
    counted(bare, _SHORTEST, _LONGEST, "instruction")
    in_language(bare, "English")
    before, after = ({*re.findall(r"\w+", BLANK.sub(" ", text).lower())} for text in (given, made))
    if len(before & after) > _ALIKE * len(before | after):
        raise Unfit("the same words", "the instruction was hardly changed; use other words")
    texts = [text for text in seed.fields["blanks"].values() if isinstance(text, str) and len(text) > 3]
    options = [text for value in seed.fields["blanks"].values() if isinstance(value, list) for text in value]
    if any(text.lower() in bare.lower() for text in [*texts, *options] if len(text) > 3):
        raise Unfit("tells what belongs in a blank", "keep the blanks; do not write what will stand in them")
    if options and not re.search(r"\b(?:number|digit|index|numeral)\b", bare, re.I) and "answer" not in bare.lower():
        raise Unfit("does not ask for a number", "say that the number of the right option is the answer")
    yield Question(seed.entity, {**seed.fields["blanks"], INSTRUCTION: made}, seed.truth, seed.also, key=seed.key)


def _tidy(text: str) -> str:
    """Numbers in front of a list's blank are written when it is filled."""
    return re.sub(rf"(?m)^\s*\d+[.)]\s*(?={BLANK.pattern})", "", text).strip()
