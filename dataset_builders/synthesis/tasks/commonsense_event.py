"""Events that cause, follow from, prevent or are prevented by one another: constructed from a question of MMLU."""

from __future__ import annotations

from typing import Annotated, Literal

from dataset_builders.sources import mmlu
from dataset_builders.synthesis.declare import Form, Seed, Seeds, Short, Synthesis, Unfit, exactly
from dataset_builders.synthesis.rules import counted, different, in_language
from dataset_builders.synthesis.tasks._common import multiple_choice
from dataset_builders.task import Questions, RawData, Seeded
from dataset_builders.tasks._common import mmlu_entity, one_line

_LONGEST = 240  # characters of a question; the rest are passages


class Events(Form):
    event: Short
    relation: Literal["causes", "follows", "prevents", "prevented"]
    right: Short
    wrong: Annotated[list[Short], exactly(3)]


def _seeds(raw: RawData, seeded: Seeded) -> Seeds:
    for item in mmlu.auxiliary(raw):
        entity = mmlu_entity(item.question)
        if len(item.question) <= _LONGEST and seeded.wants(entity):
            fields = {"question": one_line(item.question), "answer": one_line(item.choices[item.answer], 200)}
            yield Seed(entity, fields, "")


def _questions(seed: Seed, answer: Events) -> Questions:
    different([answer.event, answer.right, *answer.wrong])
    for event in (answer.event, answer.right, *answer.wrong):
        if in_language(counted(event, 1, 20, "event"), "English").endswith("?"):
            raise Unfit("a question, no event", f"{event!r} is no event")
    fields = {"event": answer.event.rstrip(" ."), "relation": answer.relation}
    yield multiple_choice(seed, fields, answer.right.rstrip(" ."), [event.rstrip(" .") for event in answer.wrong])


synthesis = Synthesis(__name__, Events, _seeds, _questions, tokens=200)
