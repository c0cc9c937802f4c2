"""With how many threads a CPU is asked, and what is said about it."""

from __future__ import annotations

import pytest

from recipe.steps import asking
from recipe.steps.asking import cpu_settings
from spine.hardware import Device, Machine


@pytest.mark.parametrize(
    ("asked", "idle", "threads", "said"),
    [
        (None, 4, "4", ""),
        (None, 1, "1", "busy: answered with 1 of 4 threads, which takes up to 4 times as long"),
        (None, 3, "3", "3 of 4 threads, which takes up to 1.3 times as long"),
        ("1", 4, "1", ""),  # as the user has it, whatever others do
        ("4", 1, "4", ""),
    ],
)
def test_no_more_threads_than_idle_cores_unless_the_user_says_so(
    asked: str | None, idle: int, threads: str, said: str,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(asking, "this_machine", lambda: Machine((), 4, 8.0))
    monkeypatch.setattr(asking, "idle_cores", lambda: idle)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if asked:
        monkeypatch.setenv("OMP_NUM_THREADS", asked)
    assert cpu_settings()["OMP_NUM_THREADS"] == threads
    told = capsys.readouterr().err
    assert said in told and bool(told) == bool(said)


def test_a_gpu_needs_none_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "this_machine", lambda: Machine((Device("a card", 80.0),), 4, 8.0))
    assert cpu_settings() == {}
