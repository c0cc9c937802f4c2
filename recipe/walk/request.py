"""What `reproduce` and `report` are asked: the same options, so that one tells what the other has done."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from axolotl_configs.schema import names
from axolotl_configs.select import choose
from recipe.commands.options import data_options, profile_option, set_option
from recipe.walk.wanted import Wanted
from spine.errors import RecipeError
from spine.hardware import this_machine
from spine.terminal import say

F = TypeVar("F", bound=Callable[..., Any])


def wanted_options(function: F) -> F:
    """--profile, --set, --data, --decontaminate, --questions and --fast: what ``wanted`` takes."""
    questions = click.option(
        "--questions", envvar="QUESTIONS", type=click.Path(path_type=Path, exists=True), metavar="FILE",
        help="Compare the models on these, instead of on held-out questions.  [env: QUESTIONS]",
    )  # fmt: skip
    fast = click.option(
        "--fast", is_flag=True, help="On the profile's variant for CI (cpu-fast): every step, too little of each."
    )
    return profile_option(set_option(data_options(questions(fast(function)))))


def wanted(
    profile: str | None, overrides: str, data: Path | None, decontaminate: tuple[Path, ...], questions: Path | None,
    fast: bool,
) -> Wanted:  # fmt: skip
    """What was asked for; says which profile it is, and why.

    Raises:
        RecipeError: there is no fast variant of the profile.
    """
    data, questions = (path and path.absolute() for path in (data, questions))
    evaluation = tuple(path.absolute() for path in decontaminate)
    return Wanted(_profile(profile or None, fast), overrides, data, evaluation, questions)


def _profile(asked: str | None, fast: bool) -> str:
    name, reason = choose(this_machine(), asked)
    if fast and not name.endswith("-fast"):
        name, reason = f"{name}-fast", f"the variant of {name} for CI"
        if name not in names("profiles"):
            way_out = f"axolotl_configs/profiles/{name}.yaml, which begins with `include: {name[:-5]}`"
            raise RecipeError(f"there is no profile {name}", where="FAST", way_out=way_out)
    say(f"profile {name} ({reason})")
    return name
