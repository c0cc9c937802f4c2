"""Instructions with blanks, ``Which category suits [[title]]?``, and how the texts of a question are put into them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

INSTRUCTION = "instruction"  # the field of a question that is asked in words of its own
REWORDED = "reworded"  # the wording of such a question
BLANK = re.compile(r"\[\[(\w+)\]\]")


def blank(name: str) -> str:
    """What stands for the field ``name``."""
    return f"[[{name}]]"


def filled(instruction: str, fields: Mapping[str, Any]) -> str:
    """The instruction with its texts; a list stands on lines of its own, numbered as ``check`` says. What is put in
    is not looked at for blanks again."""

    def text(found: re.Match[str]) -> str:
        value = fields[found[1]]
        if not isinstance(value, Sequence) or isinstance(value, str):
            return str(value)
        lines = "\n".join(f"{number}. {line}" for number, line in enumerate(value, start=found[1] != "options"))
        before, after = instruction[: found.start()], instruction[found.end() :]
        return (
            ("" if not before or before.endswith("\n") else "\n")
            + lines
            + ("" if not after or after.startswith("\n") else "\n")
        )

    return BLANK.sub(text, instruction)
