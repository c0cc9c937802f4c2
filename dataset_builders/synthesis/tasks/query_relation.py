"""What somebody searches for next, related to the first query in the way that is asked for."""

from __future__ import annotations

import re

from dataset_builders.synthesis.declare import Form, Seed, Seeds, Short, Synthesis, Unfit
from dataset_builders.synthesis.rules import counted, different, in_language
from dataset_builders.synthesis.tasks._common import multiple_choice
from dataset_builders.task import Question, Questions, RawData, Seeded
from dataset_builders.tasks._common import one_line, query_entity
from dataset_builders.tasks._judgements import by_query, stems

_WORD = re.compile(r"[^\W\d_]{3}")
_RELATIONS = ("irrelevant", "substitute", "complement", "narrowing")


class Query(Form):
    query: Short


def _seeds(raw: RawData, seeded: Seeded) -> Seeds:
    for first, _ in by_query(raw, "us"):
        entity = query_entity(first)
        if seeded.wants(entity):
            relation = _RELATIONS[seeded.digest(f"relation {first}") % len(_RELATIONS)]
            yield Seed(entity, {"query": first, "relation": relation}, "")


def _questions(seed: Seed, answer: Query) -> Questions:
    first, relation, second = seed.fields["query"], seed.fields["relation"], one_line(answer.query).lower()
    different([first, second])
    if not _WORD.search(second):
        raise Unfit("no words", f"{second!r} is nothing that anybody searches for")
    in_language(counted(second, 1, 9, "query"), "English")
    ours, theirs = stems(first), stems(second)
    if relation == "narrowing" and not ours < theirs:
        raise Unfit("not narrower", f"{second!r} must hold the words of {first!r} and more")
    if relation != "narrowing" and (ours <= theirs or theirs <= ours):
        raise Unfit("the same thing", f"{second!r} asks for the same as {first!r}")
    if relation in ("irrelevant", "complement") and len(ours & theirs) > (relation == "complement"):
        raise Unfit("not far enough", f"{second!r} shares words with {first!r}")
    others = [other for other in _RELATIONS if other != relation]
    question = multiple_choice(seed, {"first": first, "second": second}, relation, others)
    yield Question(question.entity, question.fields, question.truth, (query_entity(second),), key=seed.key)


synthesis = Synthesis(__name__, Query, _seeds, _questions, tokens=40)
