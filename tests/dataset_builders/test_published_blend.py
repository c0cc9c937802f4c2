"""The list that the winners published: it comes to the shares that they print, and ours is shown beside it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from dataset_builders.blend.picture import draw
from dataset_builders.blend.stats import beside_published, published_share, shares
from dataset_builders.task import load_task, task_names
from spine.published import published_blend, published_shares
from spine.task_types import TaskType

LIST = published_blend()
KINDS = {kind.short: kind for kind in TaskType}


def built(name: str, rows: int) -> dict[str, Any]:
    """What ``stats.json`` says of a dataset of so many rows."""
    line = LIST.get(name)
    kind = KINDS[line.type] if line else load_task(name).type
    source = line.source if line else load_task(name).source
    return {"source": source, "types": {kind: rows}, "kept": rows, "track": 1, "llm": None}


def statistics(datasets: dict[str, dict[str, Any]]) -> dict[str, Any]:
    totals = {"kept": sum(row["kept"] for row in datasets.values()), "made": 0}
    lengths = {"edges": [0, 100], "rows": [totals["kept"]]}
    return {"datasets": datasets, "totals": totals, "shares": shares(datasets), "lengths": lengths}


def test_its_lines_come_to_39_datasets_and_502435_rows() -> None:
    assert len(LIST) == 39 and sum(line.rows for line in LIST.values()) == 502_435
    numbers = [line.number for line in LIST.values()]
    assert numbers == sorted(numbers) and set(numbers) == set(range(1, 39))
    assert [line.rows for line in LIST.values() if line.number == 21] == [99_842, 14_042 + 1_531 + 285]
    assert Counter(line.cluster for line in LIST.values()) == {"existing": 19, "general": 3, "new ideas": 17}


@pytest.mark.parametrize("what", ["source", "type", "cluster"])
def test_its_lines_give_every_printed_share_to_the_decimal(what: str) -> None:
    counted = Counter[str]()
    for line in LIST.values():
        counted[getattr(line, what)] += line.rows
    found = {bar: round(100 * rows / 502_435, 1) for bar, rows in counted.items()}
    assert found == published_shares()[what]


@pytest.mark.parametrize("name", sorted(LIST.keys() & set(task_names())))
def test_a_builder_on_it_reads_that_source_and_makes_that_type(name: str) -> None:
    task, line = load_task(name), LIST[name]
    assert task.source == {"kdd_cup_2023": "amazon_m2"}.get(line.source, line.source) and task.type.short == line.type


def test_a_blend_that_is_the_list_has_its_shares(tmp_path: Path) -> None:
    stats = statistics({name: built(name, line.rows) for name, line in LIST.items()})
    lines = beside_published(stats)
    assert lines[:2] == [("datasets", "39", "39"), ("rows", "502,435", "502,435")]
    compared = [line for line in lines if ":" in line[0]]
    assert len(compared) == 15 and all(ours == theirs for _, ours, theirs in compared)
    draw(tmp_path / "blend.png", "list", stats)
    assert (tmp_path / "blend.png").stat().st_size > 20_000


def test_what_the_list_does_not_have_is_ours() -> None:
    lines = beside_published(
        statistics({"review_for_product": built("review_for_product", 3), "answerability": built("answerability", 1)})
    )
    for line in (
        ("cluster: ours", "75.0%", "-"),
        ("cluster: existing", "25.0%", "35.7%"),
        ("source: esci", "0.0%", "29.3%"),
    ):
        assert line in lines
    assert published_share("cluster", "ours") is None and published_share("LLM", "without") == pytest.approx(0.402)
