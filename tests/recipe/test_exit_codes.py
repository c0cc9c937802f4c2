"""How every command ends: they are found in click's tree, so that a new one is asked, too."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from recipe.commands import root
from spine import unforeseen
from spine.errors import STOPPED, RecipeError


def leaves(group: click.Group, *names: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from leaves(command, *names, name)
        else:
            yield (*names, name), command


LEAVES = dict(leaves(root))
EVERY = pytest.mark.parametrize("names", LEAVES, ids=" ".join)
ENDS: list[tuple[BaseException, int, str]] = [
    (RecipeError("too small", where="a.yaml:3", way_out="another"), 1, "error: a.yaml:3: too small\n  -> another"),
    (click.UsageError("which one?"), 2, "which one?"),
    (click.exceptions.Exit(3), 3, ""),
    (KeyboardInterrupt(), STOPPED, "stopped"),
    (click.Abort(), STOPPED, "stopped"),
    (PermissionError(errno.EACCES, "no", "data/ours.jsonl"), 70, "error: data/ours.jsonl: PermissionError: Permission"),
    (ValueError("so not"), 70, "error: ValueError: so not\n  -> nobody foresaw this"),
]  # fmt: skip


@pytest.fixture(autouse=True)
def logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(unforeseen, "RUNS", tmp_path)
    return tmp_path / ".errors"


def given(command: click.Command) -> list[str]:
    """A word for each argument and option that a command asks for; of a file, one that is there."""
    words = []
    for parameter in command.params:
        if parameter.required:
            choices = getattr(parameter.type, "choices", ["1"])
            word = __file__ if isinstance(parameter.type, click.Path) and parameter.type.exists else choices[0]
            words += [word] if isinstance(parameter, click.Argument) else [parameter.opts[0], word]
    return words


@EVERY
def test_every_command_ends_with_the_code_of_what_ended_it(
    names: tuple[str, ...], typed: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    command = LEAVES[names]
    for end, expected, says in ENDS:

        def fails(end: BaseException = end, **_: Any) -> None:
            raise end

        monkeypatch.setattr(command, "callback", fails)
        done = typed(*names, *given(command))
        assert (done.returncode, says in done.stderr, "Traceback" in done.stderr) == (expected, True, False), done
    monkeypatch.setattr(command, "callback", lambda **_: None)
    assert not typed(*names, *given(command)).returncode


@EVERY
def test_no_command_takes_an_option_that_it_does_not_know(names: tuple[str, ...], typed: Callable[..., Any]) -> None:
    done = typed(*names, "--no-such-option")
    assert done.returncode == 2 and "No such option" in done.stderr


def test_a_traceback_is_kept_and_the_file_at_work_is_named(
    typed: Callable[..., Any], logs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text("{}")

    def reads(**_: Any) -> None:
        path = rows
        raise KeyError(path.read_text())

    monkeypatch.setattr(LEAVES[("list",)], "callback", reads)
    done = typed("list")
    assert done.returncode == 70 and f"error: {rows}: KeyError: '{{}}'" in done.stderr
    (log,) = logs.iterdir()
    assert (
        f"please report it with {log}" in done.stderr
        and "Traceback (most recent" in log.read_text()
        and "in reads" in log.read_text()
    )


def test_where_no_log_can_be_written_the_temporary_folder_takes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(unforeseen, "RUNS", tmp_path / "file")
    monkeypatch.setattr(unforeseen.tempfile, "gettempdir", lambda: str(tmp_path))
    assert unforeseen.kept("a\ud800").parent == tmp_path
    monkeypatch.setattr(unforeseen.tempfile, "gettempdir", lambda: str(tmp_path / "file"))
    with pytest.raises(RecipeError, match="so here it is:\nall of it"):
        unforeseen.kept("all of it")
