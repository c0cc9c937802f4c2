"""What a synthesis is: where its seed rows come from, the form of an answer, and the questions an answer makes.

A file ``dataset_builders/synthesis/tasks/<dataset>.py`` declares one, and ``prompts/synthesis/<dataset>.j2`` words the
request. The way (construct, enrich, reword) is the one that the dataset's builder names; all rewordings are declared
together, in ``_reword.py``.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from dataset_builders.task import Question, Questions, RawData, Seeded, Task, load_task
from spine.errors import RecipeError, did_you_mean
from spine.paths import PROMPTS

# A seed row is told like a question: entity, key and what it shows; ``fields`` are what the model is given, ``truth``
# what is known of the answer, if anything. Neither may hold more than JSON does.
Seed = Question
Seeds = Iterator[Seed]
Text = Annotated[str, Field(min_length=1, max_length=2000)]
Short = Annotated[str, Field(min_length=1, max_length=120)]


def exactly(number: int) -> Any:
    """Of a list: so many, no more and no fewer."""
    return Field(min_length=number, max_length=number)


class Form(BaseModel):
    """The form of an answer; a field more, a field less or another type is refused."""

    model_config = ConfigDict(extra="forbid", strict=True, str_strip_whitespace=True)


class Unfit(Exception):
    """An answer that cannot be used.

    Args:
        reason: in a few words, the same for all answers of the kind: reports count by it.
        detail: what the model is told, so that it may do better.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        self.reason, self.detail = reason, detail or reason
        super().__init__(self.detail)


@dataclass(frozen=True)
class Synthesis:
    """What one dataset is made by.

    Attributes:
        module: ``__name__`` of the file.
        answer: the form.
        seeds: streams seed rows; asks ``seeded.wants`` first, as builders do.
        questions: ``(seed, answer) -> questions``; raises ``Unfit`` where the answer breaks a rule of the task.
        tokens: of an answer, at most.
        instructs: whether an answer is an instruction, which elsewhere would be a planted one.
        name: of the dataset; the last part of ``module`` if it is not given.
    """

    module: str
    answer: type[Form]
    seeds: Callable[[RawData, Seeded], Seeds]
    questions: Callable[[Seed, Any], Questions]
    tokens: int
    instructs: bool = False
    name: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", self.name or self.module.rpartition(".")[2])

    @property
    def task(self) -> Task:
        """The builder of the same dataset."""
        return load_task(self.name)

    @property
    def schema(self) -> dict[str, Any]:
        """The form as JSON Schema, in the part of it that structured outputs know: lengths of texts are left to us."""
        schema = _plain(self.answer.model_json_schema())
        assert isinstance(schema, dict)
        return schema


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        dropped = ("minLength", "maxLength", "title", "description") if "type" in value or "$ref" in value else ()
        return {key: _plain(inner) for key, inner in value.items() if key not in dropped}
    return [_plain(inner) for inner in value] if isinstance(value, list) else value


@cache
def synthesis_names() -> tuple[str, ...]:
    """Every dataset that an LLM can enhance: the files under ``prompts/synthesis/``."""
    return tuple(sorted(path.stem for path in (PROMPTS / "synthesis").glob("[!_]*.j2")))


@cache
def load_synthesis(name: str) -> Synthesis:
    """The synthesis of the dataset ``name``.

    Raises:
        RecipeError: there is none.
    """
    if name not in synthesis_names():
        raise RecipeError(f"no synthesis makes '{name}'", way_out=did_you_mean(name, synthesis_names()))
    file = name if Path(__file__).with_name("tasks").joinpath(f"{name}.py").is_file() else "_reword"
    module = importlib.import_module(f"dataset_builders.synthesis.tasks.{file}")
    synthesis = module.reword(name) if file == "_reword" else module.synthesis
    assert isinstance(synthesis, Synthesis)
    return synthesis
