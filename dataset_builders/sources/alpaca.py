"""Alpaca-Cleaned: general instructions with answers, about 51,800.

https://github.com/gururise/AlpacaDataCleaned, CC BY-NC 4.0. One file, a JSON array:
``alpaca/alpaca_data_cleaned.json``. A row (invented):

    {"instruction": "Name two uses of baking soda.", "input": "", "output": "It cleans and lifts dough."}
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from dataset_builders.raw import RawData
from dataset_builders.sources._files import find, read, text


class Instruction(NamedTuple):
    """``input`` is what the instruction works on; often empty."""

    instruction: str
    input: str
    output: str


def instructions(raw: RawData) -> Iterator[Instruction]:
    """Every instruction, in the order of the file."""
    path = find(raw / "alpaca", "alpaca_data_cleaned")
    return read(raw, path, Instruction._fields, lambda row: Instruction(*map(text, map(row.get, Instruction._fields))))
