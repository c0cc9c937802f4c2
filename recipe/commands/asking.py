"""What the commands that ask a model have in common: the options that say which model, and how it is asked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from axolotl_configs.render import Resolved
from inference.answering.answer import ENGINES, LONGEST, SHORTEST
from inference.answering.engines.cluster import RAY
from inference.answering.rules import Mode
from recipe.commands.options import profile_option, resolve_run, set_option, spread_options
from recipe.steps.data import ensure_model
from recipe.steps.eval import Target, model_target, run_target
from recipe.steps.merge import parse_parts
from spine.environments import python
from spine.paths import ROOT

_FILE = click.Path(path_type=Path)
F = TypeVar("F", bound=Callable[..., Any])

_TARGET = (
    click.argument("blend", required=False),
    profile_option,
    set_option,
    click.option(
        "--model", metavar="MODEL", help="Folder, hub name, folder of the run, or `base`, instead of BLEND's."
    ),
    click.option(
        "--adapter", "adapters", multiple=True, metavar="FOLDER[=W]",
        help="With --model: a LoRA adapter for it, and its share (1); more than once.",
    ),
    click.option(
        "--alpha", type=click.FloatRange(0, 2), envvar="ALPHA",
        help="Wise-ft weight, relative to where the blend's training started.  [default: the blend's in tracks.yaml; "
        "env: ALPHA]",
    ),
)  # fmt: skip
_MODE = (
    click.option(
        "--mode", type=click.Choice([mode.value for mode in Mode]), envvar="MODE",
        help="How far answers are bound: the winners' biases, what the question allows, or nothing.  "
        "[default: the profile's, else exact; env: MODE]",
    ),
    click.option("--dtype", default="auto", show_default=True, help="Of the weights: float32, bfloat16, float16."),
    click.option(
        "--max-length", type=click.IntRange(min=SHORTEST),
        help=f"Tokens of prompt and answer together.  [default: {LONGEST}, or what the model was made for]",
    ),
)  # fmt: skip
_ENGINE = click.option(
    "--engine", type=click.Choice((*ENGINES, RAY)),
    help="ray: the default one in workers of Ray, here or on the cluster of RAY_ADDRESS.  "
    "[default: the profile's, else vllm; without a GPU and for few questions, transformers]",
)  # fmt: skip
_QUESTIONS = (
    click.option(
        "--questions", type=_FILE, envvar="QUESTIONS", metavar="FILE",
        help="ShopBench's or EC-Guide's JSON, MMLU's CSV, or a folder of such.  "
        "[default: the run's held-out rows; env: QUESTIONS]",
    ),
    click.option("--limit", type=click.IntRange(min=1), envvar="LIMIT", help="Questions of each task.  [env: LIMIT]"),
)  # fmt: skip


def target_options(function: F) -> F:
    """BLEND, --profile, --set, --model, --adapter and --alpha: what ``chosen_target`` takes."""
    return _with(_TARGET, function)


def questions_options(function: F) -> F:
    """--questions, --limit."""
    return _with(_QUESTIONS, function)


def mode_options(function: F) -> F:
    """--mode, --dtype, --max-length: of ``recipe.steps.eval.How``."""
    return _with(_MODE, function)


def engine_options(function: F) -> F:
    """All of ``recipe.steps.eval.How``."""
    return _with((_ENGINE, spread_options, *_MODE), function)


def _with(options: tuple[Callable[[F], F], ...], function: F) -> F:
    for option in reversed(options):
        function = option(function)
    return function


def chosen_target(
    blend: str | None, profile: str | None, overrides: str, model: str | None, adapters: tuple[str, ...],
    alpha: float | None,
) -> tuple[Resolved | None, Target]:  # fmt: skip
    """The run, where a BLEND is named, and the model.

    Raises:
        RecipeError: the serve environment is not installed, or the model is not there.
    """
    if adapters and not model:
        raise click.UsageError("--adapter goes with --model")
    resolved = resolve_run(blend, profile, overrides) if blend else None
    python("serve")  # says how to install it, before anything else is tried
    if resolved and resolved.profile.embedded:
        ensure_model(ROOT / resolved.profile.base_model)
    if model:
        return resolved, model_target(model, parse_parts(adapters, "--adapter"), alpha, resolved)
    if not resolved:
        raise click.UsageError("name a BLEND or a --model")
    return resolved, run_target(resolved, alpha)
