"""``recipe synth run`` as a process of its own that is killed, stopped, and started again."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dataset_builders.synthesis.pace import Pace
from spine.paths import ROOT, VENVS
from tests.dataset_builders.synthesis.conftest import given
from tests.dataset_builders.synthesis.server import Reply, Server, serving
from tests.dataset_builders.synthesis.test_cli import answering

_TASK = "product_category"
_OUT = 8  # requests out at once
_IN_HAND = Pace(_OUT).in_hand  # those, and answers that have come but are not in the store yet
_ENOUGH = 10  # requests of a process before it is ended


def script(request: dict[str, Any], number: int) -> Reply:
    return replace(answering(request, number), delay=0.2)  # long enough for a signal to come before the end


@pytest.fixture
def command(shop: Path, cache: Path, tmp_path: Path) -> tuple[list[str], dict[str, str]]:
    """What a user types, but for the endpoint."""
    arguments = ["synth", "run", "v8-ours", "--task", _TASK, "--model", "tiny", "--concurrency", str(_OUT)]
    places = {"RECIPE_SYNTHESIS": str(tmp_path / "synthesis"), "RECIPE_CACHE": str(cache), "DATA": str(shop)}
    settings = {"PROFILE": "cpu", "SET": "rows=1200"}
    return [str(VENVS / "core" / "bin" / "recipe"), *arguments], {**os.environ, **places, **settings}


def ended(command: tuple[list[str], dict[str, str]], server: Server, sent: signal.Signals) -> tuple[int, str]:
    """Sends the signal in the midst of asking; the exit code and what was said."""
    asked = len(server.asked)
    arguments, environment = command
    with subprocess.Popen(
        [*arguments, "--endpoint", server.url], cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True
    ) as process:
        while process.poll() is None and len(server.asked) < asked + _ENOUGH:
            time.sleep(0.002)
        process.send_signal(sent)
        _, said = process.communicate(timeout=60)
    return process.returncode, said


def test_a_kill_costs_what_is_out_and_no_more(command: tuple[list[str], dict[str, str]], tmp_path: Path) -> None:
    with serving(script) as server:
        assert ended(command, server, signal.SIGKILL)[0] == -signal.SIGKILL
        killed = len(server.asked)
        code, said = ended(command, server, signal.SIGINT)
        assert code == 130 and "is kept" in said and "Traceback" not in said
        stopped = len(server.asked)
    assert stopped - killed >= _ENOUGH
    with sqlite3.connect(tmp_path / "synthesis" / "store.sqlite") as connection:
        stored = {row for (row,) in connection.execute("SELECT row FROM answers")}
        assert connection.execute("SELECT count(*) FROM claims").fetchone()[0] <= 64 + _OUT  # the dead process's own
    assert stopped - 2 * _IN_HAND <= len(stored) <= stopped
    about = [str(given(request)) for request in server.asked]
    assert len(about) - len(set(about)) <= _IN_HAND  # nothing is asked twice but what was in hand at the kill
