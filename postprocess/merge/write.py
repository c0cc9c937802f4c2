"""Carries out a plan: reads each tensor once, writes it to every result, keeps finished shards when it is stopped.

``python -m postprocess.merge.write`` (see ``spine.child_job``). The results are written into ``.NAME.partial``
folders; who asked for them adds the manifest and gives them their names.
"""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any

import xxhash

from postprocess.merge.operation import LowRank, Operation
from postprocess.merge.outfile import WriteBehind, open_sized, write_at
from postprocess.merge.plan import MergeJob, MergePlan, Shard, make_plan, partial, step_of
from postprocess.merge.sums import Arithmetic, Cpu, Device, Files, as_bytes, by_rows, finite
from spine.atomic import disk_full_explained
from spine.checkpoint import INDEX, ITEM
from spine.child_job import OnProgress, serve
from spine.errors import RecipeError
from spine.paths import shown
from spine.pieces import SUMS

_PIECE = 32 * 2**20  # bytes of a result that one thread writes at a time, with a checksum of their own

# (offset, bytes, xxh3-64 in hex)
Seal = tuple[int, int, str]


@dataclass(frozen=True)
class _Piece:
    """Rows of one operation's result."""

    operation: Operation
    begin: int  # of the tensor in the file
    start: int
    stop: int


@dataclass
class _Open:
    """A shard that is being written, to every result. ``left``: of its pieces, still to come."""

    shard: Shard
    pieces: list[_Piece]
    files: list[int]
    behind: WriteBehind
    seals: list[list[Seal]]
    left: int = field(init=False)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.left = len(self.pieces)


def execute(plan: MergePlan, on_progress: OnProgress) -> dict[str, Any]:
    """Writes every result of ``plan`` but its manifest.

    Returns:
        seconds: of reading, computing and writing; bytes: read and written; device: where the products were made.

    Raises:
        RecipeError: NaN or infinity in an adapter or a result, a file that has become shorter, a full disk.
    """
    began = time.monotonic()
    device = _device(plan.job.device)
    folders = [partial(Path(out)) for out in plan.job.outs]
    for number, folder in enumerate(folders):
        _open_folder(folder, step_of(plan.job, number).key)
    waiting = [shard for shard in plan.shards if not all(_is_finished(folder, shard) for folder in folders)]
    files = Files()
    try:
        with disk_full_explained(folders[0]):
            _refuse_not_finite(plan, files)
            _write_shards(plan, waiting, folders, files, device, on_progress)
            for folder in folders:
                _complete(folder, plan)
    finally:
        files.close()
    written = sum(shard.nbytes for shard in waiting) * len(folders)
    return {"seconds": round(time.monotonic() - began, 3), "bytes": written, "device": plan.job.device,
            "resumed": len(plan.shards) - len(waiting)}  # fmt: skip


def _device(name: str) -> Device:
    if name == "cpu":
        return Cpu()
    from postprocess.merge.with_torch import Gpu

    return Gpu(name)


def _open_folder(folder: Path, key: str) -> None:
    """An empty folder, or that of an earlier attempt at the same plan."""
    told = folder / "plan.key"
    if folder.exists() and (not told.exists() or told.read_text() != key):
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    told.write_text(key)


def _is_finished(folder: Path, shard: Shard) -> bool:
    path = folder / shard.name
    return _journal(folder, shard).exists() and path.is_file() and path.stat().st_size == shard.nbytes


def _journal(folder: Path, shard: Shard) -> Path:
    return folder / f"{shard.name}.done"


def _write_shards(
    plan: MergePlan, shards: list[Shard], folders: list[Path], files: Files, device: Device, on_progress: OnProgress
) -> None:
    total = sum(shard.nbytes for shard in shards) * len(folders)
    told, lock = 0, threading.Lock()

    def wrote(count: int, shard: str) -> None:
        nonlocal told
        with lock:
            told += count
            on_progress(shard, told, total)

    cores = len(os.sched_getaffinity(0))
    threads = cores + 1 if plan.job.device == "cpu" else 4  # one more than compute: some wait for the disk
    with closing(WriteBehind(total)) as behind, ThreadPoolExecutor(threads) as executor:
        opened = [_begin(shard, folders, behind) for shard in shards]  # all of them: is there room for the last?
        futures: list[Future[None]] = [
            executor.submit(_write, piece, plan, one, folders, files, device, wrote)
            for one, piece in _in_turn(opened, threads)
        ]
        done, _ = wait(futures, return_when=FIRST_EXCEPTION)
        executor.shutdown(wait=True, cancel_futures=True)
        for future in done:
            future.result()
    on_progress("", total, total)


def _in_turn(opened: list[_Open], threads: int) -> Iterator[tuple[_Open, _Piece]]:
    """All pieces; those of as many shards as there are threads in turn, for two who write into one file wait."""
    for start in range(0, len(opened), threads):
        together = [[(one, piece) for piece in one.pieces] for one in opened[start : start + threads]]
        for row in zip_longest(*together):
            yield from (work for work in row if work)


def _pieces(shard: Shard) -> Iterator[_Piece]:
    for operation, begin in shard.operations:
        rows, columns = by_rows(operation.shape)
        step = max(1, rows if operation.whole else _PIECE // max(1, columns * ITEM[operation.dtype]))
        for start in range(0, max(1, rows), step):  # an empty tensor is a piece too: the last one finishes the shard
            yield _Piece(operation, begin, start, min(rows, start + step))


def _begin(shard: Shard, folders: list[Path], behind: WriteBehind) -> _Open:
    """Opens the shard's files at their full size, with their headers."""
    opened = []
    seal = (0, len(shard.header), xxhash.xxh3_64_hexdigest(shard.header))
    for folder in folders:
        _journal(folder, shard).unlink(missing_ok=True)
        file = open_sized(folder / shard.name, shard.nbytes)
        write_at(file, memoryview(shard.header), 0)
        opened.append(file)
    return _Open(shard, list(_pieces(shard)), opened, behind, [[seal] for _ in folders])


def _write(
    piece: _Piece,
    plan: MergePlan,
    opened: _Open,
    folders: list[Path],
    files: Files,
    device: Device,
    wrote: Callable[[int, str], None],
) -> None:
    operation = piece.operation
    columns = by_rows(operation.shape)[1]
    begin = at = piece.begin + piece.start * columns * ITEM[operation.dtype]
    hashes = [xxhash.xxh3_64() for _ in folders]
    for _, results in Arithmetic(operation, plan.job.weights, files, device).blocks(piece.start, piece.stop):
        for number, file in enumerate(opened.files):
            result = results[number % len(results)]
            content = as_bytes(result)
            hashes[number].update(content)
            write_at(file, content, at)
        at += len(content)
    for file, seals, made in zip(opened.files, opened.seals, hashes, strict=True):
        seals.append((begin, at - begin, made.hexdigest()))
        opened.behind.wrote(file, begin, at - begin)
    wrote((at - begin) * len(opened.files), opened.shard.name)
    with opened.lock:
        opened.left -= 1
        last = opened.left == 0
    if last:
        _finish(opened, folders)


def _finish(opened: _Open, folders: list[Path]) -> None:
    for file, folder, seals in zip(opened.files, folders, opened.seals, strict=True):
        os.close(file)
        journal = _journal(folder, opened.shard)
        journal.with_suffix(".tmp").write_text(json.dumps(sorted(seals)))
        journal.with_suffix(".tmp").rename(journal)


def _complete(folder: Path, plan: MergePlan) -> None:
    """Everything that is no weight, and the checksums of those."""
    for name, path in plan.carried.items():
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(path, folder / name)
    (folder / "config.json").write_text(json.dumps(dict(plan.config), indent=2) + "\n", encoding="utf-8")
    if index := plan.index():
        (folder / INDEX).write_text(index, encoding="utf-8")
    seals = {shard.name: json.loads(_journal(folder, shard).read_text()) for shard in plan.shards}
    (folder / SUMS).write_text(json.dumps(seals), encoding="utf-8")
    for shard in plan.shards:
        _journal(folder, shard).unlink()
    (folder / "plan.key").unlink()


def _refuse_not_finite(plan: MergePlan, files: Files) -> None:
    """A and B are small and read anyway: looked at before anything is written."""
    changes = [change for shard in plan.shards for operation, _ in shard.operations for change in operation.changes]
    factors = {tensor for change in changes if isinstance(change, LowRank) for tensor in (change.left, change.right)}
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as executor:
        ordered = sorted(factors, key=lambda tensor: (str(tensor.file), tensor.begin))
        good = list(executor.map(lambda tensor: finite(files.read(tensor), tensor.dtype), ordered))
    if bad := [tensor for tensor, is_good in zip(ordered, good, strict=True) if not is_good]:
        names = ", ".join(tensor.name for tensor in bad[:5])
        raise RecipeError(
            f"NaN or infinity in {len(bad)} of {len(ordered)} factors: {names}",
            where=shown(bad[0].file),
            way_out="the training diverged, or the file is damaged; take an earlier checkpoint",
        )


def _work(settings: Mapping[str, Any], on_progress: OnProgress) -> dict[str, Any]:
    return execute(make_plan(MergeJob.of(settings)), on_progress)


if __name__ == "__main__":
    serve(_work)
