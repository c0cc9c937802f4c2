"""The commands as a user meets them: their help, their speed in imports, their refusals."""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from recipe.commands import root
from spine.paths import CONFIGS, ROOT

COMMANDS = root.list_commands(None)  # type: ignore[arg-type]
HEAVY = {"torch", "transformers", "axolotl", "polars", "pyarrow", "matplotlib", "datasets"}


def recipe(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).parent / "recipe"), *arguments]
    return subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, timeout=60, check=False
    )


def test_a_command_that_has_explained_itself_ends_with_its_code() -> None:
    """`recipe eval` whose model did not load must not look as if it had answered."""
    code = (
        "import click, sys; from recipe import commands; sys.argv = ['recipe', 'list']\n"
        "def fail(): raise click.exceptions.Exit(3)\n"
        "commands.root.get_command(click.Context(commands.root), 'list').callback = fail\ncommands.main()"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=False).returncode == 3
    assert recipe("list").returncode == 0 and recipe("--help").returncode == 0
    assert recipe("shwo").returncode == 2


def test_a_broken_blend_does_not_silence_the_others(tmp_path: Path) -> None:
    shutil.copytree(CONFIGS, tmp_path / "configs", ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    (tmp_path / "configs" / "blends" / "broken.yaml").write_text("datasets: 5")
    done = recipe("list", RECIPE_CONFIGS=str(tmp_path / "configs"))
    assert done.returncode == 1 and "broken.yaml:1: 'datasets'" in done.stderr and "v8-ours" in done.stdout


def imported_by(*arguments: str) -> set[str]:
    code = (
        f"import sys; sys.argv = {['recipe', *arguments]!r}\nfrom recipe.commands import main\n"
        "try: main()\nexcept SystemExit: pass\nprint('MODULES', *{name.split('.')[0] for name in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(done.stdout.rpartition("MODULES")[2].split())


def test_help_imports_next_to_nothing() -> None:
    assert not imported_by("--help") & (HEAVY | {"pydantic", "ruamel", "rich", "jinja2"})


@pytest.mark.parametrize("arguments", [["show", "v8"], ["diff", "v8", "v9b"], ["list"]])
def test_looking_at_a_run_needs_none_of_the_heavy_packages(arguments: list[str]) -> None:
    assert not imported_by(*arguments) & HEAVY


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself_with_examples(name: str) -> None:
    shown = CliRunner().invoke(root, [name, "--help"])
    assert shown.exit_code == 0 and f"recipe {name}" in shown.output.partition("Examples:")[2]


def test_the_root_lists_every_command() -> None:
    importlib.import_module("recipe.commands.list")  # whose name is a builtin's
    shown = CliRunner().invoke(root, ["--help"]).output
    assert not [name for name in COMMANDS if name not in shown]
    assert "_RECIPE_COMPLETE" in shown


def test_show_prints_profile_first_then_yaml_blend_and_steps(typed: Callable[..., Any]) -> None:
    done = typed("show", "v8", PROFILE="8xa100", COLUMNS="200")
    assert done.returncode == 0
    assert done.stderr.splitlines()[0] == "profile 8xa100 (asked for)"
    for part in ("base_model: Qwen/Qwen2-72B-Instruct", "query_product_ranking", "what would run:", "502,435"):
        assert part in done.stdout


def test_show_yaml_is_yaml_alone() -> None:
    done = recipe("show", "v8", "--yaml", "-p", "cpu")
    assert done.stdout.startswith("# Behind a key: ") and "what would run" not in done.stdout


def test_set_comes_from_the_environment_as_make_gives_it(typed: Callable[..., Any]) -> None:
    assert "lora_r: 32  # <- SET" in typed("show", "v8", "--yaml", SET="lora_r=32").stdout


def test_diff_shows_blend_and_settings(typed: Callable[..., Any]) -> None:
    shown = typed("diff", "v8", "v9b", PROFILE="cpu").stdout
    assert "mmlu_auxiliary" in shown and "lora_model_dir" in shown
    assert "no difference" in typed("diff", "v8", "v8", PROFILE="cpu").stdout
    assert "learning_rate" in typed("diff", "v8", "v8", "--set", "learning_rate=1e-4", PROFILE="cpu").stdout


def test_a_profile_of_two_runs_is_told_once(typed: Callable[..., Any]) -> None:
    assert typed("diff", "v8", "v9b", PROFILE="cpu").stderr == "profile cpu (asked for)\n"


def test_where_nothing_is_yet_it_is_said_what_makes_some(
    typed: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recipe.commands.table.RUNS", tmp_path / "runs")
    monkeypatch.setattr("recipe.commands.synth.SYNTHESIS", tmp_path / "synthesis")
    table, status, samples = typed("table"), typed("synth", "status"), typed("synth", "samples")
    assert (table.returncode, "nothing is scored yet\n  -> make eval-v8" in table.stderr) == (1, True)
    assert (status.returncode, "no answers yet" in status.stdout) == (0, True) and "synth-demo" in status.stdout
    assert (samples.returncode, "no answers yet\n  -> make synth-v8" in samples.stderr) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["show", "v88"], "error: no blend 'v88'"),
        (["show", "v8", "--set", "lora_rr=1"], "did you mean 'lora_r'"),
        (["data", "v8", "--data", "/no/such/folder"], "error: DATA=/no/such/folder: no such folder"),
        (["shwo", "v8"], "no command 'shwo'; did you mean 'show'?"),
    ],
)
def test_mistakes_are_one_message_and_not_0(
    arguments: list[str], what: str, typed: Callable[..., Any], runs_folder: Path
) -> None:
    done = typed(*arguments)
    assert done.returncode in (1, 2) and what in done.stderr and "Traceback" not in done.stderr


def test_a_missing_environment_says_how_to_make_it(tmp_path: Path) -> None:
    done = recipe("check", "v8", RECIPE_VENVS=str(tmp_path))
    assert done.returncode == 1 and "-> make env-train" in done.stderr


def test_completion_knows_the_commands() -> None:
    done = recipe(_RECIPE_COMPLETE="bash_complete", COMP_WORDS="recipe sh", COMP_CWORD="1")
    assert "show" in done.stdout
