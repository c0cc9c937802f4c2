"""The sentiment of a review, from very negative to very positive.

https://huggingface.co/datasets/NingLab/ECInstruct
ecinstruct/dataset.json, task Sentiment_Analysis (invented, shortened):

    {"input": "It broke in a week.", "options": "[\\"A: very positive\\", \\"B: positive\\", ...]",
     "output": "E: very negative", "task": "Sentiment_Analysis", "setting": "IND_Diverse_Instruction"}
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from dataset_builders.sources import ecinstruct
from dataset_builders.task import Question, Seeded, task
from dataset_builders.tasks._common import digest, one_line, placed
from recipe.task_types import TaskType

_LONGEST = 1500  # characters of a review


@task(type=TaskType.MULTIPLE_CHOICE, source="ecinstruct", track=3)
def build(raw: Path, seeded: Seeded) -> Iterator[Question]:
    for row in ecinstruct.examples(raw, "Sentiment_Analysis"):
        review = one_line(str(row.input), _LONGEST)
        # The letter is dropped: the contest numbers its options, and most reviews are "A" as published.
        right = row.output.partition(": ")[2]
        wrong = [name for name in (option.partition(": ")[2] for option in row.options) if name != right]
        if review and right and len(wrong) == len(row.options) - 1:
            entity = f"ecinstruct:{digest(review)}"
            options, (answer,) = placed(seeded.rng(entity), [right], wrong)
            yield Question(entity, {"review": review, "options": options}, answer)
