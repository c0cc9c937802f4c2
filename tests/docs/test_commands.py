"""Every command of README.md and docs/: understood by make and by `recipe`; and typed, where that takes seconds.

A command is typed in a small checkout (``world.py``) unless a line of ONLY_PARSED says why not. One that neither table
knows fails: whoever writes a new kind of command into a page says here what is done with it.
"""

from __future__ import annotations

import re
import shlex
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import click
import pytest

from axolotl_configs.render import parse_set, resolve
from axolotl_configs.schema import names
from dataset_builders.published.sources import SOURCES
from dataset_builders.task import task_names
from spine.errors import RecipeError
from tests.dataset_builders.synthesis.server import Reply, serving
from tests.dataset_builders.synthesis.test_cli import answering
from tests.docs.pages import Command, commands, files
from tests.docs.typed import leaf, parsed, recipe_calls
from tests.docs.world import MODEL, type_in

# Regular expressions of `recipe ...` or of another program -> why it is parsed, or known, and not typed by this test.
ONLY_PARSED = {
    r"recipe train\b": "minutes at least; tests/test_miniature.py trains",
    r"recipe (trial|ablate)(?!.* --dry-run)": "minutes at least; test_trial.py, test_ablate.py, on made-up answers",
    r"recipe smoke\b": "minutes; tests/test_smoke.py",
    r"recipe reproduce(?!.* --dry-run)": "an hour at least; tests/test_reproduce.py walks it",
    r"recipe new\b": "its files are there already in the checkout; test_extending.py types it in an empty one",
    r"recipe model\b": "needs the training environment; tests/test_miniature.py",
    r"recipe check\b": "needs the training environment; test_extending.py checks a profile where it is there",
    r"recipe verify .*--forward": "needs torch; tests/train_env/test_verify.py",
    r"recipe synth demo": "needs the serve environment, and minutes with a real model",
    r"recipe synth run .*--engine ray": "needs the serve environment; tests/serve_env/test_ray_synthesis.py",
    r"make bench\b": "minutes, and nothing else on the machine",
    r"recipe awq\b": "needs the quantize environment; tests/quantize_env",
    r"recipe (eval|sweep)\b": "needs the serve environment; tests/serve_env",
    r"recipe serve\b": "needs the serve environment, and runs until it is ended; tests/serve_env/test_server.py",
    r"recipe ask\b": "needs a server; tests/recipe/test_ask.py",
    r"recipe fetch (?!--list)": "needs the network; tests/dataset_builders/test_fetch.py",
    r"make (test|test-fast|locks|env-\w+)$": "make's own; tests/test_makefile.py",
    r"(\.venvs/serve/bin/)?ray (start|get-auth-token)\b": "Ray's own: starts a node, makes a token",
    r"export RAY_ADDRESS=\S+ HF_HOME=": "variables for the two commands behind it",
    r"/path/to/this/checkout/\S+ local_evaluation\.py": "the organisers' kit; tests/serve_env/test_submission.py",
    r"curl http://127.0.0.1:8000/v1/": "needs a server; tests/serve_env/test_server.py asks one",
    r"(\.venvs/train/bin/)?axolotl (train|merge-lora)\b": "axolotl's own, which trains",
    r"\.venvs/train/bin/pip install mlflow": "needs the network",
    r"(\.venvs/serve|\.venvs/t4)/bin/python -m pip install|python3\.11 -m venv \.venvs/t4": "needs the network",
    r"hf auth login": "needs an account",
    r"recipe push\b": "what is pushed takes a training; tests/recipe/test_push.py, against a hub of its own",
}
TYPED = re.compile(
    r"recipe (list|show|render|diff|plan|data|samples|questions|sample-data|fetch|merge|pad|verify|inspect|reproduce|"
    r"report|compare|table|runs|trial|ablate|synth (run|status|samples|export|prune))\b"
    r"|\.venvs/core/bin/python -m inference\.|eval .*_RECIPE_COMPLETE="
)

STANDS_FOR = {"FOLDER": MODEL, "BASE": MODEL, "SOURCE": "esci", "FILE...": "development.json"}
ALL = [command for command in commands() if not command.mentioned]
MENTIONED = [command for command in commands() if command.mentioned]


def spelled(command: Command) -> Command:
    """With names in the place of placeholders."""
    placeholders = f"({'|'.join(map(re.escape, STANDS_FOR))})(?!=)"  # SOURCE=esci is a variable
    text = re.sub(placeholders, lambda found: STANDS_FOR[found[0]], command.text)
    return Command(command.page, text)


def without_variables(command: Command) -> str:
    return shlex.join([command.program, *command.arguments]) if command.assigned else command.text


@cache
def why_not_typed(line: str) -> str | None:
    """The table's reason; None for what is typed."""
    for pattern, why in ONLY_PARSED.items():
        if re.match(pattern, line):
            return why
    assert TYPED.match(line), f"`{line}` is in neither table of {Path(__file__).name}: is it typed or only parsed?"
    return None


def own_tasks() -> list[str]:
    """Datasets that there are once a user has followed the pages."""
    return [*task_names(), *(Path(name).stem for name in files() if name.startswith("dataset_builders/tasks/"))]


@pytest.mark.parametrize("command", ALL, ids=str)
def test_make_and_recipe_understand_every_command(command: Command, at_desk: Path) -> None:
    command = spelled(command)
    if command.program not in ("make", "recipe"):
        why_not_typed(without_variables(command))
        return
    calls = recipe_calls(command, at_desk)
    if not calls:
        assert why_not_typed(f"make {shlex.join(command.arguments)}")
    for words, environment in calls:
        why_not_typed(shlex.join(["recipe", *words]))
        names_exist(parsed(words, environment))


def names_exist(given: dict[str, Any]) -> None:
    """Blends, profile, settings, datasets and sources of a command are there, and fit together."""
    blends = [*given.get("blends", ()), *(given.get(name) for name in ("blend", "first", "second", "a", "b"))]
    profile = given.get("profile") or "cpu"
    assert profile in names("profiles")
    for name in blends:
        if name and "/" not in name:
            resolved(name, profile, given.get("overrides") or "")
    assert {given.get("task"), *given.get("tasks", ())} - {None} <= set(own_tasks())
    assert set(given.get("sources", ())) <= SOURCES.keys() or given.get("base")


@cache
def resolved(name: str, profile: str, overrides: str) -> None:
    resolve(name, profile, parse_set(overrides), own_tasks())


@pytest.mark.parametrize(
    "text",
    ["make trian-v8", "make train-v88", "make eval-v8 QESTIONS=development.json", "make train-v8 QUESTIONS=file",
     "make train-v8 SET=lora_rr=32", "make show-v8 PROFILE=9xa100", "make samples-v8 TASK=liked_title",
     "recipe show v8 --yml", "recipe eval v8 --alpha much", "recipe diff v8", "make fetch-escii", "recipe shwo v8",
     "vllm serve Qwen/Qwen2-7B-Instruct"],
)  # fmt: skip
def test_a_mistake_in_a_page_is_seen(text: str, at_desk: Path) -> None:
    with pytest.raises((AssertionError, RecipeError, click.UsageError, subprocess.CalledProcessError)):
        test_make_and_recipe_understand_every_command(Command("page.md", text), at_desk)


@pytest.mark.parametrize("command", MENTIONED, ids=str)
def test_commands_that_are_mentioned_are_there(command: Command) -> None:
    leaf(command.arguments)


def test_every_line_of_the_table_is_of_use(desk: Path) -> None:
    lines = [command.text for command in ALL]
    for command in map(spelled, ALL):
        if command.program in ("make", "recipe"):
            lines += [shlex.join(["recipe", *words]) for words, _ in recipe_calls(command, desk)]
        else:
            lines.append(without_variables(command))
    assert [pattern for pattern in ONLY_PARSED if not any(re.match(pattern, line) for line in lines)] == []


def endpoint(request: dict[str, Any], number: int) -> Reply:
    """Has one model, which rewords well and refuses everything else."""
    return answering(request, number) if request else Reply(b'{"object": "list", "data": [{"id": "tiny"}]}')


def is_typed(command: Command, folder: Path) -> bool:
    if command.program not in ("make", "recipe"):
        return not why_not_typed(without_variables(command))
    calls = recipe_calls(command, folder)
    return bool(calls) and not any(why_not_typed(shlex.join(["recipe", *words])) for words, _ in calls)


@pytest.mark.slow  # some seconds for the checkout, half a second for most commands
@pytest.mark.parametrize("command", ALL, ids=str)
def test_what_takes_seconds_is_typed(command: Command, desk: Path, world: Path) -> None:
    command = spelled(command)
    if not is_typed(command, desk):
        pytest.skip("only parsed, see ONLY_PARSED")
    with serving(endpoint) as server:
        text = re.sub(r"http://(localhost|host):8000/v1", server.url, command.text)
        done = type_in(world, text)
    assert done.returncode == 0, f"{command.page}: {command}\n{done.stdout[-1500:]}\n{done.stderr[-3000:]}"
    assert "Traceback" not in done.stderr
