"""General instructions, so that fine-tuning on shopping forgets nothing else.

https://github.com/gururise/AlpacaDataCleaned
alpaca/alpaca_data_cleaned.json (invented):

    {"instruction": "Name two uses of baking soda.", "input": "", "output": "It cleans and lifts dough."}
"""

from __future__ import annotations

import re

from dataset_builders.sources import alpaca
from dataset_builders.task import Question, Questions, RawData, Seeded, TaskType, task
from dataset_builders.tasks._common import digest

# What some rows have in place of an empty input.
_NO_INPUT = re.compile(r"\W*(?:no ?input|none|n/a|not applicable)\W*", re.I)


@task(type=TaskType.GENERATION, source="alpaca", track=None, quotes=("instruction", "input"))
def build(raw: RawData, seeded: Seeded) -> Questions:
    for row in alpaca.instructions(raw):
        if row.instruction and row.output:
            given = "" if _NO_INPUT.fullmatch(row.input) else row.input
            entity = f"alpaca:{digest(row.instruction + given)}"
            yield Question(entity, {"instruction": row.instruction, "input": given}, row.output)
