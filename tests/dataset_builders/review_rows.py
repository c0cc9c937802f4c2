"""Rows of Amazon Reviews for tests, and what the sample shop's rows must come to."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from dataset_builders.held_out import held_out
from dataset_builders.pools.fitness import problem
from dataset_builders.raw import RawData
from dataset_builders.sample_shop.catalogue import ProductType, catalogue
from dataset_builders.sample_shop.words import asin
from dataset_builders.task import Question, Seeded, load_task
from tests.dataset_builders.raw_files import write_jsonl

SHOP_TYPES = {asin(index): catalogue().types[index % len(catalogue().types)] for index in range(1_000)}


BY_LEAF = {kind.path[-1]: kind for kind in catalogue().types}


def asked(name: str, raw: Path) -> list[Question]:
    """The task's questions, all of them fit, and each of one side of the split."""
    task = load_task(name)
    found = list(task.build(RawData(raw), Seeded(0, name)))
    assert not [question for question in found if problem(task.type, question)]
    for question in found:
        assert question.entity.startswith("product:") and question.entity not in question.also
        assert len({held_out(entity) for entity in (question.entity, *question.also)}) == 1
    return found


def product(
    number: int, title: str | None = None, leaf: str | tuple[str, ...] = "Things", **columns: Any
) -> dict[str, Any]:
    """Its title says the leaf, if it is not given."""
    path = ["Home", leaf] if isinstance(leaf, str) else list(leaf)
    title = f"No {number} {path[-1] if path else ''}" if title is None else title
    row: dict[str, Any] = {"parent_asin": f"P{number}", "title": title, "main_category": "Home", "categories": path}
    row |= {"features": [], "description": [], "price": None, "store": None, "details": {}}
    return row | columns


def review(number: int, text: str = "", rating: int = 5, user: str = "U") -> dict[str, Any]:
    ids = {"asin": "A", "parent_asin": f"P{number}", "user_id": user, "timestamp": 1_600_000_000_000 + number}
    return ids | {"rating": float(rating), "title": "", "text": text, "helpful_vote": 0}


def of_rows(tmp_path: Path, name: str, products: Iterable[Any], reviews: Iterable[Any] = ()) -> list[Question]:
    folder = tmp_path / "amazon_reviews/raw"
    write_jsonl(folder / "review_categories/Home.jsonl", list(reviews))
    write_jsonl(folder / "meta_categories/meta_Home.jsonl", list(products))
    return asked(name, tmp_path)


def metas(shop: Path) -> Iterator[dict[str, Any]]:
    for path in sorted((shop / "amazon_reviews/raw/meta_categories").glob("*.jsonl.gz")):
        for row in map(json.loads, gzip.decompress(path.read_bytes()).splitlines()):
            details = row["details"]
            yield row | {"details": json.loads(details) if isinstance(details, str) else details}


def kind_of(question: Question) -> ProductType:
    return SHOP_TYPES[question.entity.removeprefix("product:")]
