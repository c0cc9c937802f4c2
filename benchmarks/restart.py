"""``recipe synth run`` over half a million stored answers, from the start of the process to its first request.

``python -m benchmarks.restart ANSWERS FOLDER`` fills the folder: settings, cache and store of its own.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from benchmarks.measure import RECIPE, cost
from spine.environments import python
from spine.paths import CACHE, CONFIGS, ROOT, SYNTHESIS
from tests.dataset_builders.synthesis.server import Reply, completion, serving

DATASET, SAID, MODEL = "category_attribute", '{"attribute": "burn time"}', "m"
_BLEND = "why: a single large dataset\nseed: 1\ndatasets:\n  category_attribute: {rows: %d, why: measured}\n"
_LONGEST = 120  # seconds until the first request


def first_request(folder: Path, stored: int, rounds: int) -> list[float]:
    """Seconds of each round; every round asks for one answer more than are stored."""
    configs = folder / "configs"
    shutil.copytree(CONFIGS, configs, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    (configs / "blends" / "large.yaml").write_text(_BLEND % stored)
    here = {"RECIPE_CONFIGS": configs, "RECIPE_CACHE": folder / "cache", "RECIPE_SYNTHESIS": folder / "synthesis"}
    environment = os.environ | {name: str(path) for name, path in here.items()}
    cost([str(python("core")), "-m", "benchmarks.restart", str(stored), str(folder)], environment)
    return [_seconds(folder, environment) for _ in range(rounds)]


def _seconds(folder: Path, environment: dict[str, str]) -> float:
    asked, times = threading.Event(), list[float]()

    def script(request: dict[str, Any], number: int) -> Reply:
        times.append(time.monotonic())
        asked.set()
        return completion(SAID, delay=float("inf"))  # nothing is stored: every round finds the same

    with serving(script) as server:
        command = [RECIPE, "synth", "run", "large", "--profile", "8xa100", "--model", MODEL]
        command += ["--endpoint", server.url, "--data", str(folder / "raw")]
        began = time.monotonic()
        with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL) as process:
            while process.poll() is None and time.monotonic() - began < _LONGEST and not asked.wait(0.1):
                pass
            process.kill()
    if not times:
        raise SystemExit("no request came")
    return times[0] - began


# --- in a process of its own ----------------------------------------------------------------------------------------


def seed_rows() -> Iterator[Any]:
    """Invented ones of the training side, without end; some 700 characters each."""
    from dataset_builders.held_out import held_out
    from dataset_builders.synthesis.declare import Seed

    text = "Solid oak, oiled by hand, with a groove along the edge that holds what drips. " * 8
    count = 0
    while True:
        count += 1
        fields = {"category": "Lanterns", "other_categories": ["Boards", "Kettles", "Blankets"]}
        fields |= {"product": f"Aldwick lantern number {count}", "listing": text}
        if not held_out(f"product:{count}"):
            yield Seed(f"product:{count}", fields, "")


def fill_store(path: Path, number: int, together: int) -> None:
    """Puts ``number`` answers, ``together`` at once."""
    from dataset_builders.pools.choice import packed
    from dataset_builders.synthesis.answers import rules_digest
    from dataset_builders.synthesis.declare import load_synthesis
    from dataset_builders.synthesis.request import Settings, seed_digest, template_digest
    from dataset_builders.synthesis.store import KEPT, Record, Store

    synthesis = load_synthesis(DATASET)
    waiting = []
    with Store(path) as store:
        head = store.head(DATASET, template_digest(synthesis), MODEL, Settings().text(synthesis))
        store.judged(head, rules_digest(synthesis), [])
        for seed in islice(seed_rows(), number):
            record = Record(head.id, seed_digest(seed), KEPT, "", packed(seed), SAID, "", 500, 10, 0.05, 0.0)
            waiting.append(store.put(record))
            if len(waiting) == together:
                for done in waiting:
                    done.result()
                waiting = []


def fill(stored: int, folder: Path) -> None:
    """Raw files, seed rows and answers, as a run of ``recipe synth`` leaves them."""
    from dataset_builders import sample_shop
    from dataset_builders.pools.cache import fingerprint
    from dataset_builders.synthesis.seeds import SeedRequest, seeds_step, write_seeds
    from dataset_builders.task import ROOM, load_task
    from spine.atomic import whole_folder

    sample_shop.write(folder / "raw", scale=0.1, seed=2024)
    wanted = SeedRequest(DATASET, int(stored * ROOM) + 1, folder / "raw")
    step = seeds_step(wanted, CACHE, fingerprint(wanted.raw, load_task(DATASET).source))
    with whole_folder(step.folder) as temporary:
        write_seeds(temporary / "seeds.parquet", islice(seed_rows(), int(1.2 * stored)))
        step.finish(["seeds.parquet"], written_in=temporary, sealed=["seeds.parquet"])
    fill_store(SYNTHESIS / "store.sqlite", stored, 4096)


if __name__ == "__main__":
    fill(int(sys.argv[1]), Path(sys.argv[2]))
