"""General instructions, so that fine-tuning on shopping forgets nothing else.

https://github.com/gururise/AlpacaDataCleaned
alpaca/alpaca_data_cleaned.json (invented):

    {"instruction": "Name two uses of baking soda.", "input": "", "output": "It cleans and lifts dough."}
"""

from __future__ import annotations

from dataset_builders.sources import alpaca
from dataset_builders.task import Question, Questions, RawData, Seeded, TaskType, task
from dataset_builders.tasks._common import digest


@task(type=TaskType.GENERATION, source="alpaca", track=None)
def build(raw: RawData, seeded: Seeded) -> Questions:
    for row in alpaca.instructions(raw):
        if row.instruction and row.output:
            entity = f"alpaca:{digest(row.instruction + row.input)}"
            yield Question(entity, {"instruction": row.instruction, "input": row.input}, row.output)
