"""The sentiment of a review, from very negative to very positive.

https://huggingface.co/datasets/NingLab/ECInstruct
ecinstruct/dataset.json, task Sentiment_Analysis (invented, shortened):

    {"input": "It broke in a week.", "options": "[\\"A: very positive\\", \\"B: positive\\", ...]",
     "output": "E: very negative", "task": "Sentiment_Analysis", "setting": "IND_Diverse_Instruction"}
"""

from __future__ import annotations

from collections.abc import Iterator

from dataset_builders.raw import RawData
from dataset_builders.sources import ecinstruct
from dataset_builders.task import Question, Seeded, task
from dataset_builders.tasks._common import digest, one_line, placed
from dataset_builders.tasks._ecinstruct import lettered
from spine.task_types import TaskType

_LONGEST = 1500  # characters of a review


@task(type=TaskType.MULTIPLE_CHOICE, source="ecinstruct", track=3)
def build(raw: RawData, seeded: Seeded) -> Iterator[Question]:
    for row in ecinstruct.examples(raw, "Sentiment_Analysis"):
        review = one_line(str(row.input), _LONGEST)
        # As published, most reviews are "A".
        right, wrong = lettered(row)
        if review and right:
            entity = f"ecinstruct:{digest(review)}"
            options, (answer,) = placed(seeded.rng(entity), [right], wrong)
            yield Question(entity, {"review": review, "options": options}, answer)
