"""What `make train-v8` adds around `axolotl train`: the same YAML, trained by both, everything else built before.

The model is a pico one, so that the training itself is short and the difference is seen.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from statistics import median

from benchmarks.measure import MODEL, RECIPE, Result, cost
from spine.environments import python, variables

ADDED_SECONDS = 5.0
ROUNDS = 3
OVERRIDES = "rows=32 val_rows=13"


def run() -> list[Result]:
    """Wall time, medians of three pairs run in turn."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cost([RECIPE, "model"])
        pico = [str(python("train")), "-m", "recipe.smoke.pico", MODEL, str(folder / "pico")]
        cost(pico, variables("train", offline=True))
        return _compare(folder)


def _compare(folder: Path) -> list[Result]:
    os.environ |= {"RECIPE_RUNS": str(folder / "runs"), "RECIPE_SYNTHESIS": str(folder / "synthesis")}
    os.environ |= {"PROFILE": "cpu", "DATA": ""}
    os.environ["SET"] = f"{OVERRIDES} base_model={folder / 'pico'}"
    cost(["make", "train-v8"])  # builds the data and the YAML
    train = next((folder / "runs" / "cpu").iterdir()) / "train"
    yaml = train / "axolotl.yaml"
    bare = [str(python("train").parent / "axolotl"), "train", str(yaml), "--launcher", "python"]
    environment = variables("train", offline=True)
    kept = yaml.read_text()
    ours, theirs = [], []
    for _ in range(ROUNDS):
        shutil.rmtree(train)
        ours.append(cost(["make", "train-v8"]).wall)
        shutil.rmtree(train)
        train.mkdir()
        yaml.write_text(kept)
        theirs.append(cost(bare, environment).wall)
    added = median(ours) - median(theirs)
    aim = f"adds < {ADDED_SECONDS:.0f} s"
    return [
        Result(f"make train-v8 (adds {added:.1f} s)", median(ours), "axolotl train", median(theirs), aim,
               added < ADDED_SECONDS)
    ]  # fmt: skip
