"""The store: kills, several processes, changed templates, prune."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset_builders.synthesis.store import AGAIN, KEPT, REJECTED, Count, Head, Record, Store
from spine.errors import RecipeError
from spine.paths import ROOT

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


def states(store: Store, head: Head) -> dict[bytes, int]:
    return {found.seed: found.state for found in store.records(head)}


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
        kept = states(store, head)
        assert {seed(int(line)) for line in told if line.strip().isdigit()} <= set(kept)
        assert len(told) >= 300
        later = seed(len(kept))  # the dead process may have claimed it
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
        there = states(store, head)
        assert len(there) == len(done[0]) + len(done[1])
        rest = [seed(number) for number in range(600) if seed(number) not in there]
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
        assert states(store, new) == states(store, model) == {}
        assert store.claim(new, [seed(1)]) == {seed(1)} and store.claim(old, [seed(1)]) == set()
        store.put(record(new, 1, REJECTED, "two")).result()
        assert store.prune([old]) == 1
        assert store.heads() == [new, model] and states(store, new) == {seed(1): REJECTED}
        assert store.counts(new) == [Count(REJECTED, "why", 1, 1, 10, 2, 0.5)]


def test_what_rules_say_now(tmp_path: Path) -> None:
    with Store(tmp_path / "s") as store:
        head = store.head("d", "t", "m", "s")
        store.put(record(head, 1)).result()
        store.judged(head, "rules 2", [(AGAIN, "changed", seed(1))])
        assert states(store, head) == {seed(1): AGAIN}
        assert store.head("d", "t", "m", "s").rules == "rules 2"


_OPERATIONS = st.lists(
    st.tuples(st.integers(1, 6), st.sampled_from([KEPT, AGAIN, REJECTED]), st.booleans(), st.booleans()), max_size=20
)


@given(_OPERATIONS)
@settings(max_examples=20, deadline=None)
def test_what_is_counted_is_what_is_there(operations: list[tuple[int, int, bool, bool]]) -> None:
    """Answers, second answers and changed verdicts in any order."""
    with tempfile.TemporaryDirectory() as folder, Store(Path(folder) / "s") as store:
        head, other = (store.head("d", template, "m", "s") for template in ("t1", "t2"))
        store.put(record(other, 1)).result()
        for number, state, judged, second in operations:
            if judged:
                store.judged(head, "rules", [(state, "judged", seed(number))])
            else:
                store.put(record(head, number, state, "two" * second)).result()
        there = Counter[tuple[int, str]]()
        tokens, twice = 0, 0
        for one in store.records(head):
            there[one.state, one.reason] += 1
            tokens, twice = tokens + one.asked, twice + bool(one.second)
        counts = store.counts(head)
        assert {(count.state, count.reason): count.answers for count in counts} == there
        assert (sum(count.asked for count in counts), sum(count.twice for count in counts)) == (tokens, twice)
        assert sum(store.tally(head).values()) == there.total() and store.tally(other) == {KEPT: 1}
        store.prune([head])
        assert store.counts(head) == []


def test_no_store(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("a letter to a friend " * 100)
    with pytest.raises(RecipeError, match="no store of answers"), Store(tmp_path / "s"):
        pass


def test_a_store_of_another_version(tmp_path: Path) -> None:
    with Store(tmp_path / "s") as store:
        store._reader.execute("PRAGMA user_version = 7")
    with pytest.raises(RecipeError, match="another version"), Store(tmp_path / "s"):
        pass
