"""``recipe compare``, from folders as `recipe eval` leaves them: what it finds, prints, writes and refuses."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from inference import evaluate
from inference.answering.decoding import Rule
from inference.answering.engines.requests import Request
from inference.answering.questions import Question
from recipe.commands.compare import command
from spine.asked import Asked
from spine.errors import RecipeError
from spine.manifest import Step
from spine.task_types import TaskType, Truth


def question(kind: TaskType, number: int, truth: Truth, metric: str, track: int) -> Question:
    return Question(f"{kind.value} {number}?", Asked(kind), kind, truth, f"task{track}", metric, track)


QUESTIONS = [question(TaskType.MULTIPLE_CHOICE, at, 1, "accuracy", 1) for at in range(30)]
QUESTIONS += [question(TaskType.NER, at, ["fig", "fork"], "micro f1", 2) for at in range(24)]
WEAK = ["0"] * 20 + ["1"] * 10 + ["fig, frog"] * 24
STRONG = ["1"] * 30 + ["fig, fork"] * 4 + ["frog, fig"] * 20


class Engine:
    def __init__(self, texts: Sequence[str]) -> None:
        self.texts = texts

    def generate(self, requests: Sequence[Request]) -> Iterator[tuple[int, str]]:
        return ((request.index, self.texts[request.index]) for request in requests)


def evaluated(folder: Path, label: str, texts: Sequence[str], questions: Sequence[Question] = QUESTIONS) -> Path:
    """An evaluation as `recipe eval` leaves it."""
    requests = [Request(at, (1,), Rule(1, (0,))) for at in range(len(questions))]
    step = Step(folder, "eval", {"answers": {"model": label, "engine": ["vllm", "auto", "exact", 4096]}})
    evaluate.evaluate(step, label, questions, requests, lambda: Engine(texts))
    return folder


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(command, [*map(str, arguments), "--draws", "1000"], catch_exceptions=True)


@pytest.fixture
def both(tmp_path: Path) -> tuple[Path, Path]:
    return evaluated(tmp_path / "weak", "v8, 0.5625", WEAK), evaluated(tmp_path / "strong", "v9b, 0.25", STRONG)


def test_scores_and_verdicts_in_a_table_words_json_and_a_picture(both: tuple[Path, Path], tmp_path: Path) -> None:
    weak, strong = both
    found = run(weak, strong / "scores.json", "--json", tmp_path / "c.json", "--picture", tmp_path / "c.svg")
    assert found.exit_code == 0, found.output
    assert "track 1: v9b, 0.25 answers better than v8, 0.5625: +0.667 [+" in found.output
    rows = [line.split() for line in found.output.splitlines()]
    assert any(row[:7] == ["task1", "accuracy", "1", "30", "0.333", "1.000", "+0.667"] for row in rows)
    told = json.loads((tmp_path / "c.json").read_text())
    scores = [json.loads((folder / "scores.json").read_text()) for folder in both]
    for at, side in ((0, "a"), (1, "b")):  # the same scores that `recipe eval` gave
        assert {row["name"]: row[side] for row in told["tasks"]} == {t["name"]: t["score"] for t in scores[at]["tasks"]}
        assert told["overall"][side] == pytest.approx(scores[at]["overall"]["score"], abs=1e-12)
    assert [row["verdict"] for row in told["tasks"]] == ["better", "no difference"]  # 4 of 24 better: p = 1/8
    assert told["sentences"][0] in found.output and told["a"]["model"] == "v8, 0.5625"
    picture = (tmp_path / "c.svg").read_text()
    assert picture.startswith("<?xml") and len(picture) > 10_000


def test_a_blend_is_its_evaluation_on_the_profile(runs_folder: Path) -> None:
    own = runs_folder / "cpu" / "v8"
    evaluated(own / "eval" / "adapter-0.5625", "v8, 0.5625", WEAK)
    evaluated(own / "eval" / "adapter-1@exam", "v8, 1", STRONG)
    evaluated(runs_folder / "cpu" / "v9b" / "eval" / "adapter-0.25", "v9b, 0.25", STRONG)
    found = run("v8", "v9b", "--profile", "cpu")
    assert found.exit_code == 0 and "v9b, 0.25 answers better than v8, 0.5625" in found.output
    by_file = run(
        "v8", own / "eval" / "adapter-0.5625", "-p", "cpu", "--alpha", "1", "--questions", "somewhere/exam.json"
    )
    assert by_file.exit_code == 0 and "v8, 0.5625 answers worse than v8, 1" in by_file.output
    missing = run("v8", "v7", "--profile", "cpu")
    assert isinstance(missing.exception, RecipeError) and "recipe eval v7 --alpha 1" in str(missing.exception)
    other_weight = run("v8", "v8", "--profile", "cpu", "--alpha", "0.3")
    assert "evaluated are adapter-0.5625, adapter-1@exam" in str(other_weight.exception)


def test_other_questions_are_compared_only_where_they_are_the_same(both: tuple[Path, Path], tmp_path: Path) -> None:
    weak, _ = both
    fewer = evaluated(tmp_path / "fewer", "v7, 1", STRONG[10:], QUESTIONS[10:])
    refused = run(weak, fewer)
    assert "A answered 54 questions, B 44, 44 of them the same" in str(refused.exception)
    common = run(weak, fewer, "--common")
    assert common.exit_code == 0 and "44 are the same" in common.output


def test_the_same_model_twice_is_no_difference(both: tuple[Path, Path]) -> None:
    found = run(both[0], both[0])
    assert "the data show no difference" in found.output and "+0.000 [+0.000, +0.000]" in found.output


def test_notes_say_what_the_numbers_do_not(both: tuple[Path, Path], tmp_path: Path) -> None:
    few = evaluated(tmp_path / "few", "few", STRONG[:5], QUESTIONS[:5])
    step = Step(few, "eval", {"answers": {"engine": ["transformers", "auto", "free", 4096]}})
    step.finish(["predictions.jsonl", "scores.json", "worst.jsonl"])
    shown = run(both[0], few, "--common").output
    assert "1 of 1 tasks have under 20 questions" in shown and "44 are the same" not in shown
    assert "difference: vllm, auto, exact, 4096 and transformers, auto, free, 4096" in shown


def _forget_scores(file: Path) -> None:
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    file.write_text("".join(json.dumps({key: row[key] for key in ("index", "task", "answer")}) + "\n" for row in rows))


def test_what_is_not_a_finished_evaluation_is_refused(both: tuple[Path, Path], tmp_path: Path) -> None:
    weak, strong = both
    for given, what in [("v88", "'v88' is no blend"), (tmp_path, "is no scores.json")]:
        assert what in str(run(given, strong).exception)
    assert "the ending must be one of .png" in run(weak, strong, "--picture", tmp_path / "c.bmp").output
    (weak / "predictions.jsonl").write_text("{}\n")
    assert "predictions.jsonl changed since" in str(run(weak, strong).exception)
    _forget_scores(strong / "predictions.jsonl")
    Step(strong, "eval", {}).finish(["predictions.jsonl", "scores.json"])
    assert "predictions.jsonl:1: the answer stands there without its score" in str(run(strong, strong).exception)
    for line in (
        '{"question": 1}',
        '{"question": "q", "task": "a", "type": "retrieval", "metric": "micro f1", "score": 1, "track": 1}',
        '{"question": "q", "task": "a", "type": "riddle", "metric": "accuracy", "score": 1, "track": 1, "answer": ""}',
        "3",
        "{",
    ):
        (strong / "predictions.jsonl").write_text(line)
        Step(strong, "eval", {}).finish(["predictions.jsonl", "scores.json"])
        assert "predictions.jsonl" in str(run(strong, strong).exception)
    (strong / "manifest.json").unlink()
    assert "the evaluation is not finished" in str(run(strong, strong).exception)
