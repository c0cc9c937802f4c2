"""The sentiment of a review, from very negative to very positive.

https://huggingface.co/datasets/NingLab/ECInstruct
ecinstruct/dataset.json, task Sentiment_Analysis (invented, shortened):

    {"input": "It broke in a week.", "options": "[\\"A: very positive\\", \\"B: positive\\", ...]",
     "output": "E: very negative", "task": "Sentiment_Analysis", "setting": "IND_Diverse_Instruction"}
"""

from __future__ import annotations

from dataset_builders.sources import ecinstruct
from dataset_builders.task import Questions, RawData, Seeded, TaskType, task
from dataset_builders.tasks._common import multiple_choice, one_line
from dataset_builders.tasks._ecinstruct import lettered, review_entity

_LONGEST = 1500  # characters of a review


@task(type=TaskType.MULTIPLE_CHOICE, source="ecinstruct", track=3, llm="reword", rates=True)
def build(raw: RawData, seeded: Seeded) -> Questions:
    for row in ecinstruct.examples(raw, "Sentiment_Analysis"):
        review = one_line(str(row.input), _LONGEST)
        # As published, most reviews are "A".
        right, wrong = lettered(row)
        if review and right:
            entity = review_entity(review)
            yield multiple_choice(seeded.rng(entity), entity, {"review": review}, right, wrong)
