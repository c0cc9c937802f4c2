"""Fixtures: `recipe` as it is typed; of the tests of `recipe push` a finished run, and a hub on this machine."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants

from axolotl_configs.render import Resolved
from recipe.commands import main
from recipe.commands import push as pushing
from recipe.commands.options import resolve_run
from recipe.hub import upload
from spine.manifest import Step
from spine.runs import Run
from tests.recipe.finished_run import FinishedRun, base_model, finish
from tests.recipe.hub import TOKEN, Hub


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """`recipe` from its entry on, in this process: what a shell would see, without a second of imports for each."""

    def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(sys, "argv", ["recipe", *arguments])
        code: Any = 0
        try:
            main()
        except SystemExit as end:
            code = end.code
        return subprocess.CompletedProcess(arguments, code, *capsys.readouterr())

    return run


@cache
def resolved(blend: str, profile: str | None, overrides: str) -> Resolved:
    """A tenth of a second, for every command typed here."""
    return resolve_run(blend, profile, overrides)


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(pushing, "resolve_run", resolved)
    return base_model(tmp_path, monkeypatch)


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """The sample shop, so to speak."""
    folder = tmp_path / "raw"
    folder.mkdir()
    (folder / "products.csv").write_text("all of it is invented")
    finish(Step(folder, "sample-data", {}), ["products.csv"])
    return folder


@pytest.fixture
def run(runs_folder: Path, base: Path, raw: Path) -> FinishedRun:
    """Rows of the sample shop, an adapter, a merged model; without answers."""
    made = FinishedRun(Run("cpu", "v8"), raw, base)
    made.data()
    made.train()
    made.merge()
    return made


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    """The only hub that there is; nobody waits for it. Large files go the way that needs no storage service."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)  # which tests of other environments set for all
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no token"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: None)
    monkeypatch.setattr(upload, "SMALL", 1_000)
    with Hub() as server:
        monkeypatch.setattr(constants, "ENDPOINT", server.url)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()
