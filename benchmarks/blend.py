"""v8 in full: built, mixed anew after a changed weight, and at twice its size; beside the same through `datasets`.

The raw files are the sample shop at a scale that gives 502,435 rows, and twice that. The peer works on a fifth of the
rows, and on the same files as ours there: it takes long.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from ruamel.yaml import YAML

from benchmarks.measure import RECIPE, Cost, Result, cost, within, workshop
from spine.environments import python, variables
from spine.paths import CONFIGS

FULL, FIFTH = 75, 15  # scales of the sample shop
MOST_SECONDS, MOST_GIB, REMIX_SECONDS, TIMES_FASTER = 300.0, 4.0, 20.0, 3.0
CHANGED = {"sentiment_analysis": 11_500, "alpaca_instructions": 48_000}
TWICE = {"review_rating": 20_000}
# All rows of the blend, with the room that a GPU's profile has.
SETTINGS = "val_rows={val} sequence_len=1024 max_dropped=0.02"


def run() -> list[Result]:
    """Wall seconds; one run each, since each takes minutes."""
    with workshop() as folder:
        _configs(folder / "configs")
        full = _shop(folder, FULL)
        build = _data(folder, "v8", full, rows=502_435)
        remix = _data(folder, "v8-changed", full, rows=502_435)
        twice = _data(folder, "v8-twice", full, rows=502_435)
        shutil.rmtree(full)
        double = _data(folder, "v8-double", _shop(folder, 2 * FULL), rows=1_000_000)
        ours, peer = _beside_datasets(folder)
    return [
        Result(f"v8 in full, 500,000 rows ({build.peak_gib:.2f} GiB)", build.wall, "", 0.0,
               f"< {MOST_SECONDS:.0f} s, {MOST_GIB:.0f} GiB", build.wall < MOST_SECONDS and build.peak_gib < MOST_GIB),
        within("the same after two weights were changed", remix.wall, REMIX_SECONDS),
        Result("after one was doubled: its dataset is built anew", twice.wall, "", 0.0, "-", True),
        Result(f"1,000,000 rows ({double.peak_gib:.2f} GiB)", double.wall, "500,000 rows", build.wall,
               f"about twice the time, {MOST_GIB:.0f} GiB as well",
               double.wall < 2.3 * build.wall and double.peak_gib < MOST_GIB),
        Result("v8, 100,000 rows", ours.wall, "datasets.map", peer.wall, f"{TIMES_FASTER:.0f} times faster",
               TIMES_FASTER * ours.wall < peer.wall),
    ]  # fmt: skip


def _configs(folder: Path) -> None:
    """Our configs with three more blends and a profile that takes all rows."""
    shutil.copytree(CONFIGS, folder)
    yaml = YAML(typ="safe")
    v8 = yaml.load(folder / "blends" / "v8.yaml")
    double = {name: {**entry, "rows": 2 * entry["rows"]} for name, entry in v8["datasets"].items()}
    yaml.dump({**v8, "datasets": double}, folder / "blends" / "v8-double.yaml")
    for blend, rows in (("v8-changed", CHANGED), ("v8-twice", TWICE)):
        datasets = {name: {"rows": count} for name, count in rows.items()}
        yaml.dump({"include": "v8", "why": blend, "datasets": datasets}, folder / "blends" / f"{blend}.yaml")


def _shop(folder: Path, scale: int) -> Path:
    out = folder / f"shop-{scale}"
    cost([RECIPE, "sample-data", "--scale", str(scale), "--out", str(out)])
    return out


def _data(folder: Path, blend: str, raw: Path, rows: int) -> Cost:
    return cost([RECIPE, "data", blend], _environment(folder, raw, rows), memory=True)


def _environment(folder: Path, raw: Path, rows: int) -> Mapping[str, str]:
    own = {"RECIPE_CONFIGS": folder / "configs", "RECIPE_RUNS": folder / "runs", "RECIPE_CACHE": folder / "cache"}
    asked = {
        "RECIPE_SYNTHESIS": folder / "synthesis",  # empty: all rows by rules
        "PROFILE": "cpu",
        "SET": f"rows={rows} {SETTINGS.format(val=rows // 250)}",
        "DATA": raw,
        "DECONTAMINATE": "",
    }
    return {**os.environ, **{name: str(value) for name, value in (own | asked).items()}}


def _beside_datasets(folder: Path) -> tuple[Cost, Cost]:
    raw = _shop(folder, FIFTH)
    cost([RECIPE, "model"])
    ours = cost([RECIPE, "data", "v8"], {**_environment(folder, raw, 100_000), "RECIPE_CACHE": str(folder / "other")})
    peer = cost(
        [str(python("train")), "-m", "benchmarks.datasets_peer", str(raw), "100000", str(folder / "peer")],
        {**variables("train", offline=True), "HF_HOME": str(folder / "hub"), "TOKENIZERS_PARALLELISM": "false"},
    )
    return ours, peer
