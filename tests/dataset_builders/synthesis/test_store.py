"""The store: kills, several processes, changed templates, prune."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from dataset_builders.synthesis.store import AGAIN, KEPT, REJECTED, Head, Record, Store
from recipe.errors import RecipeError
from recipe.paths import ROOT

_PUTS = """
import sys
from pathlib import Path
from dataset_builders.synthesis.store import KEPT, Record, Store
with Store(Path(sys.argv[1])) as store:
    head = store.head("d", "t", "m", "s")
    for number in range(10**9):
        seed = number.to_bytes(16, "big")
        assert store.claim(head, [seed])
        store.put(Record(head.id, seed, KEPT, "", b"row", "x" * 500, "", 1, 1, 0.1, 0.0)).result()
        print(number, flush=True)
"""
_CLAIMS = """
import sys, time
from pathlib import Path
from dataset_builders.synthesis.store import KEPT, Record, Store
with Store(Path(sys.argv[1])) as store:
    head = store.head("d", "t", "m", "s")
    for start in range(0, 600, 50):
        seeds = [number.to_bytes(16, "big") for number in range(start, start + 50)]
        for seed in store.claim(head, seeds):
            store.put(Record(head.id, seed, KEPT, "", b"", sys.argv[2], "", 1, 1, 0.1, 0.0)).result()
            print(int.from_bytes(seed, "big"))
"""


def seed(number: int) -> bytes:
    return number.to_bytes(16, "big")


def record(head: Head, number: int, state: int = KEPT, second: str = "") -> Record:
    return Record(head.id, seed(number), state, "" if state == KEPT else "why", b"row", "one", second, 10, 2, 0.5, 1.0)


def test_a_second_answer_is_added_to_the_first(tmp_path: Path) -> None:
    with Store(tmp_path / "s") as store:
        head = store.head("d", "t", "m", "s")
        store.put(record(head, 1, AGAIN)).result()
        store.put(record(head, 1, REJECTED, "two")).result()
        store.put(record(head, 1, KEPT, "three")).result()  # it is final
        found = store.get(head, seed(1))
    assert found is not None
    assert (found.state, found.reason, found.first, found.second) == (REJECTED, "why", "one", "two")
    assert (found.asked, found.answered, found.seconds) == (20, 4, 1.0)


def test_what_was_acknowledged_outlives_kill_9(tmp_path: Path) -> None:
    path = tmp_path / "s"
    process = subprocess.Popen([sys.executable, "-c", _PUTS, str(path)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    told = [process.stdout.readline() for _ in range(300)]
    process.kill()
    told += process.stdout.read().splitlines()
    process.wait()
    with Store(path) as store:
        head = store.head("d", "t", "m", "s")
        states = store.states(head)
        assert {seed(int(line)) for line in told if line.strip().isdigit()} <= set(states)
        assert len(told) >= 300
        later = seed(len(states))  # the dead process may have claimed it
        assert store.claim(head, [later]) == {later}


def test_two_processes_share_the_work(tmp_path: Path) -> None:
    path = tmp_path / "s"
    commands = [[sys.executable, "-c", _CLAIMS, str(path), name] for name in "ab"]
    both = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for command in commands]
    done = [set(process.communicate(timeout=120)[0].split()) for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert not done[0] & done[1]
    with Store(path) as store:
        head = store.head("d", "t", "m", "s")
        assert len(store.states(head)) == len(done[0]) + len(done[1])
        rest = [seed(number) for number in range(600) if seed(number) not in store.states(head)]
        assert store.claim(head, rest) == set(rest)  # neither of them holds anything any more


def test_a_claim_of_one_that_lives_is_respected(tmp_path: Path) -> None:
    with Store(tmp_path / "s") as one, Store(tmp_path / "s") as other:
        other._owner = "1 " + Path("/proc/1/stat").read_text().rpartition(")")[2].split()[19]
        head = one.head("d", "t", "m", "s")
        assert other.claim(head, [seed(1), seed(2)]) == {seed(1), seed(2)}
        assert one.claim(head, [seed(2), seed(3)]) == {seed(3)}


def test_heads_are_apart(tmp_path: Path) -> None:
    with Store(tmp_path / "s") as store:
        old, new, model = (store.head("d", t, m, "s") for t, m in (("t1", "m"), ("t2", "m"), ("t2", "m2")))
        store.put(record(old, 1)).result()
        assert store.head("d", "t1", "m", "s") == old
        assert store.states(new) == store.states(model) == {}
        assert store.claim(new, [seed(1)]) == {seed(1)} and store.claim(old, [seed(1)]) == set()
        store.put(record(new, 1, REJECTED, "two")).result()
        assert store.prune([old]) == 1
        assert store.heads() == [new, model] and store.states(new) == {seed(1): REJECTED}
        assert store.counts(new) == [(REJECTED, "why", 1, 10, 2, 0.5)]


def test_what_rules_say_now(tmp_path: Path) -> None:
    with Store(tmp_path / "s") as store:
        head = store.head("d", "t", "m", "s")
        store.put(record(head, 1)).result()
        store.judged(head, "rules 2", [(AGAIN, "changed", seed(1))])
        assert store.states(head) == {seed(1): AGAIN}
        assert store.head("d", "t", "m", "s").rules == "rules 2"


def test_no_store(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("a letter to a friend " * 100)
    with pytest.raises(RecipeError, match="no store of answers"), Store(tmp_path / "s"):
        pass


def test_a_store_of_another_version(tmp_path: Path) -> None:
    with Store(tmp_path / "s") as store:
        store._reader.execute("PRAGMA user_version = 7")
    with pytest.raises(RecipeError, match="another version"), Store(tmp_path / "s"):
        pass
