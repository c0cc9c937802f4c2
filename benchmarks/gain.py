"""What a user's own questions teach: EC-Guide's entities, sentiment and keyphrases, one line in a blend.

Needs the variable SHOPBENCH_DATA (a folder with ``ec-guide/``, files of ZJU-AI4H's EC-Guide, Apache-2.0), and a
quarter of an hour on two cores.
"""

from __future__ import annotations

import json
import os
import random
import shutil
from pathlib import Path
from typing import Any

from benchmarks.measure import RECIPE, Result, cost, workshop
from spine.paths import CONFIGS

DATA = os.environ.get("SHOPBENCH_DATA")
FILES = ("NER/NER.json", "MCQ/SA.json", "Generation/ERK.json")
SCORED, TRAINED = 300, 260  # questions of each file; what is left of the smallest is 200
BLEND = """include: v8
datasets:
  our_questions: {{path: {path}, rows: 522, why: six of ten rows are ours}}
"""
ROWS = 328  # of the other datasets: 850 in all, 213 steps


def run() -> list[Result]:
    """Scores of held-out questions, trained beside untrained, both bound to the form of an answer (``exact``)."""
    if not DATA:
        print("gain: skipped, SHOPBENCH_DATA names no folder")
        return []
    if not (Path(DATA) / "ec-guide").is_dir():
        raise SystemExit(f"gain: SHOPBENCH_DATA={DATA} holds no ec-guide/")
    with workshop() as folder:
        _divide(Path(DATA) / "ec-guide", folder)
        shutil.copytree(CONFIGS, folder / "configs", ignore=shutil.ignore_patterns("__pycache__"))
        (folder / "configs" / "blends" / "v8-gain.yaml").write_text(BLEND.format(path=folder / "ours.jsonl"))
        places = {"RECIPE_CONFIGS": str(folder / "configs"), "RECIPE_RUNS": str(folder / "runs")}
        held_out, settings = str(folder / "held-out"), ("v8-gain", "-p", "cpu", "--set", f"rows={ROWS}")
        asked = [word for file in sorted((folder / "held-out").iterdir()) for word in ("--decontaminate", str(file))]
        _recipe(places, "train", *settings, *asked)
        _recipe(places, "eval", *settings, "--alpha", "1", "--questions", held_out)
        _recipe(places, "eval", *settings, "--model", "base", "--questions", held_out)
        (evaluations,) = (folder / "runs").glob("*/*/eval")
        sides = [str(evaluations / f"{model}@held-out") for model in ("base", "adapter-1")]
        _recipe(places, "compare", *sides, "--json", str(folder / "compare.json"))
        scored = json.loads((evaluations / "base@held-out" / "scores.json").read_text())["tasks"]
        constants = {task["name"]: task["constant"] for task in scored}
        tasks = json.loads((folder / "compare.json").read_text())["tasks"]
        return [_result(task, constants[task["name"]]) for task in tasks]


def _divide(source: Path, folder: Path) -> None:
    """Of each file some rows to train on, in ``ours.jsonl``, and others to be asked, in ``held-out/``."""
    ours: list[Any] = []
    (folder / "held-out").mkdir()
    for name in FILES:
        rows = json.loads((source / name).read_text(encoding="utf-8"))
        random.Random(0).shuffle(rows)
        held_out, ours = rows[:SCORED], ours + rows[SCORED : SCORED + TRAINED]
        (folder / "held-out" / Path(name).name).write_text(json.dumps(held_out), encoding="utf-8")
    (folder / "ours.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ours), encoding="utf-8")


def _recipe(places: dict[str, str], *arguments: str) -> None:
    cost([RECIPE, *arguments], places)


def _result(task: dict[str, Any], constant: float) -> Result:
    what = f"{task['name']}, {task['questions']} held-out questions, {task['metric']}: gains {task['difference']:.3f} "
    what += f"[{task['low']:.3f}, {task['high']:.3f}]; the constant answer has {constant:.2f}"
    return Result(what, task["b"], "untrained", task["a"], "interval above 0", task["low"] > 0, unit="")
