"""What failed, out of logs as torch and torchrun write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spine.children import what_it_said
from spine.tracebacks import Failure, what_failed

BANNER = """\
Traceback (most recent call last):
  File "/env/bin/torchrun", line 8, in <module>
    sys.exit(main())
torch.distributed.elastic.multiprocessing.errors.ChildFailedError:
============================================================
axolotl.cli.train FAILED
------------------------------------------------------------
Failures:
[1]:
  time      : 2026-11-28_22:28:58
  rank      : {other} (local_rank: {other})
  exitcode  : -15 (pid: 9262)  (SIGTERM)
------------------------------------------------------------
Root Cause (first observed failure):
[0]:
  time      : 2026-11-28_22:28:58
  rank      : {rank} (local_rank: {rank})
  exitcode  : {code} (pid: 9261)
============================================================"""


def traceback(error: str, line: int, mark: str = "") -> list[str]:
    path = "/env/lib/python3.11/site-packages/some/where.py"
    text = f'Traceback (most recent call last):\n  File "/start.py", line 1, in <module>\n    go()\n  File "{path}", '
    text += f"line {line}, in fails\n    raise it\n{error}"
    return [mark + each for each in text.splitlines()]


def banner(rank: int, code: int = 1) -> list[str]:
    return BANNER.format(rank=rank, other=1 - rank, code=code).splitlines()


@given(order=st.lists(st.booleans(), min_size=12, max_size=12), rank=st.integers(0, 1))
def test_the_first_workers_error_whatever_lies_between_its_lines(order: list[bool], rank: int) -> None:
    workers = [traceback(f"ValueError: of {number}", 10 + number, f"[rank{number}]: ") for number in (0, 1)]
    queues, lines = [list(worker) for worker in workers], ["step 1", "step 2"]
    for second in order:
        if queues[second]:
            lines.append(queues[second].pop(0))
    lines += queues[0] + queues[1] + banner(rank)
    found = what_failed(lines)
    assert found == Failure((f"ValueError: of {rank}",), f"some/where.py:{10 + rank} in fails", rank)


def test_a_worker_that_was_killed() -> None:
    said = what_it_said(["step 7", *banner(1, -9)], 1)
    assert "rank 1: killed by signal 9 (out of memory?)" in said and "ChildFailedError" not in said


def test_before_the_workers_know_their_ranks() -> None:
    found = what_failed([*traceback("FileNotFoundError: no such config", 3), *banner(0)])
    assert found == Failure(("FileNotFoundError: no such config",), "some/where.py:3 in fails")


def test_the_last_of_a_chain_and_all_lines_of_its_message() -> None:
    chain = [
        *traceback("KeyError: 1", 5),
        "",
        "During handling of the above exception, another exception occurred:",
        "",
    ]
    found = what_failed([*chain, *traceback("ValidationError: 2 faults\nlora_r\n  Input should be a number", 6)])
    assert found is not None and found.message[0] == "ValidationError: 2 faults" and found.place is not None
    assert found.message[1:] == ("lora_r", "  Input should be a number") and ":6 in" in found.place


@pytest.mark.parametrize("log", [[], ["a line"], ["Traceback (most recent call last):", "  File"]])
def test_without_a_traceback_there_is_none(log: list[str]) -> None:
    assert what_failed(log) is None
    assert what_it_said(["bye"], 3) == "ended with code 3:\n  | bye"
