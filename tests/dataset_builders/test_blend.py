"""Blends: mixed the same from the same seed, sides kept apart, losses counted, refused or shown."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq  # type: ignore[import-untyped,unused-ignore]
import pytest

from dataset_builders.blend.card import describe
from dataset_builders.blend.choose import Chosen, Counts, Limits
from dataset_builders.blend.mix import mix
from dataset_builders.held_out import held_out
from dataset_builders.pools.build import Pool
from dataset_builders.pools.rows import read_rows
from dataset_builders.task import task_names
from inference.scoring.parsers import parse
from spine.errors import RecipeError
from spine.manifest import file_digest
from spine.task_types import TaskType
from tests.dataset_builders.blends import build, ensure, pools_of
from tests.dataset_builders.raw_files import write_jsonl


@pytest.fixture(scope="module")
def everything(shop: Path, model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every dataset there is, mixed; the folder holds data/ and cache/."""
    folder = tmp_path_factory.mktemp("everything")
    pools = [replace(one, val=1) for one in pools_of(shop, model, task_names())]
    build(pools, folder / "cache", folder / "data")
    return folder


def test_the_same_seed_gives_the_same_bytes_whatever_the_number_of_workers(
    shop: Path, model: Path, tmp_path: Path
) -> None:
    for name, seed, workers in (("a", 1, 1), ("b", 1, 3), ("c", 2, 1)):
        pools = pools_of(shop, model, seed=seed)
        ensure(pools, tmp_path / f"cache {name}", workers)
        build(pools, tmp_path / f"cache {name}", tmp_path / name, seed=seed)
    for file in ("train.parquet", "val.parquet"):
        assert file_digest(tmp_path / "a" / file) == file_digest(tmp_path / "b" / file)
        assert file_digest(tmp_path / "a" / file) != file_digest(tmp_path / "c" / file)


def test_held_out_questions_are_the_same_for_every_seed(shop: Path, model: Path, tmp_path: Path) -> None:
    prompts = []
    for seed in (1, 2):
        build(pools_of(shop, model, seed=seed), tmp_path / "cache", tmp_path / str(seed), seed=seed)
        prompts.append({row["messages"][1]["content"] for row in read_rows(tmp_path / str(seed) / "val.parquet")})
    assert prompts[0] == prompts[1] != set()


def test_nothing_that_is_shown_stands_on_both_sides(everything: Path) -> None:
    train, val = (
        {entity for row in read_rows(everything / "data" / f"{side}.parquet") for entity in row["entities"]}
        for side in ("train", "val")
    )
    assert train and val and not train & val
    assert not any(map(held_out, train))


@pytest.mark.parametrize("name", ["mmlu_exams", "mmlu_auxiliary"])
def test_the_card_says_that_an_exam_is_trained_on(name: str, shop: Path, model: Path, tmp_path: Path) -> None:
    pools = pools_of(shop, model, (name,))
    counts = build(pools, tmp_path / "cache", tmp_path / "data")
    describe(tmp_path / "data", "own", "", pools, counts, {})
    assert ("scores on MMLU says" in (tmp_path / "data/card.md").read_text()) == (name == "mmlu_exams")


def test_rows_have_three_turns_and_an_answer_the_parsers_read(everything: Path) -> None:
    rows = list(read_rows(everything / "data" / "train.parquet"))
    assert len({row["task"] for row in rows}) == len(task_names())
    for row in rows:
        assert [turn["role"] for turn in row["messages"]] == ["system", "user", "assistant"]
        kind, truth = TaskType(row["task_type"]), json.loads(row["truth"])
        assert kind.phrase in row["messages"][0]["content"]
        parsed = parse(kind, row["messages"][2]["content"])
        if kind is TaskType.RANKING:
            assert sorted(parsed) == list(range(1, len(truth) + 1))  # type: ignore[arg-type]
            weights = [truth[position - 1] for position in parsed]  # type: ignore[union-attr]
            assert weights == sorted(weights, reverse=True)
        elif kind is not TaskType.GENERATION:
            assert parsed == truth, row


def test_rows_are_mixed_not_stacked(everything: Path) -> None:
    tasks = [row["task"] for row in read_rows(everything / "data" / "train.parquet")]
    assert sum(a != b for a, b in pairwise(tasks)) > 0.9 * len(tasks)


def test_a_result_in_many_stretches_is_the_result_in_one(
    shop: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pools = pools_of(shop, model)
    build(pools, tmp_path / "cache", tmp_path / "one")
    monkeypatch.setattr("dataset_builders.blend.mix._STRETCH", 7)
    build(pools, tmp_path / "cache", tmp_path / "many")
    assert list(read_rows(tmp_path / "one/train.parquet")) == list(read_rows(tmp_path / "many/train.parquet"))
    assert not list((tmp_path / "many").glob(".*"))


def test_rows_that_are_too_long_are_refused_with_the_numbers(shop: Path, model: Path, tmp_path: Path) -> None:
    pools = pools_of(shop, model)
    with pytest.raises(RecipeError, match=r"\d+ of \d+ rows \(\d+\.\d%\) are longer than sequence_len 100"):
        build(pools, tmp_path / "cache", tmp_path / "data", Limits(100, 0.05))
    longest = build(pools, tmp_path / "cache", tmp_path / "roomy")["review_helpfulness_ranking"].tokens
    limit = int(np.median(longest))
    counts = build(pools, tmp_path / "cache", tmp_path / "again", Limits(limit, 0.9))
    assert counts["review_helpfulness_ranking"].dropped["too long"] > 0
    assert all(row["tokens"] <= limit for row in read_rows(tmp_path / "again" / "train.parquet"))


def test_a_dataset_without_rows_is_an_error(shop: Path, model: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="no rows at all for alpaca_instructions"):
        build(pools_of(shop, model), tmp_path / "cache", tmp_path / "data", Limits(5, 1.0))
    with pytest.raises(RecipeError, match="empty_datasets=leave_out"):  # not where nothing is left
        build(pools_of(shop, model), tmp_path / "cache", tmp_path / "again", Limits(5, 1.0, leave_empty_out=True))


def test_why_a_dataset_has_no_rows_is_told_once(tmp_path: Path) -> None:
    cause = "no product of meta_All_Beauty has a category path"
    counts = {name: Counts(remarks=[cause]) for name in ("product_category", "compatibility")}
    counts["liked_titles"] = Counts(dropped=Counter({"too long": 1_200}))
    with pytest.raises(RecipeError) as caught:
        mix({}, Chosen(counts, {}, {}, {}), tmp_path, seed=0, limits=Limits(100, 1.0))
    assert f"\n  {cause}: product_category, compatibility\n  1,200 too long: liked_titles\n" in str(caught.value)


def test_a_file_of_ones_own_is_a_dataset(shop: Path, model: Path, tmp_path: Path) -> None:
    rows = [
        {
            "input_field": f"What is {n}+1?\n0. {n}\n1. {n + 1}\nAnswer: ",
            "output_field": 1,
            "task_type": "multiple-choice",
        }
        for n in range(30)
    ]
    path = tmp_path / "own.jsonl"
    write_jsonl(path, rows)
    own = Pool("sums", shop, str(model), 1, 10, 1, path=path)
    counts = build([own], tmp_path / "cache", tmp_path / "data")
    first = next(read_rows(tmp_path / "data" / "train.parquet"))
    assert counts["sums"].kept == 10 and first["messages"][2]["content"] == "1" and first["source"] == "own"
    assert first["messages"][1]["content"].startswith("What is ") and first["task_type"] == "multiple-choice"


def test_the_pool_file_holds_what_readers_expect(everything: Path) -> None:
    folder = next((everything / "cache" / "co_purchase").iterdir())
    assert set(pq.read_schema(folder / "pool.parquet").names) >= {
        "messages",
        "entities",
        "held_out",
        "prompt",
        "touches",
    }
