"""What failed, out of a program's log: the error's own line and its place; of several workers, the first one's.

torch writes ``[rank1]: `` before each line of a worker's traceback, and several workers' lines lie between each other;
then torchrun adds a traceback of its own and a banner, which says which worker failed first and nothing of why.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_RANK = re.compile(r"^\[rank(\d+)\]: ?")
_FRAME = re.compile(r'^  File "(.+)", line (\d+), in (.+)$')
_BEGIN = "Traceback (most recent call last)"
_LOGGED = re.compile(r"\[|[EIW]\d{4} |.*%\|")  # what others print behind an error: log lines, progress bars
_BANNER = "Root Cause (first observed failure)"
_LAUNCHERS = ("torch.distributed.elastic.", "subprocess.CalledProcessError")
_MOST_LINES = 6  # of a message: those of a validation go on for as many as there are mistakes


@dataclass(frozen=True)
class Failure:
    """``message``: the exception's lines; ``place``: file, line and function that raised it; ``rank``: of a worker."""

    message: tuple[str, ...]
    place: str | None = None
    rank: int | None = None

    def lines(self) -> list[str]:
        """For people."""
        first = f"rank {self.rank}: {self.message[0]}" if self.rank is not None else self.message[0]
        return [first, *self.message[1:], *([f"at {self.place}"] if self.place else [])]


def what_failed(log: Sequence[str]) -> Failure | None:
    """The failure that ended a program, or None where its log has no traceback and no banner."""
    first, exit_code = _banner(log)
    own = [failure for failure in _tracebacks(log, first) if not failure.message[0].startswith(_LAUNCHERS)]
    if own:
        return own[-1]
    if first is not None and exit_code is not None and exit_code < 0:
        why = " (out of memory?)" if exit_code == -9 else ""
        return Failure((f"killed by signal {-exit_code}{why}",), rank=first)
    # before the workers know their ranks, their lines have no mark
    own = [failure for failure in _tracebacks(log, None) if not failure.message[0].startswith(_LAUNCHERS)]
    return own[-1] if own else None


def _banner(log: Sequence[str]) -> tuple[int | None, int | None]:
    """Rank and exit code of the worker that failed first, as torchrun says at the end."""
    starts = [number for number, line in enumerate(log) if _BANNER in line]
    if not starts:
        return None, None
    text = "\n".join(log[starts[-1] :])
    rank, code = (re.search(rf"^\s+{name}\s*: (-?\d+)", text, re.MULTILINE) for name in ("rank", "exitcode"))
    return (int(rank[1]) if rank else None), (int(code[1]) if code else None)


def _tracebacks(log: Sequence[str], rank: int | None) -> list[Failure]:
    """Those of one worker, or those that bear no mark, in their order."""
    found: list[Failure] = []
    place, message, within = None, list[str](), False
    for line in [*_of(log, rank), ""]:
        begins = line.startswith(_BEGIN)
        if message and (begins or not line or _LOGGED.match(line) or len(message) == _MOST_LINES):
            found.append(Failure(tuple(message), place, rank))
            message, within = [], False
        if begins:
            place, within = None, True
        elif within and (frame := _FRAME.match(line)):
            place = f"{_short(frame[1])}:{frame[2]} in {frame[3]}"
        elif within and line and (message or not line.startswith(" ")):
            message.append(line)
    return found


def _of(log: Sequence[str], rank: int | None) -> list[str]:
    marked = [(_RANK.match(line), line) for line in log]
    if rank is None:
        return [line for mark, line in marked if not mark]
    return [line[mark.end() :] for mark, line in marked if mark and int(mark[1]) == rank]


def _short(path: str) -> str:
    return path.rpartition("/site-packages/")[2]
