"""`make train-v8` beside `axolotl train`, everything else built before.

What it adds around the same YAML: the model is a pico one, so that the difference is seen. And how fast the real model
sees the same rows on a CPU: as the profile `cpu` has it, and by axolotl alone, four padded rows a step.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from pathlib import Path
from statistics import median

import yaml

from axolotl_configs.render import parse_set, resolve
from benchmarks.measure import MODEL, RECIPE, Result, cost
from dataset_builders.task import task_names
from spine.environments import python, variables

ADDED_SECONDS = 5.0
ROUNDS = 3
OVERRIDES = "rows=44 val_rows=13"
FASTER = 1.6  # times the rows a second
MEMORY = 5.0  # GiB
ALONE = {"plugins": ["benchmarks.bare_plugin.BarePlugin"], "sample_packing": False, "pad_to_sequence_len": False,
         "eval_sample_packing": False, "micro_batch_size": 4}  # fmt: skip
ROWS = 120
FEW = f"rows={ROWS} val_rows=13 save_steps=1000"


def run() -> list[Result]:
    """Wall time, medians of three pairs run in turn."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cost([RECIPE, "model"])
        pico = [str(python("train")), "-m", "recipe.smoke.pico", MODEL, str(folder / "pico")]
        cost(pico, variables("train", offline=True))
        return [*_compare(folder), *_on_a_cpu(folder)]


def _on_a_cpu(folder: Path) -> list[Result]:
    """An epoch of the same rows by both; without looks at held-out rows."""
    cost([RECIPE, "data", "v8", "-p", "cpu", "--set", FEW])
    rows = next(folder.glob(f"runs/cpu/*rows={ROWS}*/data/train.parquet"))
    shipped = dict(resolve("v8", "cpu", parse_set(FEW), task_names()).axolotl)
    del shipped["test_datasets"], shipped["eval_steps"]
    shipped["datasets"] = [{**shipped["datasets"][0], "path": str(rows)}]
    seconds, gib = {}, {}
    for name, changed in (("ours", {}), ("alone", ALONE)):
        out = folder / name
        out.mkdir()
        settings = {**shipped, **changed, "output_dir": str(out), "dataset_prepared_path": str(out / "prepared")}
        (out / "axolotl.yaml").write_text(yaml.safe_dump(settings))
        command = [str(python("train").parent / "axolotl"), "train", str(out / "axolotl.yaml"), "--launcher", "python"]
        gib[name] = cost(command, variables("train", offline=True), memory=True, log=out / "log").peak_gib
        seconds[name] = float(re.findall(r"'train_runtime': '?([\d.]+)", (out / "log").read_text())[-1])
    return [
        Result(f"{ROWS} rows on a CPU", seconds["ours"], "axolotl alone", seconds["alone"], f"{FASTER} times faster",
               FASTER * seconds["ours"] < seconds["alone"]),
        Result("its memory", gib["ours"], "axolotl alone", gib["alone"], f"< {MEMORY} GiB", gib["ours"] < MEMORY,
               " GiB"),
    ]  # fmt: skip


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
