"""Multiple-choice questions on school knowledge and reading: MMLU's auxiliary training set as it is.

https://github.com/hendrycks/test
mmlu/auxiliary_train.csv (no header; question, 4 choices, letter; invented):

    Which of these floats on water?,a nail,a cork,a coin,a brick,B
"""

from __future__ import annotations

from dataset_builders.sources import mmlu
from dataset_builders.task import Question, Questions, RawData, Seeded, TaskType, task
from dataset_builders.tasks._common import mmlu_entity


@task(type=TaskType.MULTIPLE_CHOICE, source="mmlu", track=2)
def build(raw: RawData, seeded: Seeded) -> Questions:
    for item in mmlu.auxiliary(raw):
        # The order stays: choices like "both A and C" point at the others, and the letters are even as published.
        options = [" ".join(choice.split()) for choice in item.choices]
        if item.question and len(set(filter(None, options))) == len(options):
            yield Question(mmlu_entity(item.question), {"question": item.question, "options": options}, item.answer)
