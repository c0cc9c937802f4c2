"""Which seed rows a dataset is made from, in the order in which they are asked about; kept in a file by content.

The choice is by hashes, as that of a blend's rows: the same for every endpoint, model and size, and never a row that
belongs to validation, so that what models are judged by was made without one.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from itertools import accumulate, islice
from pathlib import Path

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped,unused-ignore]
import pyarrow.parquet as pq  # type: ignore[import-untyped,unused-ignore]

from dataset_builders.held_out import held_out
from dataset_builders.pools.cache import fingerprint, roomy, task_code
from dataset_builders.pools.choice import Choice, packed, unpacked
from dataset_builders.raw import RawData
from dataset_builders.synthesis.declare import Seed, load_synthesis
from dataset_builders.synthesis.request import may_ask, seed_digest
from dataset_builders.task import Seeded, load_task
from spine.atomic import whole_folder
from spine.code import code_of
from spine.manifest import Step

_SEED = 0  # a row is asked about whatever the blend's seed
_TO_SPARE = 2.0  # seed rows for each row that is wanted: many answers are rejected
_LEAST = 64
_ROWS = 1024  # of a row group, the unit of reading
_SCHEMA = pa.schema({"digest": pa.binary(16), "row": pa.binary()})


@dataclass(frozen=True)
class SeedRequest:
    """``rows`` of the dataset ``name``, from the raw files in ``raw``."""

    name: str
    rows: int
    raw: Path
    max_rejected: float = 0.01


def ensure_seeds(wanted: Sequence[SeedRequest], cache: Path, tell: Callable[[str, int, int], None]) -> dict[str, Path]:
    """The file of seed rows of each dataset; those that the cache lacks are made side by side.

    Args:
        tell: told the dataset that is finished, how many are, and how many there are.

    Raises:
        RecipeError: a raw file is missing or broken.
    """
    sources = {load_task(each.name).source: each.raw for each in wanted}
    raw = {source: fingerprint(folder, source) for source, folder in sources.items()}
    steps = {each.name: seeds_step(each, cache, raw[load_task(each.name).source]) for each in wanted}
    missing = [(steps[each.name], each) for each in wanted if not steps[each.name].is_done()]
    workers = min(len(missing), len(os.sched_getaffinity(0)))
    if workers == 1:
        _make(*missing[0])
    elif missing:
        with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as executor:
            futures = {executor.submit(_make, *job): job[1].name for job in missing}
            try:
                for number, future in enumerate(as_completed(futures), start=1):
                    future.result()
                    tell(futures[future], number, len(missing))
            except BaseException:
                executor.shutdown(wait=False, cancel_futures=True)
                raise
    return {name: step.folder / "seeds.parquet" for name, step in steps.items()}


def seeds_step(wanted: SeedRequest, cache: Path, raw: Mapping[str, object]) -> Step:
    """The step that writes ``seeds.parquet``; ``raw``: the fingerprint of the dataset's source."""
    code = code_of(__name__, load_synthesis(wanted.name).module, *task_code(wanted.name))
    size = roomy(wanted.rows, _TO_SPARE, _LEAST)
    inputs = {"size": size, "raw": raw, "code": code, "max_rejected": wanted.max_rejected}
    return Step.in_cache(cache / "synthesis" / wanted.name, f"seed rows of {wanted.name}", inputs)


def _make(step: Step, wanted: SeedRequest) -> None:
    step = Step(step.folder, step.name, step.inputs)  # its clock starts here
    with whole_folder(step.folder) as temporary:
        left_out = write_seeds(temporary / "seeds.parquet", _chosen(wanted, step.inputs["size"]))
        step.finish(["seeds.parquet"], written_in=temporary, sealed=["seeds.parquet"], speaks_to_model=left_out)


def _chosen(wanted: SeedRequest, size: int) -> Iterator[Seed]:
    """As a blend chooses, of the training side alone."""
    synthesis, raw = load_synthesis(wanted.name), RawData(wanted.raw, wanted.max_rejected)
    choice = Choice(wanted.name, _SEED, train=size, val=0)

    def wants(entity: str, key: str) -> bool:
        return not held_out(entity) and choice.wants(entity, key)

    for seed in synthesis.seeds(raw, Seeded(_SEED, wanted.name, wants)):
        if not held_out(seed.entity) and not any(map(held_out, seed.also)):
            choice.offer(seed)
    return map(unpacked, choice.sides["train"].taken())


def write_seeds(path: Path, seeds: Iterator[Seed]) -> int:
    """Writes them in this order, each once; how many speak to the model and are left out."""
    seen: set[bytes] = set()
    left_out = 0
    with pq.ParquetWriter(path, _SCHEMA, compression="zstd", compression_level=1) as writer:
        while chunk := list(islice(seeds, _ROWS)):
            rows = []
            for seed in chunk:
                digest = seed_digest(seed)
                if not may_ask(seed):
                    left_out += 1
                elif digest not in seen:
                    seen.add(digest)
                    rows.append({"digest": digest, "row": packed(seed)})
            if rows:
                writer.write_table(pa.Table.from_pylist(rows, _SCHEMA), row_group_size=_ROWS)
    return left_out


class SeedFile:
    """What ``write_seeds`` wrote; rows are read when they are needed, a thousand at a time."""

    def __init__(self, path: Path) -> None:
        self._file = pq.ParquetFile(path)
        groups = [self._file.metadata.row_group(number).num_rows for number in range(self._file.num_row_groups)]
        self._starts: list[int] = [0, *accumulate(groups)]
        column = self._file.read(columns=["digest"])["digest"].combine_chunks()
        self._digests: bytes = column.buffers()[1].to_pybytes() if groups else b""

    def __len__(self) -> int:
        return self._starts[-1]

    def without(self, settled: bytes) -> list[int]:
        """The places of the rows that are not among ``settled``, digests of 16 bytes each. 64 bits of a digest decide:
        one row in many billions would be left out."""
        rows, done = (np.frombuffer(text, dtype=">u8")[::2].astype("u8") for text in (self._digests, settled))
        if not len(done):
            return list(range(len(self)))
        done.sort(kind="stable")  # the store gives them sorted but for two runs; that is fast then
        order = np.argsort(rows)
        at = np.minimum(np.searchsorted(done, rows[order]), len(done) - 1)
        places: list[int] = np.sort(order[done[at] != rows[order]]).tolist()
        return places

    def rows(self, places: Iterator[int]) -> Iterator[tuple[bytes, bytes]]:
        """(digest, packed seed) at ascending ``places``."""
        group, held = -1, list[bytes]()
        for place in places:
            while group < 0 or place >= self._starts[group + 1]:
                group += 1
                held = []
            held = held or self._file.read_row_group(group, columns=["row"])["row"].to_pylist()
            yield self._digests[16 * place : 16 * place + 16], held[place - self._starts[group]]
