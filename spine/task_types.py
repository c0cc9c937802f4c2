"""ShopBench's five task types: their names, and the text form in which each one's answer is given.

Source of the forms: the parsers of the organisers' starter kit, KDD Cup 2024 (see ``inference.scoring.parsers``).
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

Truth = int | str | Sequence[int] | Sequence[str] | Sequence[float]
RANKED, RETRIEVED = 5, 3  # numbers of an answer that the parsers read


class TaskType(StrEnum):
    """Values are ShopBench's ``task_type``; ``phrase`` is what the winners' system prompt calls it."""

    MULTIPLE_CHOICE = "multiple-choice"
    RETRIEVAL = "retrieval"
    RANKING = "ranking"
    NER = "named_entity_recognition"
    GENERATION = "generation"

    @property
    def short(self) -> str:
        """For narrow tables."""
        return {"multiple-choice": "mc", "named_entity_recognition": "ner", "generation": "gen"}.get(self, self.value)

    @property
    def phrase(self) -> str:
        if self is TaskType.MULTIPLE_CHOICE:
            return "multiple-choice question answering"
        return self.value.replace("_", " ")


MICRO_F1 = "micro f1"
SENTENCES = ("sent-transformer", "multilingual-sent-transformer")
# By type; the first is what ShopBench uses for most questions of it, and so for one whose file names none. The last,
# a yes or no, is EC-Guide's.
METRICS = {
    TaskType.MULTIPLE_CHOICE: ("accuracy",),
    TaskType.RETRIEVAL: ("hit rate@3",),
    TaskType.RANKING: ("ndcg",),
    TaskType.NER: (MICRO_F1,),
    TaskType.GENERATION: (*SENTENCES, "rougel", "bleu", "jp-bleu", "bool"),
}
METRIC_NAMES = tuple(name for names in METRICS.values() for name in names)


def answer_text(task_type: TaskType, truth: Truth) -> str:
    """The answer a model should give, in exactly the form ShopBench's parser for ``task_type`` reads.

    ``truth`` has ShopBench's ``output_field`` form: int; list[int] of 1-based positions (retrieval);
    list[float] of relevance weights, one per listed item (ranking); list[str] (NER); str (generation).
    Equal weights keep the order of the list, so that there is one right answer to train on; so is the first of several
    texts. Phrases that would not come out of their list again, as with a comma in one, are printed as Python's.
    """
    if isinstance(truth, str | int):
        return str(truth).strip()
    if task_type is TaskType.GENERATION:
        return str(truth[0]).strip()
    if task_type is TaskType.RANKING:
        weights = [float(weight) for weight in truth]
        order = sorted(range(len(weights)), key=lambda item: -weights[item])
        return ",".join(str(item + 1) for item in order)
    if task_type is TaskType.NER:
        phrases = list(map(str, truth))
        plain = not phrases[:1] or (phrases[0][:1] not in "[(" and not any("," in phrase for phrase in phrases))
        return ", ".join(phrases) if plain else repr(phrases)
    return ",".join(str(item) for item in truth)
