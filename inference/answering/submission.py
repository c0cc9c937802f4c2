"""The class that the contest's starter kit imports (KDD Cup 2024), configured by environment variables.

In the kit's ``models/user_config.py``:

    from inference.answering.submission import ShopBenchModel as UserModel

It needs the serve environment's interpreter and can be imported from any folder. Answers are greedy, so that there is
no seed to set. docs/contest.md explains the variables.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from inference.answering.answer import ENGINES, SHORTEST, Answerer, Setup, longest
from inference.answering.contest import BATCH
from inference.answering.rules import Mode
from spine.errors import RecipeError, did_you_mean
from spine.hardware import this_machine
from spine.mixture import Mixture
from spine.models import local_folder

PREFIX = "RECIPE_"
# Read by other parts of this repository.
_OTHERS = {f"{PREFIX}{name}" for name in ("CACHE", "CONFIGS", "METRIC_MODELS", "RUNS", "SERVING", "SYNTHESIS", "VENVS")}


class ShopBenchModel:
    """Answers ShopBench's questions with the model that the environment names.

    Raises:
        RecipeError: variables that are wrong, all of them at once; an adapter of another model.
    """

    def __init__(self) -> None:
        setup, self._batch = configured(os.environ)
        self._answerer = Answerer(setup)
        self._answerer.engine(setup.mixture)  # loaded now: at the contest, answering is on the clock

    def get_batch_size(self) -> int:
        """How many questions may come at once."""
        return self._batch

    def batch_predict(self, batch: Mapping[str, Any], is_multiple_choice: bool) -> list[str]:
        """The answers to the prompts of ``batch["prompt"]``, in their order."""
        return self._answerer.answer(list(batch["prompt"]), is_multiple_choice)


def configured(environment: Mapping[str, str]) -> tuple[Setup, int]:
    """What answers, and how many questions at once. An empty variable counts as none.

    Raises:
        RecipeError: each variable that is wrong or that nobody reads, with its value.
    """
    given = {name: text for name, text in environment.items() if name.startswith(PREFIX) and text}
    settings: dict[str, Any] = {}
    faults = [
        RecipeError("nothing reads this variable", where=name, way_out=did_you_mean(name, READERS))
        for name in sorted(given.keys() - READERS.keys() - _OTHERS)
    ]
    for name, read in READERS.items():
        if name not in given:
            continue
        try:
            settings[name.removeprefix(PREFIX).lower()] = read(given[name])
        except ValueError as error:
            faults.append(RecipeError(f"{given[name]!r} {error}", where=name))
        except RecipeError as error:
            faults.append(RecipeError(f"{given[name]!r} {error.what}", where=name, way_out=error.way_out))
    if f"{PREFIX}MODEL" not in given:
        faults.append(RecipeError("names no model", where=f"{PREFIX}MODEL", way_out="a folder, or a name on the hub"))
    if "alpha" in settings and f"{PREFIX}ADAPTER" not in given:
        faults.append(RecipeError(f"weighs an adapter, and {PREFIX}ADAPTER names none", where=f"{PREFIX}ALPHA"))
    if faults:
        raise RecipeError.all_of(faults)
    adapter, alpha = settings.pop("adapter", None), settings.pop("alpha", 1.0)
    settings["mixture"] = Mixture.of(Path(adapter), alpha) if adapter else Mixture()
    batch = settings.pop("batch", BATCH)
    length = longest(settings["model"], settings.pop("max_length", None))
    defaults = {"engine": "vllm", "gpus": len(this_machine().gpu_names)}
    return Setup(**{**defaults, **settings}, max_length=length), batch


def _folder(text: str) -> str:
    if not Path(text).is_dir():
        raise ValueError("is no folder")
    return str(Path(text).absolute())


def _model(text: str) -> str:
    return str(local_folder(text))


def _number(kind: type[int] | type[float], low: float, high: float) -> Callable[[str], float]:
    def read(text: str) -> float:
        what = "whole number" if kind is int else "number"
        try:
            if low <= (value := kind(text)) <= high:
                return value
        except ValueError:
            pass
        raise ValueError(f"is no {what} from {low:g} to {high:g}")

    return read


def _gpus(text: str) -> float:
    return _number(int, 0, len(this_machine().gpu_names))(text)


def _one_of(known: Collection[str]) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in known:
            raise ValueError(f"is none of {', '.join(known)}")
        return text

    return read


READERS: dict[str, Callable[[str], Any]] = {
    f"{PREFIX}MODEL": _model,
    f"{PREFIX}ADAPTER": _folder,
    f"{PREFIX}ALPHA": _number(float, 0, 2),
    f"{PREFIX}ENGINE": _one_of(ENGINES),
    f"{PREFIX}MODE": _one_of([mode.value for mode in Mode]),
    f"{PREFIX}DTYPE": _one_of(("auto", "float32", "bfloat16", "float16")),
    f"{PREFIX}MAX_LENGTH": _number(int, SHORTEST, 1_000_000),
    f"{PREFIX}GPUS": _gpus,
    f"{PREFIX}BATCH": _number(int, 1, BATCH),
}
