"""``recipe synth`` from the dry run to the samples, against a server that answers what it can."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from dataset_builders.llm_rows import path_of
from dataset_builders.synthesis.declare import Seed
from recipe.commands import synth
from recipe.steps import synth as synthesizing
from spine.errors import RecipeError
from tests.dataset_builders.synthesis.conftest import given
from tests.dataset_builders.synthesis.server import Reply, completion, serving
from tests.dataset_builders.synthesis.test_tasks import GOOD

_TASKS = ("--task", "product_category", "--task", "query_relation")


def answering(request: dict[str, Any], number: int) -> Reply:
    """Rewords well, and refuses to make queries."""
    name = _name(request)
    if name != "product_category":
        return completion("I cannot do that.")
    return completion(json.dumps(GOOD[name](Seed("", given(request), ""))))


def _name(request: dict[str, Any]) -> str:
    return str(request["response_format"]["json_schema"]["name"])


@pytest.fixture
def recipe(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    monkeypatch.setattr(synth, "SYNTHESIS", tmp_path / "synthesis")
    monkeypatch.setattr(synthesizing, "CACHE", cache)
    for name in ("ENDPOINT", "MODEL", "BUDGET", "LIMIT", "PRICE", "PROFILE", "SET", "DATA"):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments: str) -> Result:
        found = CliRunner().invoke(synth.command, arguments)
        if found.exception and not isinstance(found.exception, SystemExit):
            raise found.exception
        return found

    return run


def test_from_the_dry_run_to_the_samples(recipe: Callable[..., Result], shop: Path, tmp_path: Path) -> None:
    with serving(answering) as server:
        run = ("run", "v8-ours", "-p", "cpu", "--data", str(shop), "--endpoint", server.url, *_TASKS)
        run = (*run, "--model", "tiny", "--price", "1,2")
        dry = recipe(*run, "--dry-run")
        assert not server.asked and "product_category" in dry.stdout and "2 datasets" in dry.stdout
        assert not path_of(tmp_path / "synthesis", "product_category").exists()
        done = recipe(*run)
        asked = len(server.asked)
        assert "USD" in done.stderr and "rejected" in done.stderr and "a refusal" in done.stderr
        assert recipe(*run).exit_code == 0 and len(server.asked) == asked  # all of it is there already
    assert path_of(tmp_path / "synthesis", "product_category").exists()
    assert not path_of(tmp_path / "synthesis", "query_relation").exists()
    status = recipe("status").stdout
    assert "product_category" in status and "100%" in status and "a refusal" in status
    shown = recipe("samples", "--only", "rejected", "-n", "2").stdout
    assert shown.count("I cannot do that.") == 4 and "rejected  a refusal" in shown
    assert "product_category.parquet" in recipe("export").stdout
    kept = sum(_name(request) == "product_category" for request in server.asked)
    assert recipe("prune", "--task", "product_category", "--yes").stdout == f"{kept} answers removed\n"
    assert "product_category" not in recipe("status").stdout
    assert not path_of(tmp_path / "synthesis", "product_category").exists()  # nor does `recipe data` use it any more


def test_mistakes_are_told_before_anything_is_asked(recipe: Callable[..., Result]) -> None:
    assert "no answers yet" in recipe("status").stdout
    with pytest.raises(RecipeError, match="no answers yet"):
        recipe("samples")
    with pytest.raises(RecipeError, match="no synthesis for 'query_relations'"):
        recipe("run", "v8", "-p", "cpu", "--endpoint", "http://127.0.0.1:9/v1", "--task", "query_relations")
    with pytest.raises(RecipeError, match="is no endpoint"):
        recipe("run", "v8", "-p", "cpu", "--endpoint", "localhost:8000")
    for neither in ((), ("--engine", "ray"), ("--engine", "ray", "--model", "m", "--endpoint", "http://x/v1")):
        assert "name an --endpoint, or --engine ray and a --model" in recipe("run", "v8", "-p", "cpu", *neither).output
    run = ("run", "v8", "-p", "cpu", "--endpoint", "http://x/v1", "--model", "m")
    with pytest.raises(RecipeError, match="no budget"):
        recipe(*run, "--budget", "all")
    with pytest.raises(RecipeError, match=r"what m costs is not known\n  -> --price"):
        recipe(*run, "--budget", "5usd")
    with pytest.raises(RecipeError, match="no synthesis makes 'query_relations'"):
        recipe("prune", "--task", "query_relations")
    with pytest.raises(RecipeError, match="every answer"):
        recipe("prune")


def test_without_an_endpoint_nothing_runs(recipe: Callable[..., Result]) -> None:
    found = recipe("run", "v8")
    assert found.exit_code == 2 and "--endpoint" in found.stderr


@pytest.mark.parametrize("name", ["run", "status", "export", "prune", "samples", "demo"])
def test_help_ends_with_examples(name: str, recipe: Callable[..., Result]) -> None:
    assert "Examples:" in recipe(name, "--help").stdout
