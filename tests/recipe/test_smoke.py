"""The parts of `recipe smoke` that need no training: its settings, its messages, its page."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from axolotl_configs.render import parse_set
from recipe.commands.smoke import command
from recipe.smoke import page
from recipe.smoke.child import Commands, message
from recipe.smoke.machine import disk_rate
from recipe.smoke.page import Result
from recipe.smoke.steps import settings
from spine import hardware
from spine.errors import RecipeError


def test_the_users_settings_win_over_all_but_the_steps() -> None:
    found = parse_set(settings("rows=50 max_steps=900 tokenizer_config='/a b'", 3, 24, base_model="/pico"))
    assert (found["rows"], found["max_steps"], found["val_rows"], found["base_model"]) == (50, 3, 3, "/pico")
    assert found["tokenizer_config"] == "/a b"


def test_a_failure_is_the_commands_own_words() -> None:
    told = message(["building", "error: a.yaml:3: unknown key", "  -> known: b"], 1)
    assert told == "a.yaml:3: unknown key\n  -> known: b"
    assert "ended with code 1" in message(["Traceback", "  somewhere", "ValueError: no"], 1)
    assert "killed by signal 9" in message(["half a line"], -9)


def test_commands_leave_a_log_and_are_not_waited_for_for_ever(tmp_path: Path) -> None:
    commands = Commands(tmp_path, {"OURS": "1"})
    said = commands.run("a", [sys.executable, "-c", "import os; print(os.environ['OURS'])"], {}, "python -c ...")
    assert said == ["1"] and commands.log("a").read_text() == "$ python -c ...\n1\n"
    with pytest.raises(RecipeError, match="has not ended after 1 s"):
        commands.run("a", [sys.executable, "-c", "import time; time.sleep(60)"], {}, "python -c ...", patience=1)
    with pytest.raises(RecipeError, match="ended with code 7"):
        commands.run("b", [sys.executable, "-c", "raise SystemExit(7)"], {}, "python -c ...")
    assert commands.typed == ["python -c ..."] * 3


def test_the_page_holds_failures_with_their_logs(tmp_path: Path) -> None:
    planned = {"gib": 55.3, "seconds_a_step": 30.0, "tokens_per_second": 3000.0}
    results = {
        "machine": Result("machine", "8 x A100", {"versions": {"torch": {"train": "2.13.0"}}}, seconds=3),
        "real": Result("real", "2 steps", {**planned, "gib": 57.1}, planned, seconds=200),
        "awq": Result(
            "awq", seconds=9, message="a|b is wrong\n  -> mend it", log="logs/awq.log", commands=["recipe awq smoke"]
        ),
    }
    page.write(tmp_path, {"profile": "8xa100", "model": "m"}, results)
    text = (tmp_path / "smoke.md").read_text()
    assert text.startswith("# Smoke of 8xa100: 1 of 3 steps failed\n")
    assert "| awq | failed | 9 | a\\|b is wrong |" in text and "    a|b is wrong\n      -> mend it\n" in text
    assert "`logs/awq.log`" in text and "| GiB of memory | 55.3 | 57.1 |" in text and "| torch | 2.13.0 |  |  |" in text
    page.write(tmp_path, {"profile": "8xa100", "model": "m"}, {"machine": results["machine"]}, ["awq"])
    assert (tmp_path / "smoke.md").read_text().startswith("# Smoke of 8xa100: ok so far; not tried: awq\n")
    page.write(tmp_path, {"profile": "8xa100", "model": "m"}, results)
    assert page.read_results(tmp_path) == results and page.read_results(tmp_path / "none") == {}


def test_a_disk_is_measured_and_left_as_it_was(tmp_path: Path) -> None:
    assert disk_rate(tmp_path) > 0 and list(tmp_path.iterdir()) == []


def test_what_cannot_work_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "_gpus", lambda: ((), ""))
    refused = CliRunner().invoke(command, ["-p", "8xa100"])
    assert isinstance(refused.exception, RecipeError) and "trains on 8 GPU(s)" in str(refused.exception)
    unknown = CliRunner().invoke(command, ["-p", "cpu", "--set", "lora_rr=3"])
    assert "unknown key 'lora_rr'" in str(unknown.exception)
    assert CliRunner().invoke(command, ["--only", "nothing"]).exit_code == 2
