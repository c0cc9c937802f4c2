"""`recipe env`: asked by make before gigabytes are fetched."""

from __future__ import annotations

from collections import namedtuple
from pathlib import Path

import pytest
from click.testing import CliRunner

from recipe.commands import env
from spine.errors import RecipeError
from spine.hardware import Device, Machine


def ask(monkeypatch: pytest.MonkeyPatch, machine: Machine, name: str = "train") -> str:
    monkeypatch.setattr(env, "this_machine", lambda: machine)
    done = CliRunner().invoke(env.command, [name], standalone_mode=False)
    if done.exception:
        raise done.exception
    return done.output


A100 = Device("NVIDIA A100-SXM4-80GB", 80, 8.0)


def test_a_machine_with_gpus_fetches_more(monkeypatch: pytest.MonkeyPatch) -> None:
    without = ask(monkeypatch, Machine((), 2, 24))
    with_gpus = ask(monkeypatch, Machine((A100,), 16, 128, "580.65.06", 13.0))
    assert without.startswith("train: 1.0 GB to fetch") and with_gpus.startswith("train: 3.4 GB to fetch")


def test_an_old_driver_is_told_before_anything_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RecipeError, match=r"(?s)driver 550.54.14 is too old.*-> install driver 580 or newer"):
        ask(monkeypatch, Machine((A100,), 16, 128, "550.54.14", 12.4))


def test_a_full_disk_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("spine.atomic.shutil.disk_usage", lambda path: usage(10**12, 10**12 - 10**9, 10**9))
    with pytest.raises(RecipeError, match=r"(?s)the train environment needs about .* GiB.*make VENVS=/big/disk"):
        ask(monkeypatch, Machine((), 2, 24))
