"""One dataset's pool: its questions built, cleaned, worded and measured, in the order in which blends take them.

A blend takes the first so many rows of a pool, so a changed weight needs no new pool. What is in it is decided by
hashes of (seed, task, question), never by the order of files or workers: the same raw files and the same seed
give the same bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from itertools import islice
from pathlib import Path

import orjson
import pyarrow.parquet as pq  # type: ignore[import-untyped,unused-ignore]

from dataset_builders.given_away import given_away
from dataset_builders.held_out import HELD_OUT_SEED, held_out
from dataset_builders.llm_rows import read_llm_rows
from dataset_builders.own_questions import WORDING, own_task
from dataset_builders.pools.choice import Choice, Lowest, packed, unpacked
from dataset_builders.pools.decontaminate import Evaluation
from dataset_builders.pools.fitness import problem
from dataset_builders.pools.likeness import NearDuplicates, Words, answer_of, common_texts, hash64, texts_of
from dataset_builders.pools.rows import POOL_SCHEMA, Row, table
from dataset_builders.raw import NO_QUESTION, RawData
from dataset_builders.task import Origin, Question, Seeded, Task, load_task
from dataset_builders.wording import INSTRUCTION, REWORDED, messages
from spine.atomic import write_text
from spine.chat import ChatTokenizer
from spine.errors import RecipeError
from spine.prompts import wordings

_CHUNK = 512
_TICK = 2_000  # questions between two signs of life
_BUILD_SEED = 0  # a question is the same in every blend

Tick = Callable[[int], None]


@dataclass(frozen=True)
class Pool:
    """What a pool is made of. ``path``: a file of the user's own instead of a builder. ``train``/``val``: rows;
    ``upsample``: how often a question may be asked, each time in other words, if there are too few."""

    name: str
    raw: Path
    base_model: str
    seed: int
    train: int
    val: int
    upsample: int = 1
    path: Path | None = None
    evaluation: tuple[Path, ...] = ()
    max_rejected: float = 0.01
    llm_rows: Path | None = None  # where questions that an LLM made may lie, which are taken first

    @property
    def task(self) -> Task:
        return load_task(self.name) if self.path is None else own_task(self.name, self.path)


@dataclass
class Report:
    """What became of the questions. ``rejected``: place -> problem; ``contaminated``: question -> where it stands;
    ``given``: of a file of the user's own, its rows, and ``apart``: those that are held out."""

    given: int = 0
    apart: int = 0
    remarks: list[str] = field(default_factory=list)  # on whole raw files
    available: int = 0
    estimated: bool = False  # ``available``, where not every question was worked out
    more: bool = False  # whether a larger pool may hold more questions
    dropped: Counter[str] = field(default_factory=Counter)
    rejected: dict[str, str] = field(default_factory=dict)
    contaminated: dict[str, str] = field(default_factory=dict)

    def write(self, path: Path) -> None:
        write_text(path, json.dumps(vars(self), ensure_ascii=False, indent=1))

    @classmethod
    def read(cls, path: Path) -> Report:
        report = json.loads(path.read_text(encoding="utf-8"))
        return cls(**{**report, "dropped": Counter(report["dropped"])})


def build(pool: Pool, folder: Path, tick: Tick = lambda count: None) -> None:
    """Writes ``folder/pool.parquet`` (see ``rows.POOL_SCHEMA``) and ``folder/report.json``.

    Raises:
        RecipeError: a raw file is missing or broken, or too many of its rows cannot be read.
    """
    task, report = pool.task, Report()
    chosen = _choose(pool, task, report, tick)
    near, evaluation = NearDuplicates(), _evaluation(pool.evaluation)
    with pq.ParquetWriter(folder / "pool.parquet", POOL_SCHEMA, compression="zstd", compression_level=1) as writer:
        for side, wanted, seed in (("val", pool.val, HELD_OUT_SEED), ("train", pool.train, pool.seed)):
            seen = report if side == "train" else Report()
            fresh = islice(_fresh(task, chosen[side], near, evaluation, seen), wanted)
            make = partial(_rows, task, Seeded(seed, pool.name), side, _tokenizer(pool.base_model))
            again: list[bytes] = []  # what may be asked once more
            count = 0
            while chunk := list(islice(fresh, _CHUNK)):
                writer.write_table(table(make(0, chunk)))
                count += len(chunk)
                again += map(packed, chunk) if side == "train" and pool.upsample > 1 else ()
                tick(0)
            for copy in range(1, pool.upsample):
                for start in range(0, len(again), _CHUNK):
                    chunk = list(map(unpacked, again[start : start + _CHUNK][: wanted - count]))
                    writer.write_table(table(make(copy, chunk)))
                    count += len(chunk)
            report.more |= side == "train" and count == wanted
    report.write(folder / "report.json")


@cache
def _tokenizer(base_model: str) -> ChatTokenizer:
    return ChatTokenizer.load(base_model)


@cache
def _evaluation(files: tuple[Path, ...]) -> Evaluation | None:
    return Evaluation.load(files) if files else None


def _choose(pool: Pool, task: Task, report: Report, tick: Tick) -> dict[str, Lowest]:
    """Streams the questions past the choice: those that an LLM made, then the builder's about other rows."""
    raw = RawData(pool.raw, pool.max_rejected, watched=True)
    choice = Choice(pool.name, pool.seed, train=pool.train, val=pool.val)
    llm_rows = {_row_of(question) for question in _offered_llm_rows(pool, task, choice)}
    unfit = seen = 0

    def wants(entity: str, key: str) -> bool:
        wanted = choice.wants(entity, key)
        raw.heard += not wanted
        return wanted

    for question in task.build(raw, Seeded(_BUILD_SEED, pool.name, wants)):
        seen += 1
        raw.heard += 1
        if seen % _TICK == 0:
            tick(_TICK)
        if task.source != "own" and (trouble := problem(task.type, question)):
            raw.reject(f"{task.name}, a question about {question.entity}", trouble)
            unfit += 1
        elif task.source != "own" and (told := given_away(task, question)):
            report.dropped[told] += 1
        elif not held_out(question.entity) and any(map(held_out, question.also)):
            report.dropped["shows a held-out entity"] += 1
        elif not (llm_rows and _row_of(question) in llm_rows) and choice.offer(question) == "train":
            report.available += 1
    tick(seen % _TICK)
    _refuse_unfit(task, unfit, seen, raw)
    report.rejected, report.remarks = raw.rejected, list(raw.remarks)
    if task.source == "own":
        report.given, report.apart = seen + len(raw.rejected), seen - report.available
    report.dropped += raw.lacking or Counter({NO_QUESTION: 0 if raw.heard else raw.unheard})
    report.more = choice.sides["train"].limit < 2**64
    if choice.refused:  # questions that were not worked out: as many as the others let expect
        report.estimated = True
        report.available = round(report.available * choice.asked / max(1, choice.asked - choice.refused))
    report.available += len(llm_rows)
    return choice.sides


def _offered_llm_rows(pool: Pool, task: Task, choice: Choice) -> Iterator[Question]:
    for question in read_llm_rows(pool.llm_rows) if pool.llm_rows and pool.llm_rows.is_file() else ():
        if problem(task.type, question) is None and given_away(task, question) is None:
            choice.offer(question)
            yield question


def _row_of(question: Question) -> int:
    return hash64(f"{question.entity}\0{question.key}")


def _refuse_unfit(task: Task, unfit: int, seen: int, raw: RawData) -> None:
    if unfit > raw.max_rejected * seen:
        place, trouble = next((p, what) for p, what in raw.rejected.items() if p.startswith(f"{task.name}, "))
        raise RecipeError(
            f"{unfit:,} of {seen:,} questions are unfit; {raw.max_rejected:.1%} may be left out. {place}: {trouble}",
            where=f"dataset_builders/tasks/{task.name}.py",
            way_out="mend the builder, or the raw rows it is made from",
        )


def _fresh(
    task: Task, chosen: Lowest, near: NearDuplicates, evaluation: Evaluation | None, report: Report
) -> Iterator[Question]:
    """The questions that no evaluation file has and that are not nearly one of those before."""
    waiting = _distinct(map(unpacked, chosen.taken()), report)
    common: frozenset[str] | None = None
    while chunk := list(islice(waiting, _CHUNK)):
        common = common_texts(chunk) if common is None else common
        words = Words.of(texts_of(question, common) for question in chunk)
        if evaluation and any(places := evaluation.find(words)):
            for question, where in zip(chunk, places, strict=True):
                if where:
                    report.dropped["in an evaluation file"] += 1
                    report.contaminated[f"{task.name}: {question.entity}"] = f"{where.place} ({where.share:.0%} of it)"
            chunk = [question for question, where in zip(chunk, places, strict=True) if not where]
            words = Words.of(texts_of(question, common) for question in chunk)
        if not chunk:
            continue
        answers = [answer_of(question.type or task.type, question) for question in chunk]
        for question, new in zip(chunk, near.sieve(words, answers), strict=True):
            if new:
                yield question
            else:
                report.dropped["near-duplicate"] += 1


def _distinct(questions: Iterable[Question], report: Report) -> Iterator[Question]:
    """Without those that ask the same as one before, and have the same answer."""
    seen: set[bytes] = set()
    for question in questions:
        content = orjson.dumps([question.fields, question.truth], option=orjson.OPT_SORT_KEYS)
        if (digest := hashlib.blake2b(content, digest_size=8).digest()) in seen:
            report.dropped["duplicate"] += 1
        else:
            seen.add(digest)
            yield question


def _rows(
    task: Task, seeded: Seeded, side: str, tokenizer: ChatTokenizer, copy: int, questions: Sequence[Question]
) -> list[Row]:
    """Questions in words, with their lengths; another ``copy`` takes the next wording."""
    made = [_row(task, question, seeded, copy, tokenizer) for question in questions]
    lengths = tokenizer.lengths([row["messages"] for row in made])
    return [
        row | {"tokens": all_, "trained_tokens": own, "held_out": side == "val"}
        for row, (all_, own) in zip(made, lengths, strict=True)
    ]


def _row(task: Task, question: Question, seeded: Seeded, copy: int, tokenizer: ChatTokenizer) -> Row:
    names = wordings(task.name) if task.source != "own" else [WORDING]
    wording = names[(seeded.digest(f"wording {question.entity} {question.key}") + copy) % len(names)]
    if question.origin and INSTRUCTION in question.fields and not copy:
        wording = REWORDED
    kind = question.type or task.type
    shown = list(dict.fromkeys([question.entity, *question.also]))
    turns = messages(task, kind, wording, question, tokenizer.defuse)
    return {
        "messages": turns,
        "task": task.name,
        "task_type": kind.value,
        "source": task.source,
        "track": task.track,
        "llm": task.llm,
        "entities": shown,
        "touches": list(map(hash64, shown)),
        "wording": wording,
        "truth": json.dumps(question.truth, ensure_ascii=False),
        "copy": copy,
        **(question.origin._asdict() if question.origin else dict.fromkeys(Origin._fields)),
        "prompt": hash64(turns[1]["content"]),
    }
