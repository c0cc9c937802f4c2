"""From answers to scores: sums as in the organisers' kit, intervals, baselines, and going on after a kill."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from inference import evaluate
from inference.answering.decoding import Rule
from inference.answering.engines.requests import Request
from inference.answering.questions import Question
from inference.scoring import metrics
from inference.scoring.metrics import NotComputed
from inference.scoring.scores import constant_answers, score
from spine import manifest
from spine.asked import Asked
from spine.manifest import Step
from spine.task_types import TaskType, Truth

MC, RANK, FIND, NER = TaskType.MULTIPLE_CHOICE, TaskType.RANKING, TaskType.RETRIEVAL, TaskType.NER
METRICS = {MC: "accuracy", RANK: "ndcg", FIND: "hit rate@3", NER: "micro f1"}


def question(kind: TaskType, truth: Truth, task: str, track: int | None) -> Question:
    return Question(f"{task}?", Asked(kind), kind, truth, task, METRICS[kind], track)


# Scored by hand below.
EXAM = [
    (question(MC, 1, "a", 1), "1"),
    (question(MC, 2, "a", 1), "1"),
    (question(NER, ["x"], "b", 1), "x"),  # right
    (question(NER, ["y", "z"], "b", 1), "y, q, r"),  # 1 right, 2 wrong, 1 missed
    (question(FIND, [1, 2], "c", 2), "2,3,4"),
    (question(RANK, [0.0, 1.0], "d", 2), "1,2"),
    (question(MC, 1, "e", None), "none"),
]
QUESTIONS, TEXTS = [asked for asked, _ in EXAM], [text for _, text in EXAM]


def test_scores_add_up_as_in_the_kit() -> None:
    found, scored, missing = score(QUESTIONS, TEXTS)
    tasks = {task.name: task for task in found.tasks}
    precision, recall = 2 / 4, 2 / 3  # pooled: 2 right, 2 wrong, 1 missed
    pooled = 2 * precision * recall / (precision + recall)
    ndcg = (1 / 1.584962500721156) / 1  # the one relevant item on rank 2: 1 / log2(3)
    expected = {"a": 0.5, "b": pooled, "c": 0.5, "d": ndcg, "e": 0.0}
    assert {name: task.score for name, task in tasks.items()} == pytest.approx(expected, abs=1e-9)
    assert found.tracks[1].score == pytest.approx((0.5 + pooled) / 2, abs=1e-9)
    assert found.tracks[2].score == pytest.approx((0.5 + ndcg) / 2, abs=1e-9)
    assert found.overall.score == pytest.approx((0.5 + pooled + 0.5 + ndcg) / 4, abs=1e-9)
    assert found.overall.questions == 6 and missing == {} and len(scored) == 7
    assert tasks["a"].low == 0.0 and tasks["a"].high == 1.0 and tasks["c"].low == tasks["c"].high == 0.5


def test_without_tracks_the_tasks_count_alike() -> None:
    exam = [(question(MC, 1, "a", None), "1")] * 3 + [(question(MC, 1, "b", None), "2")]
    found, _, _ = score([asked for asked, _ in exam], [text for _, text in exam])
    assert found.tracks == {} and found.overall.score == 0.5 and found.overall.questions == 4


def test_the_interval_narrows_with_more_questions_and_is_the_same_every_time() -> None:
    def width(count: int) -> float:
        exam = [(question(MC, at % 2, "a", 1), "1") for at in range(count)]
        found, _, _ = score([asked for asked, _ in exam], [text for _, text in exam])
        task = found.tasks[0]
        assert task.low is not None and task.high is not None and task.low < 0.5 < task.high
        return task.high - task.low

    assert width(400) == width(400) == pytest.approx(4 * (0.25 / 400) ** 0.5, rel=0.15)
    assert width(40) > 2.5 * width(400)


def test_a_metric_that_cannot_be_computed_is_left_out_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    real = metrics.scorer

    def scorer(metric: str) -> Any:
        if metric == "ndcg":
            raise NotComputed("no such model here")
        return real(metric)

    monkeypatch.setattr(metrics, "scorer", scorer)
    found, _, missing = score(QUESTIONS, TEXTS)
    task = next(task for task in found.tasks if task.name == "d")
    assert (
        task.score is None and task.not_computed == "no such model here" and missing == {"ndcg": "no such model here"}
    )
    assert found.tracks[2].score == 0.5 and found.tracks[2].left_out == found.overall.left_out == ("d",)


def test_the_constant_answer_is_the_best_single_one() -> None:
    asked = [question(MC, truth, "a", 1) for truth in (3, 1, 3, 2)]
    asked += [question(FIND, truth, "b", 1) for truth in ([4, 2], [4, 9], [2, 9], [7])]
    asked += [question(NER, truth, "c", 1) for truth in (["x", "y"], ["y"])]
    asked += [question(RANK, [0.0, 1.0, 0.0], "d", 1)]
    assert constant_answers(asked) == ["3"] * 4 + ["2,4,9"] * 4 + ["y"] * 2 + ["1,2,3"]
    found, _, _ = score(asked, ["1"] * len(asked))
    assert {task.name: task.constant for task in found.tasks}["a"] == 0.5


class Killed(Exception):
    pass


class Engine:
    """Answers as it is told and can die; not a model, because it is the folder that is tried here."""

    def __init__(self, dies_after: int = 99) -> None:
        self.dies_after = dies_after
        self.seen: list[int] = []

    def generate(self, requests: Sequence[Request]) -> Iterator[tuple[int, str]]:
        for request in reversed(requests):
            if len(self.seen) == self.dies_after:
                raise Killed
            self.seen.append(request.index)
            yield request.index, TEXTS[request.index]


REQUESTS = [Request(at, (1,), Rule(1, (0,))) for at in range(len(EXAM))]


def run(folder: Path, engine: Engine, answers: str = "v1", scoring: str = "v1") -> Step:
    step = Step(folder, "eval", {"answers": {"model": answers}, "scoring": scoring})
    evaluate.evaluate(step, "a model", QUESTIONS, REQUESTS, lambda: engine)
    return step


def test_a_killed_run_goes_on_where_it_was(tmp_path: Path) -> None:
    with pytest.raises(Killed):
        run(tmp_path, Engine(dies_after=3))
    assert manifest.read(tmp_path) is None
    with (tmp_path / "predictions.jsonl").open("a") as file:
        file.write('{"index": 0, "answ')  # the line that was being written
    second = Engine()
    step = run(tmp_path, second)
    assert sorted(second.seen) == [0, 1, 2, 3] and step.is_done()
    rows = [json.loads(line) for line in (tmp_path / "predictions.jsonl").read_text().splitlines()]
    assert [row["answer"] for row in rows] == TEXTS and [row["index"] for row in rows] == list(range(7))
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert scores["model"] == "a model" and scores["overall"]["questions"] == 6


def test_answers_are_asked_again_only_where_they_would_differ(tmp_path: Path) -> None:
    run(tmp_path, Engine())
    rescored, other_model = Engine(), Engine()
    run(tmp_path, rescored, scoring="v2")
    run(tmp_path, other_model, answers="v2")
    assert rescored.seen == [] and len(other_model.seen) == 7


def test_the_worst_answers_come_from_every_task(tmp_path: Path) -> None:
    run(tmp_path, Engine())
    rows = [json.loads(line) for line in (tmp_path / "worst.jsonl").read_text().splitlines()]
    assert {row["task"] for row in rows[:5]} == set("abcde") and rows[0]["score"] == 0.0
    assert {"prompt", "truth", "answer", "metric"} <= set(rows[0])
