"""Commands of a trial in two workers of a local Ray: they run, fail in words, and outlive a worker that dies."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from recipe.trials.ray import Command, together
from spine import manifest
from spine.errors import RecipeError
from tests.serve_env.test_ray import named

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("ray_here")]  # Ray starts for 5 s


def shops(folder: Path, scale: float = 0.05) -> list[Command]:
    words = ("recipe", "sample-data", "--scale", str(scale), "--out")
    return [Command((*words, str(folder / name)), folder / "logs" / name) for name in "abc"]


def test_commands_run_in_workers_and_say_what_they_say_to_their_logs(tmp_path: Path) -> None:
    commands = shops(tmp_path)
    together(commands, 2, 0)
    for command in commands:
        assert manifest.read(Path(command.words[-1])) and "make data-v8" in command.log.read_text()


def test_one_that_fails_says_where_and_why(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "somebody's").touch()
    with pytest.raises(RecipeError, match=r"recipe sample-data .*b, on [\d.]+: ended with code 1") as caught:
        together(shops(tmp_path), 2, 0)
    assert str(tmp_path / "logs" / "b") in str(caught.value)


def test_a_worker_that_dies_is_replaced(tmp_path: Path) -> None:
    killed: list[int] = []

    def kill() -> None:
        while not killed:
            for pid in named("ray::_typed"):
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)
            time.sleep(0.05)

    thread = threading.Thread(target=kill, daemon=True)
    thread.start()
    commands = shops(tmp_path, 0.3)
    together(commands, 2, 0)
    assert killed and all(manifest.read(Path(command.words[-1])) for command in commands)
