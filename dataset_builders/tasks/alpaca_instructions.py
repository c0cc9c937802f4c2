"""General instructions, so that fine-tuning on shopping forgets nothing else.

https://github.com/gururise/AlpacaDataCleaned
alpaca/alpaca_data_cleaned.json (invented):

    {"instruction": "Name two uses of baking soda.", "input": "", "output": "It cleans and lifts dough."}
"""

from __future__ import annotations

from collections.abc import Iterator

from dataset_builders.raw import RawData
from dataset_builders.sources import alpaca
from dataset_builders.task import Question, Seeded, task
from dataset_builders.tasks._common import digest
from spine.task_types import TaskType


@task(type=TaskType.GENERATION, source="alpaca", track=None)
def build(raw: RawData, seeded: Seeded) -> Iterator[Question]:
    for row in alpaca.instructions(raw):
        if row.instruction and row.output:
            entity = f"alpaca:{digest(row.instruction + row.input)}"
            yield Question(entity, {"instruction": row.instruction, "input": row.input}, row.output)
