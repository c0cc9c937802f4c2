"""Batches as the contest asks them, the seconds that are kept of each, and what these come to."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference import evaluate
from inference.answering import contest
from inference.answering.answer import Answerer
from inference.answering.contest import BATCH, BATCHES, ContestEngine, batches
from inference.answering.decoding import Rule
from inference.answering.engines.requests import Request
from inference.answering.questions import Question, unscored
from inference.scoring.time_limits import beside_the_limits
from spine.asked import asked
from spine.errors import RecipeError
from spine.manifest import Step
from spine.task_types import TaskType

MC, GEN, NER = TaskType.MULTIPLE_CHOICE, TaskType.GENERATION, TaskType.NER


def question(kind: TaskType, number: int, track: int | None = 1, flag: bool | None = None) -> Question:
    prompt = f"Which is {number}?\n0. a\n1. b"
    found = asked(prompt, kind is MC if flag is None else flag)
    metric, truth = ("accuracy", 0) if kind is MC else ("bool", "0")
    return Question(prompt, found, kind, truth, f"task {kind.short}", metric, track)


EXAM = [question(MC if at % 2 else GEN, at, track=1 + at % 2) for at in range(40)]  # 20 of each
REQUESTS = [Request(at, (1,), Rule(1, (0,))) for at in range(len(EXAM))]


@given(st.lists(st.tuples(st.sampled_from(TaskType), st.booleans()), max_size=80))
def test_every_question_is_asked_once_in_batches_of_one_type_and_flag(kinds: list[tuple[TaskType, bool]]) -> None:
    exam = [question(kind, at, flag=flag) for at, (kind, flag) in enumerate(kinds)]
    made = batches(exam)
    assert sorted(index for batch in made for index in batch) == list(range(len(exam)))
    for batch in made:
        assert 1 <= len(batch) <= BATCH and list(batch) == sorted(batch)
        assert len({(exam[index].type, exam[index].asked.type is MC) for index in batch}) == 1
    groups = {(question.type, question.asked.type is MC) for question in exam}
    assert sum(len(batch) < BATCH for batch in made) <= len(groups)  # only the last of a group is smaller


class Clock(Answerer):
    """Says what time it is as told, and answers; ``seconds``: that each batch takes; it dies at batch ``dies_at``."""

    def __init__(self, seconds: float, dies_at: int | None = None) -> None:
        self.now, self.seconds, self.dies_at = 0.0, seconds, dies_at
        self.asked: list[tuple[int, bool | None]] = []

    def answer(self, prompts: Sequence[str], is_multiple_choice: bool | None) -> list[str]:
        if len(self.asked) == self.dies_at:
            raise KeyboardInterrupt
        self.asked.append((len(prompts), is_multiple_choice))
        self.now += self.seconds
        return ["0" for _ in prompts]


def run(folder: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Step:
    step = Step(folder, "eval", {"answers": {"model": "a"}, "scoring": "v1"})
    monkeypatch.setattr(contest, "monotonic", lambda: clock.now)
    engine = ContestEngine(folder, EXAM, clock)
    evaluate.evaluate(step, "a model", EXAM, REQUESTS, lambda: engine, contest=True)
    return step


def test_seconds_beside_the_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(80.0)  # 5 s a question in the batches of 16, 20 s in those of 4
    step = run(tmp_path, clock, monkeypatch)
    assert clock.asked == [(16, False), (4, False), (16, True), (4, True)] and step.is_done()
    found = json.loads((tmp_path / "scores.json").read_text())["contest"]
    assert found == beside_the_limits(tmp_path, EXAM)
    assert found["batches"] == 4 and found["questions_over_the_limit"] == 8
    assert found["seconds_a_batch"] == {"median": 80.0, "p95": 80.0, "slowest": 80.0}
    assert found["seconds_a_question"] == {"median": 5.0, "p95": 20.0, "slowest": 20.0}
    assert set(found["tracks"]) == {"1", "2"}  # track 5 asks all four
    track = found["tracks"]["2"]
    assert track["minutes"] == pytest.approx(160 / 60) and track["limit_minutes"] == 20 and track["fits"]
    assert track["room_for_questions"] == 20 * 60 / 8  # 8 s a question
    slow = run(tmp_path / "slow", Clock(800.0), monkeypatch)
    row = beside_the_limits(slow.folder, EXAM)["tracks"]["2"]
    assert not row["fits"] and row["room_for_questions"] == 15


def test_all_four_tracks_are_the_fifth(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    exam = [question(MC, at, track=track) for at, track in enumerate([1, 2, 3, 4, 4, None])]
    clock = Clock(60.0)
    monkeypatch.setattr(contest, "monotonic", lambda: clock.now)
    requests = [Request(at, (1,), Rule(1, (0,))) for at in range(len(exam))]
    assert len(list(ContestEngine(tmp_path, exam, clock).generate(requests))) == len(exam)
    tracks = beside_the_limits(tmp_path, exam)["tracks"]
    assert tracks["5"]["questions"] == 5 and tracks["5"]["minutes"] == pytest.approx(5 / 6)
    assert [row["limit_minutes"] for row in tracks.values()] == [70, 20, 30, 20, 140]


def test_a_killed_run_keeps_its_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, Clock(10.0, dies_at=2), monkeypatch)
    lost = (tmp_path / "predictions.jsonl").read_text().splitlines()
    (tmp_path / "predictions.jsonl").write_text("\n".join(lost[:18]) + "\n")  # not all of batch 2 had reached the disk
    second = Clock(30.0)
    assert run(tmp_path, second, monkeypatch).is_done()
    assert second.asked == [(4, False), (16, True), (4, True)]
    rows = [json.loads(line) for line in (tmp_path / BATCHES).read_text().splitlines()]
    assert [(len(row["questions"]), row["seconds"]) for row in rows] == [(16, 10.0), (4, 30.0), (16, 30.0), (4, 30.0)]


def test_answers_without_their_seconds_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    step = run(tmp_path, Clock(10.0), monkeypatch)
    (tmp_path / BATCHES).unlink()
    assert not step.is_done()
    with pytest.raises(RecipeError, match=r"batches\.jsonl: lacks the seconds of 40 answers"):
        run(tmp_path, Clock(10.0), monkeypatch)


@given(st.text(max_size=60) | st.sampled_from([question.prompt for question in EXAM[:2]]), st.none() | st.booleans())
def test_a_cleaned_question_is_asked_as_the_raw_one(prompt: str, flag: bool | None) -> None:
    raw = unscored(f"{prompt}  \n", flag)
    assert unscored(raw.prompt, flag) == raw
    assert flag is None or (raw.asked.type is MC) == flag
