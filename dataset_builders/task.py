"""What a task builder is: a generator of questions over one source, with its facts in a header.

A task file under ``dataset_builders/tasks/`` holds one ``build`` function decorated with ``@task``; its
wordings lie in ``prompts/tasks/<name>.j2``. The file's name is the dataset's name in a blend.
"""

from __future__ import annotations

import hashlib
import importlib
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from recipe.errors import RecipeError, did_you_mean
from recipe.task_types import TaskType, Truth

Source = Literal["alpaca", "amazon_m2", "amazon_reviews", "ecinstruct", "esci", "mmlu"]
Synthesis = Literal["construct", "enrich", "reword"]
Build = Callable[[Path, "Seeded"], Iterator["Question"]]


@dataclass(frozen=True, slots=True)
class Question:
    """One question before it has words.

    Attributes:
        entity: what the row is about (``product:UK:B0..``, ``query:123``); train and validation never share one.
        fields: the variables of the prompt file.
        truth: the answer in ShopBench's ``output_field`` form, see ``recipe.task_types.answer_text``.
    """

    entity: str
    fields: Mapping[str, Any]
    truth: Truth


@dataclass(frozen=True, slots=True)
class Seeded:
    """Random numbers that depend on (seed, task, key) alone: the same row gets the same draw on any machine,
    in any order, with any number of workers."""

    seed: int
    task: str

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


def task(*, type: TaskType, source: Source, track: int | None, llm: Synthesis | None = None) -> Callable[[Build], Task]:
    """Decorates the ``build`` function of a task file."""

    def register(build: Build) -> Task:
        module = importlib.import_module(build.__module__)
        what = (module.__doc__ or "").strip().partition("\n")[0].rstrip(".")
        return Task(build.__module__.rpartition(".")[2], type, source, track, llm, what, build)

    return register


@cache
def task_names() -> tuple[str, ...]:
    """Every dataset that a blend may name: the files under ``tasks/``."""
    folder = Path(__file__).parent / "tasks"
    return tuple(sorted(path.stem for path in folder.glob("*.py") if not path.stem.startswith("_")))


def load_task(name: str) -> Task:
    """The task of that name.

    Raises:
        RecipeError: no such file under ``dataset_builders/tasks/``.
    """
    if name not in task_names():
        raise RecipeError(f"no builder makes a dataset '{name}'", way_out=did_you_mean(name, task_names()))
    found = importlib.import_module(f"dataset_builders.tasks.{name}").build
    assert isinstance(found, Task)
    return found
