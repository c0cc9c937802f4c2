"""Alpaca-Cleaned: general instructions with answers, about 51,800.

https://github.com/gururise/AlpacaDataCleaned, CC BY-NC 4.0. One file, a JSON array:
``alpaca/alpaca_data_cleaned.json``. A row (invented):

    {"instruction": "Name two uses of baking soda.", "input": "", "output": "It cleans and lifts dough."}
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from dataset_builders.published.declare import File, Licence, Published
from dataset_builders.raw import RawData
from dataset_builders.sources._files import Raw, find, read, text

# The repository's last state; the hub's yahma/alpaca-cleaned is a copy of it.
PUBLISHED = Published(
    title="Alpaca-Cleaned",
    home="https://github.com/gururise/AlpacaDataCleaned",
    licence=Licence(
        "CC BY-NC 4.0",
        "https://creativecommons.org/licenses/by-nc/4.0/",
        accept=True,
        limits="not for commercial use; its authors want models trained on it to be used for research only",
    ),
    files=(
        File(
            "alpaca_data_cleaned.json",
            "https://raw.githubusercontent.com/gururise/AlpacaDataCleaned/"
            "d03c782bffd50ceeb1f4ef3c020129229ec4698c/alpaca_data_cleaned.json",
            44_307_561,
            "bd844b8247a0f543804b6ce0882b0aaec4bbf5e8d66167df6213a0f1e4fe878b",
        ),
    ),
)


class Instruction(NamedTuple):
    """``input`` is what the instruction works on; often empty."""

    instruction: str
    input: str
    output: str


def instructions(raw: RawData) -> Iterator[Instruction]:
    """Every instruction, in the order of the file."""
    path = find(raw / "alpaca", "alpaca_data_cleaned")
    return read(raw, path, Instruction._fields, _instruction)


def _instruction(row: Raw) -> Instruction:
    return Instruction(text(row["instruction"]), text(row["input"]), text(row["output"]))
