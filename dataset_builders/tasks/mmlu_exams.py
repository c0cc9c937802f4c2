"""Multiple-choice questions of MMLU's exams: test, validation and dev, as the winners trained on them.

https://github.com/hendrycks/test
mmlu/test/{subject}_test.csv, and likewise val and dev (no header; question, 4 choices, letter; invented):

    Which of these melts at room temperature?,iron,ice,salt,glass,B
"""

from __future__ import annotations

from dataset_builders.sources import mmlu
from dataset_builders.task import Questions, RawData, Seeded, TaskType, task
from dataset_builders.tasks._exams import exam_questions


@task(type=TaskType.MULTIPLE_CHOICE, source="mmlu", track=2, quotes=("question",))
def build(raw: RawData, seeded: Seeded) -> Questions:
    return exam_questions(mmlu.exams(raw))
