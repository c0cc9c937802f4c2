"""Multiple-choice questions as a task folder for lm-evaluation-harness, so that whatever it runs can be asked ours.

The harness scores each option and takes the likeliest, which is what our rule ``exact`` comes to. Its other kinds of
task have neither ShopBench's parsers nor its metrics: questions of other types are left out.

Source: its docs/new_task_guide.md and docs/task_guide.md, version 0.4.11.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from inference.answering.questions import Question
from spine.atomic import whole_folder
from spine.prompts import system_prompt
from spine.task_types import TaskType

GROUP = "shopbench"
# The harness takes every *.yaml for a task; this is none. A description becomes the system prompt.
_SHARED, _SETTINGS = (
    "_shared_yaml",
    """\
dataset_path: json
test_split: test
output_type: multiple_choice
description: "{{ system }}"
doc_to_text: prompt
doc_to_choice: options
doc_to_target: right
target_delimiter: ""
num_fewshot: 0
metric_list: [{metric: acc, aggregation: mean, higher_is_better: true}]
metadata: {version: 1}
""",
)


def write_tasks(folder: Path, questions: Sequence[Question]) -> dict[str, int]:
    """Writes ``folder`` anew: a task for each of the questions' tasks, and their mean as the group ``shopbench``.

    Returns:
        The number of questions by task; those that are not multiple choice with a right option are none of them.
    """
    rows: dict[str, list[dict[str, Any]]] = {}
    for question in questions:
        options = list(question.asked.words or map(str, question.asked.listed))
        if question.type is question.asked.type is TaskType.MULTIPLE_CHOICE and str(question.truth) in options:
            row = {"system": system_prompt(question.type), "prompt": question.prompt, "options": options,
                   "right": options.index(str(question.truth))}  # fmt: skip
            rows.setdefault(question.task, []).append(row)
    with whole_folder(folder) as temporary:
        (temporary / _SHARED).write_text(_SETTINGS, encoding="utf-8")
        for at, (task, found) in enumerate(rows.items()):
            file = f"{at}.jsonl"  # a task may be called like a path
            (temporary / file).write_text("".join(json.dumps(row) + "\n" for row in found), encoding="utf-8")
            settings = {"task": f"{GROUP}_{task}", "dataset_kwargs": {"data_files": {"test": file}}, "include": _SHARED}
            _write(temporary / f"{at}.yaml", settings)
        mean = {"metric": "acc", "aggregation": "mean", "weight_by_size": False}
        group = {"group": GROUP, "task": [f"{GROUP}_{task}" for task in rows], "aggregate_metric_list": [mean]}
        _write(temporary / f"{GROUP}.yaml", group)
    return {task: len(found) for task, found in rows.items()}


def _write(path: Path, settings: dict[str, Any]) -> None:
    """JSON is YAML, too."""
    path.write_text(json.dumps(settings, indent=1) + "\n", encoding="utf-8")
