"""What a task builder is: a generator of questions over one source, with its facts in a header.

A task file under ``dataset_builders/tasks/`` holds one ``build`` function decorated with ``@task``; its
wordings lie in ``prompts/tasks/<name>.j2``. The file's name is the dataset's name in a blend. All that such a file
needs to say what it is, it imports from here.
"""

from __future__ import annotations

import hashlib
import importlib
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

from dataset_builders.raw import RawData
from spine.errors import RecipeError, did_you_mean
from spine.paths import PROMPTS, shown
from spine.task_types import TaskType, Truth

__all__ = ["Question", "Questions", "RawData", "Seeded", "Task", "TaskType", "load_task", "task", "task_names"]

Source = Literal["alpaca", "amazon_m2", "amazon_reviews", "ecinstruct", "esci", "mmlu", "own"]
Synthesis = Literal["construct", "enrich", "reword"]
Questions = Iterator["Question"]
Build = Callable[[RawData, "Seeded"], Questions]
ROOM = 1.1


class Origin(NamedTuple):
    """Where a question comes from that an LLM made; both digests are hex."""

    template: str  # digest of the template
    model: str
    seed_row: str  # digest of the seed row


@dataclass(frozen=True, slots=True)
class Question:
    """One question before it has words; the same in every blend.

    Attributes:
        entity: what it is about: ``product:B0..`` (on whatever site), ``query:oak bread board``, ``session:..``,
            ``review:..``, or the source's name and a digest where rows have no id.
        fields: the variables of the prompt file.
        truth: the answer in ShopBench's ``output_field`` form, see ``spine.task_types.answer_text``.
        also: every further product, query, session or review that it shows; none of them is on both sides of
            the split either.
        type: of this question, where a dataset holds several types (a file of the user's own).
        key: which of the questions about ``entity`` this is, where there may be very many: one review of a product
            that everybody reviews.
        origin: of a question that an LLM made.
    """

    entity: str
    fields: Mapping[str, Any]
    truth: Truth
    also: tuple[str, ...] = ()
    type: TaskType | None = None
    key: str = ""
    origin: Origin | None = None


@dataclass(frozen=True, slots=True)
class Seeded:
    """Random numbers that depend on (seed, task, key) alone: the same row gets the same draw on any machine,
    in any order, with any number of workers.

    ``choice``: see ``wants``.
    """

    seed: int
    task: str
    choice: Callable[[str, str], bool] = field(default=lambda entity, key: True, compare=False)

    def wants(self, entity: str, key: str = "") -> bool:
        """Whether the question ``key`` about ``entity`` can still be among those that are taken.

        A builder that asks before it works a question out saves most of its time on a large source. What later
        questions draw from must be remembered all the same: a question is the same in every blend.
        """
        return self.choice(entity, key)

    def digest(self, key: str) -> int:
        """64 bits, uniform."""
        text = f"{self.seed}\0{self.task}\0{key}".encode()
        return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest())

    def rng(self, key: str) -> random.Random:
        return random.Random(self.digest(key))


@dataclass(frozen=True, slots=True)
class Task:
    """A dataset of the blend: its facts, and ``build(raw, seeded)`` which streams its questions."""

    name: str
    type: TaskType
    source: Source
    track: int | None  # of the contest, 1-4; None: general instructions
    llm: Synthesis | None  # the way of synthesis when an endpoint is given
    what: str  # first line of the file's docstring
    build: Build
    room: float = ROOM  # how many rows a pool holds at least for each that is wanted
    quotes: tuple[str, ...] = ()  # fields that may hold the answer in its words, see ``given_away``
    rates: bool = False  # whether the answer is how content a writer is: no text may tell the stars


def task(
    *, type: TaskType, source: Source, track: int | None, llm: Synthesis | None = None, room: float = ROOM,
    quotes: tuple[str, ...] = (), rates: bool = False,
) -> Callable[[Build], Task]:  # fmt: skip
    """Decorates the ``build`` function of a task file."""

    def register(build: Build) -> Task:
        module = importlib.import_module(build.__module__)
        what = (module.__doc__ or "").strip().partition("\n")[0].rstrip(".")
        name = build.__module__.rpartition(".")[2]
        return Task(name, type, source, track, llm, what, build, room, quotes, rates)

    return register


@cache
def task_names() -> tuple[str, ...]:
    """Every dataset that a blend may name: the files under ``tasks/``."""
    folder = Path(__file__).parent / "tasks"
    return tuple(sorted(path.stem for path in folder.glob("*.py") if not path.stem.startswith("_")))


def load_task(name: str) -> Task:
    """The task of that name.

    Raises:
        RecipeError: no such file under ``dataset_builders/tasks/``, or no wordings under ``prompts/tasks/``.
    """
    if name not in task_names():
        raise RecipeError(f"no builder makes a dataset '{name}'", way_out=did_you_mean(name, task_names()))
    if not (wordings := PROMPTS / "tasks" / f"{name}.j2").is_file():
        way_out = f"each wording is one {{% block %}} of it; `recipe new task {name}` writes a skeleton"
        raise RecipeError(f"the dataset '{name}' has no words to be asked in", where=shown(wordings), way_out=way_out)
    builder = importlib.import_module(f"dataset_builders.tasks.{name}").build
    assert isinstance(builder, Task)
    return builder
