"""Rows of a JSON array or of JSON lines: how ShopBench's and EC-Guide's questions come."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any


def json_rows(text: str) -> Iterator[tuple[int, Any]]:
    """(number, value): the number counts items of an array, or lines, from 1; blank lines are passed over.

    Raises:
        json.JSONDecodeError: at the first that is no JSON, with its line in ``text``.
    """
    if text.lstrip().startswith("["):
        yield from enumerate(json.loads(text), start=1)
        return
    begins = 0
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                yield number, json.loads(line)
            except json.JSONDecodeError as error:
                raise json.JSONDecodeError(error.msg, text, begins + error.pos) from error
        begins += len(line) + 1
