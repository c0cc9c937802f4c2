"""Held-out questions: nobody trains on them; those for choosing weights are not those that models are compared on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from dataset_builders.blend.mix import write_questions
from dataset_builders.held_out import TEST, VALIDATION, held_out, rows_to_hold_out
from dataset_builders.pools.rows import Row, read_rows
from inference.answering.questions import read_questions
from spine.manifest import file_digest
from tests.dataset_builders.blends import ROOMY, build, ensure, pools_of

WANTED = {VALIDATION: 2, TEST: 4}


@pytest.fixture(scope="module")
def asked(shop: Path, model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Questions, and beside them, in ``blend-SEED``, the data of two blends."""
    folder = tmp_path_factory.mktemp("asked")
    for seed in (1, 2):
        pools = [replace(one, val=20) for one in pools_of(shop, model, seed=seed)]
        build(pools, folder / "cache", folder / f"blend-{seed}", seed=seed)
        (folder / f"questions-{seed}").mkdir()
        counts = write_questions(ensure(pools, folder / "cache"), WANTED, ROOMY, folder / f"questions-{seed}")
    assert all(counts[side][pool.name] <= WANTED[side] for side in WANTED for pool in pools)
    assert sum(counts[TEST].values()) == len(rows(folder / "questions-2" / "test.parquet"))
    return folder


def rows(path: Path) -> list[Row]:
    return list(read_rows(path))


def about(path: Path) -> set[str]:
    """What the rows of a file ask about."""
    return {row["entities"][0] for row in rows(path)}


def test_no_blend_trains_on_what_they_are_about(asked: Path) -> None:
    trained = {entity for seed in (1, 2) for row in rows(asked / f"blend-{seed}" / "train.parquet")
               for entity in row["entities"][:1]}  # fmt: skip
    for side in WANTED:
        found = about(asked / "questions-1" / f"{side}.parquet")
        assert found and all(map(held_out, found)) and not found & trained


def test_what_a_test_is_about_is_asked_nowhere_else(asked: Path) -> None:
    test = about(asked / "questions-1" / "test.parquet")
    others = [asked / "questions-1" / "validation.parquet", *asked.glob("blend-*/val.parquet")]
    assert len(others) == 3 and all(about(path) and not about(path) & test for path in others)


def test_they_are_the_same_whatever_the_blends_seed(asked: Path) -> None:
    for side in WANTED:
        assert len({file_digest(asked / f"questions-{seed}" / f"{side}.parquet") for seed in (1, 2)}) == 1


def test_they_can_be_asked_and_scored_by_track(asked: Path) -> None:
    path = asked / "questions-1" / "test.parquet"
    found = read_questions(path)
    assert len(found) == len(rows(path)) and all(question.truth is not None for question in found)
    second = read_questions(path, tracks=[2])
    assert {question.task for question in second} == {"mmlu_auxiliary"} and len(second) < len(found)


@pytest.mark.parametrize(("val", "validation", "test", "least"), [(2, 4, 12, 20), (6, 4, 12, 20), (20, 4, 12, 50)])
def test_a_pool_has_rows_for_both_sides(val: int, validation: int, test: int, least: int) -> None:
    assert rows_to_hold_out(val, {VALIDATION: validation, TEST: test}) == least
