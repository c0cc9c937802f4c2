"""The pools of a blend: those that are in the cache are taken, the others are built side by side.

A pool's key is everything it depends on, by content: the raw files of its source, the code and the prompts that make
it, the tokenizer, seed and sizes. Sizes come in steps, so that a weight can grow somewhat before a pool must.
"""

from __future__ import annotations

import ctypes
import gc
import multiprocessing
import os
import queue
import shutil
import signal
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pyarrow  # type: ignore[import-untyped,unused-ignore]

from dataset_builders.pools.build import Pool, build
from dataset_builders.task import ROOM
from spine.atomic import whole_folder
from spine.code import code_of
from spine.manifest import Step
from spine.paths import PROMPTS
from spine.stamp import stamp

# Told the dataset and the questions it has looked at since the last call; the rows of the pools that are finished,
# and of all that are to be built.
Progress = Callable[[str, int, int, int], None]

_STEP, _LEAST = 1.25, 32
_FEWEST = 100  # training rows: of a few, chance may take most
_KEPT = 4  # older pools of a dataset that stay in the cache, for going back to another blend


def roomy(rows: int, room: float = ROOM, least: int = _LEAST) -> int:
    """The size of the pool for so many rows: at least ``room`` times as many, in steps of a quarter from ``least``."""
    size = float(least)
    while size < rows * room:
        size *= _STEP
    return round(size)


def ensure_pools(
    pools: Sequence[Pool], cache: Path, tokenizer: str, progress: Progress, workers: int | None = None
) -> dict[str, Path]:
    """The folder of each pool, by the dataset's name; what is missing is built.

    Args:
        pools: with the rows that are wanted; what is built may be larger.
        cache: where pools are kept.
        tokenizer: the digest of the model's tokenizer.
        workers: processes; by default one a core.

    Raises:
        RecipeError: as ``pool.build``. Pools that were finished are kept.
    """
    sized = [
        replace(pool, train=roomy(max(_FEWEST, pool.train), pool.task.room), val=roomy(pool.val)) for pool in pools
    ]
    raw = _raw_files(pools)
    steps = {
        pool.name: Step.in_cache(cache / pool.name, f"pool of {pool.name}", _inputs([pool], tokenizer, raw))
        for pool in sized
    }
    missing = [(steps[pool.name], pool) for pool in sized if not steps[pool.name].is_done()]
    missing.sort(key=lambda job: -job[1].train)  # the longest first, so that none of them is the last
    workers = min(len(missing), workers or len(os.sched_getaffinity(0)))
    if workers == 1:
        _make_in_turn(missing, progress)
    elif missing:
        _make_all(missing, workers, progress)
    for step in steps.values():
        os.utime(step.folder)
        _forget_old(step.folder)
    return {name: step.folder for name, step in steps.items()}


def fingerprint(raw: Path, source: str) -> dict[str, str]:
    """Of each of a source's files, by content; none where there are none, which its reader complains of."""
    return {str(path.relative_to(raw)): stamp(path) for path in sorted((raw / source).rglob("*")) if path.is_file()}


def inputs_of(pools: Sequence[Pool], tokenizer: str) -> dict[str, Any]:
    """All that pools depend on, as the inputs of a step, without building them.

    Args:
        tokenizer: the digest of the model's tokenizer.
    """
    return _inputs(pools, tokenizer, _raw_files(pools))


def _inputs(pools: Sequence[Pool], tokenizer: str, raw: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    tasks = [pool for pool in pools if pool.path is None]
    evaluation = dict.fromkeys(path for pool in pools for path in pool.evaluation if path.is_file())
    return {
        "datasets": {pool.name: _asked(pool) for pool in pools},
        "raw files": {name: value for pool in tasks for name, value in raw[pool.task.source].items()},
        "tokenizer": tokenizer,
        "kept out of training": [_content(path) for path in evaluation],
        "code": code_of(build.__module__, *(part for pool in tasks for part in task_code(pool.name))),
    }


def _raw_files(pools: Sequence[Pool]) -> dict[str, dict[str, str]]:
    sources = {pool.task.source: pool.raw for pool in pools if pool.path is None}
    return {source: fingerprint(folder, source) for source, folder in sources.items()}


def _asked(pool: Pool) -> dict[str, Any]:
    """What is asked of a pool, with files by their content."""
    files = {"path": pool.path, "llm_rows": pool.llm_rows}
    elsewhere = (*files, "name", "raw", "base_model", "evaluation")
    asked = {key: value for key, value in asdict(pool).items() if key not in elsewhere}
    return asked | {key: _content(path) for key, path in files.items()}


def _content(path: Path | None) -> str | None:
    return stamp(path) if path and path.is_file() else None


def task_code(name: str) -> list[str | Path]:
    """A task's own code and words."""
    return [f"dataset_builders.tasks.{name}", PROMPTS / "tasks" / f"{name}.j2"]


def _make(step: Step, pool: Pool, tick: Callable[[int], None]) -> None:
    step = Step(step.folder, step.name, step.inputs)  # its clock starts here
    with whole_folder(step.folder) as temporary:
        build(pool, temporary, tick)
        step.finish(["pool.parquet", "report.json"], written_in=temporary)


def _make_in_turn(jobs: Sequence[tuple[Step, Pool]], progress: Progress) -> None:
    done, total = 0, sum(pool.train for _, pool in jobs)
    for step, pool in jobs:
        _make(step, pool, lambda count, name=pool.name, done=done: progress(name, count, done, total))  # type: ignore[misc]
        done += pool.train
        progress(pool.name, 0, done, total)


def _forget_old(folder: Path) -> None:
    others = sorted((path for path in folder.parent.iterdir() if path != folder), key=lambda p: p.stat().st_mtime)
    for path in others[:-_KEPT]:
        shutil.rmtree(path, ignore_errors=True)


# --- worker processes -----------------------------------------------------------------------------------------------

_signs: Any = None  # in a worker: the queue to which it tells how far it is


def _make_all(jobs: Sequence[tuple[Step, Pool]], workers: int, progress: Progress) -> None:
    # Fresh interpreters: a fork of a process whose tokenizer has threads may hang.
    context = multiprocessing.get_context("spawn")
    signs = context.Queue()
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_start, initargs=(signs,)) as executor:
        sizes: dict[Future[None], int] = {executor.submit(_work, *job): job[1].train for job in jobs}
        done, total = 0, sum(sizes.values())
        waiting = set(sizes)
        try:
            while waiting:
                finished, waiting = wait(waiting, timeout=0.2, return_when=FIRST_COMPLETED)
                for future in finished:
                    future.result()
                    done += sizes[future]
                for name, count in _told(signs):
                    progress(name, count, done, total)
        finally:
            executor.shutdown(wait=False, cancel_futures=True)


def _told(signs: Any) -> list[tuple[str, int]]:
    news = [("", 0)]
    while True:
        try:
            news.append(signs.get_nowait())
        except queue.Empty:
            return news[1:] or news


def _start(signs: Any) -> None:
    global _signs
    _signs = signs
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # the processes are the parallelism
    gc.set_threshold(50_000, 20, 100)  # builders make many small rows and no cycles
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C is the parent's to explain
    threading.Thread(target=_follow_parent, daemon=True).start()


def _follow_parent() -> None:
    """A worker whose parent was killed has nobody to work for."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _work(step: Step, pool: Pool) -> None:
    _make(step, pool, lambda count: _signs.put((pool.name, count)))
    # What one dataset took goes back to the machine, or a worker holds what its largest one ever needed.
    pyarrow.default_memory_pool().release_unused()
    with suppress(AttributeError):  # glibc's own; others give back by themselves
        ctypes.CDLL(None).malloc_trim(0)
