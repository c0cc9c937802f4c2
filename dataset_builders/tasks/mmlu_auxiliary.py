"""Multiple-choice questions on school knowledge and reading: MMLU's auxiliary training set as it is.

https://github.com/hendrycks/test
mmlu/auxiliary_train.csv (no header; question, 4 choices, letter; invented):

    Which of these floats on water?,a nail,a cork,a coin,a brick,B
"""

from __future__ import annotations

from dataset_builders.sources import mmlu
from dataset_builders.task import Questions, RawData, Seeded, TaskType, task
from dataset_builders.tasks._exams import exam_questions


@task(type=TaskType.MULTIPLE_CHOICE, source="mmlu", track=2, quotes=("question",))
def build(raw: RawData, seeded: Seeded) -> Questions:
    return exam_questions(mmlu.auxiliary(raw))
