"""What the winners have published of scores, curves and their blend: ``axolotl_configs/known/published.yaml``."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

from spine.paths import CONFIGS
from spine.yamlfile import read_lists


class Line(NamedTuple):
    """A dataset of the winners' list.

    Attributes:
        number: of the line, 1 to 38; MMLU's two datasets stand in one.
        source: as they count sources: Amazon-M2's sessions are ``kdd_cup_2023``.
        type: a task type's short name.
        what: the task's number at the contest, its name in ECInstruct, or what the slide says.
        cluster: ``existing``, ``general`` or ``new ideas``.
    """

    number: int
    source: str
    type: str
    rows: int
    what: str
    cluster: str


@cache
def _file() -> Mapping[str, Any]:
    found: Mapping[str, Any] = read_lists(CONFIGS / "known" / "published.yaml")
    return found


def published_scores() -> dict[str, dict[str, float]]:
    """Their scores by row and track, ``{"base": {"1": 0.798, ...}}``; of Qwen2-72B on hidden questions."""
    return {
        name: {str(at): score for at, score in enumerate(scores, start=1)} for name, scores in _file()["rows"].items()
    }


def published_shares() -> dict[str, dict[str, float]]:
    """Shares of their blend's rows in percent, by ``source``, ``type``, ``cluster`` and ``LLM``."""
    return {what: dict(bars) for what, bars in _file()["shares"].items()}


def published_curves() -> dict[str, dict[float, float]]:
    """Their scores of track 5 by blend and wise-ft weight; as published, of another model than ours."""
    return {blend: {float(at): score for at, score in points} for blend, points in _file()["curves"].items()}


def published_blend() -> dict[str, Line]:
    """Their list by dataset, in its order."""
    return {
        name: Line._make([*line, cluster])
        for cluster, lines in _file()["blend"].items()
        for name, line in lines.items()
    }
