"""The sample shop with the faults of real files: every dataset is still built of it, and asks about none of them."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path
from typing import Any

import pytest

from dataset_builders import sample_shop
from dataset_builders.pools import fitness
from dataset_builders.sample_shop.noise import _VAGUE
from dataset_builders.task import load_task
from tests.dataset_builders.test_tasks import EVERY, questions

_FAULTS = re.compile(r"<br|</?p>|&#|&\w+;|VIDEOID|\b(?:One|Two|Three|Four|Five) Stars?\b")
_LEAVES = set(_VAGUE) - {"Black"}  # which is also an answer: a colour


@pytest.fixture(scope="module")
def noisy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("noisy") / "raw"
    sample_shop.write(folder, scale=0.2, noise=True)
    return folder


@EVERY
def test_a_dataset_asks_of_noisy_rows_what_can_be_answered(name: str, shop: Path, noisy: Path) -> None:
    made, kind = questions(name, noisy), load_task(name).type
    assert len(made) >= max(10, 0.6 * len(questions(name, shop)))
    for question in made:
        assert fitness.problem(kind, question) is None, question
        texts = [text for value in question.fields.values() for text in (value if isinstance(value, list) else [value])]
        assert not [text for text in (*texts, question.truth) if _FAULTS.search(str(text))], question
        assert name != "review_rating" or "I can only give it" not in str(texts)
        assert not set(map(str, texts)) & _LEAVES, "a leaf that names no product stands with its parent"


def test_faults_are_as_frequent_as_in_published_files(noisy: Path, shop: Path) -> None:
    """Star titles: 20 of 100; markup: 8; titles "for Women": 14; the shop without noise has none of them."""

    def rows(folder: Path, which: str) -> list[dict[str, Any]]:
        files = sorted((folder / "amazon_reviews" / "raw" / which).iterdir())
        return [json.loads(line) for file in files for line in gzip.decompress(file.read_bytes()).splitlines()]

    def shares(folder: Path) -> list[float]:
        reviews, products = rows(folder, "review_categories"), rows(folder, "meta_categories")
        return [
            sum(bool(_FAULTS.fullmatch(review["title"])) for review in reviews) / len(reviews),
            sum("<br" in review["text"] for review in reviews) / len(reviews),
            sum(" for " in product["title"] for product in products) / len(products),
        ]

    assert shares(noisy) == pytest.approx([0.2, 0.08, 0.14], rel=0.4)
    assert shares(shop) == [0, 0, 0]
