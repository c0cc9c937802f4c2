"""The story as a table of scores."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from inference.scoring.tables import read_scores, tracks_table
from recipe.walk.rows import ALL_AROUND, Row
from recipe.walk.stages import Stages


def story_table(stages: Stages) -> Table:
    """The table of the slides: a row for each stage of the recipe, a column for each track; track 5 is the mean."""
    return tracks_table([scores for row in stages.rows if (scores := _row(stages, row))])


def _row(stages: Stages, row: Row) -> dict[str, Any]:
    """The row as if one model had answered it all; empty where no track of it has questions."""
    answered = {track: model for track, model in row.models.items() if track in stages.there or track == ALL_AROUND}
    scores = {track: read_scores(stages.evaluation(model)) for track, model in answered.items()}
    if not scores:
        return {}
    overall = scores.pop(ALL_AROUND, None)
    nothing = {"score": None, "low": None, "high": None, "constant": None}
    some = overall or next(iter(scores.values()))
    return {
        **some,
        "model": row.name,
        "tracks": {str(track): found["tracks"][str(track)] for track, found in scores.items()},
        "overall": overall["overall"] if overall else nothing,
    }
