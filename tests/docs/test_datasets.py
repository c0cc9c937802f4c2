"""docs/datasets.md's list of datasets is what the builders, the winners' list and the blends say."""

from __future__ import annotations

import os
import re

from dataset_builders.task import load_task, task_names
from spine.paths import CONFIGS, ROOT
from spine.published import published_blend
from spine.yamlfile import read_lists

PAGE = ROOT / "docs" / "datasets.md"
HEAD = "| dataset | line | source | type | rows | LLM |\n|---|---|---|---|---|---|\n"


def row(name: str) -> str:
    task, line = load_task(name), published_blend().get(name)
    blend = read_lists(CONFIGS / "blends" / ("v8.yaml" if line else "v8-ours.yaml"))
    where, source = (line.number, line.source) if line else ("ours", task.source)
    rows = blend["datasets"].get(name, {}).get("rows", 0)  # one that is in another blend, or in none yet
    return f"| `{name}` | {where} | {source} | {task.type.short} | {rows:,} | {task.llm or '-'} |\n"


def test_the_list_of_datasets_is_what_is_there() -> None:
    text = PAGE.read_text(encoding="utf-8")
    found = re.search(rf"(?<={re.escape(HEAD)})(\|.*\n)*", text)
    assert found
    listed = published_blend()
    expected = "".join(map(row, [*listed, *(name for name in task_names() if name not in listed)]))
    if os.environ.get("UPDATE_GOLDEN"):
        PAGE.write_text(text.replace(HEAD + found[0], HEAD + expected), encoding="utf-8")
    else:
        assert found[0] == expected, "if that is as it should be: UPDATE_GOLDEN=1 make test-fast"
