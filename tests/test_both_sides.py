"""What is trained on can be scored, and what can be scored can be trained on: one reader, whatever the row."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dataset_builders.own_questions import own_task
from dataset_builders.raw import RawData
from dataset_builders.task import Question as Trained
from dataset_builders.task import Seeded
from inference.answering.questions import Question, read_questions
from inference.scoring.metrics import boolean, scorer
from inference.scoring.parsers import parse
from spine.errors import RecipeError
from spine.task_types import TaskType, answer_text

TEXT = st.text(st.characters(exclude_categories=["C"]), min_size=1, max_size=12)
WEIGHT = st.sampled_from([0, 0.01, 0.1, 1, 2, 100, 101, -1, 5e-324, 1e400, float("nan")]) | st.floats(0, 5)
ANSWER = st.one_of(
    st.integers(-1, 12), st.booleans(), TEXT, st.none(), st.lists(st.integers(0, 8), max_size=5),
    st.lists(WEIGHT, max_size=6), st.lists(TEXT, max_size=4), st.sampled_from(["yes", "no", "[1, 2]", '["a", "b"]']),
    st.lists(st.sampled_from(["['a']", "(b", "a, b", "c"]), max_size=3),
)  # fmt: skip
ASKED = st.sampled_from(["Which?", "Rank them.", "Rate it from 1 to 5.", "Select three numbers.", "1.5 L bottles?"])
LISTED = st.builds(
    lambda texts, first: "".join(f"\n{at}. {text}" for at, text in enumerate(texts, first)),
    st.lists(st.sampled_from(["a cork", "a nail", "12.5 oz", "a duck"]), max_size=11),
    st.integers(0, 1),
)
ROW = st.fixed_dictionaries(
    {"input_field": st.builds(str.__add__, ASKED, LISTED), "output_field": ANSWER},
    optional={
        "task_type": st.sampled_from([*TaskType, "quiz"]),
        "metric": st.sampled_from(["accuracy", "ndcg", "bool", "rougel", "micro f1", "hit rate@3", None]),
    },
)


def trained(path: Path) -> Trained | None:
    found = list(own_task("own", path).build(RawData(path.parent, max_rejected=1), Seeded(0, "own")))
    return found[0] if found else None


def scored(path: Path) -> Question | None:
    try:
        (found,) = read_questions(path)
    except RecipeError:
        return None
    return found if found.truth is not None else None  # asked, but not scored


@settings(deadline=None, max_examples=300)
@given(ROW)
@example({"input_field": "Which?", "output_field": ["0 "], "task_type": "generation"})
def test_either_side_takes_what_the_other_does(tmp_path_factory: pytest.TempPathFactory, row: dict[str, Any]) -> None:
    path = tmp_path_factory.getbasetemp() / "own.jsonl"
    path.write_text(json.dumps(row) + "\n", encoding="utf-8")
    one, other = trained(path), scored(path)
    assert (one is None) == (other is None)
    if one is None or other is None:
        return
    assert one.type is other.type and one.fields["prompt"] == other.prompt
    said = parse(other.type, answer_text(other.type, one.truth))
    if other.metric in ("rougel", "sent-transformer"):
        assert said == other.truth or (isinstance(other.truth, list) and said == other.truth[0])
    elif other.metric == "bool":
        assert boolean(str(said), str(other.truth)) == 1
    else:  # the trained answer is the best there is: three positions are read
        most = min(1, 3 / len(other.truth)) if isinstance(other.truth, list) and other.metric == "hit rate@3" else 1
        assert scorer(other.metric)(said, other.truth) == pytest.approx(most)
