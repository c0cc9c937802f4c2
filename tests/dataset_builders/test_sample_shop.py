"""The sample shop: published formats, equal bytes for equal seeds, answers that follow from the text."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dataset_builders import sample_shop
from dataset_builders.sample_shop import write
from dataset_builders.sample_shop.amazon_m2 import printed
from dataset_builders.sample_shop.catalogue import LANGUAGES, catalogue
from dataset_builders.sample_shop.draws import Draw
from dataset_builders.sample_shop.words import asin
from spine.errors import RecipeError
from tests.dataset_builders.raw_files import read_csv


def _dicts(path: Path) -> list[dict[str, str]]:
    header, *rows = read_csv(path)
    return [dict(zip(header, row, strict=True)) for row in rows]


def _gz(path: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        yield from map(json.loads, file)


def _bytes(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*.*")
    }


def _types_in(title: str, lang: int) -> set[int]:
    """Types whose name stands in a title; the longest, where one name holds another."""
    found = [kind for kind in catalogue().types if kind.names[lang] in title]
    longest = max(len(kind.names[lang]) for kind in found)
    return {kind.index for kind in found if len(kind.names[lang]) == longest}


# --- the folder ---


def test_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        write(tmp_path / name, scale=0.05, seed=seed)
    assert _bytes(tmp_path / "a") == _bytes(tmp_path / "b")
    for path in (tmp_path / "a").rglob("*.gz"):
        assert path.read_bytes()[4:8] == bytes(4)  # no time of writing in the header
    others = _bytes(tmp_path / "c")
    assert all(others[name] != digest for name, digest in _bytes(tmp_path / "a").items())


def test_a_row_does_not_depend_on_the_scale(shop: Path, tmp_path: Path) -> None:
    write(tmp_path / "small", scale=0.1)
    small, large = (json.loads((f / "ecinstruct/dataset.json").read_text()) for f in (tmp_path / "small", shop))
    assert large[: len(small)] == small and len(large) == 2 * len(small)


def test_a_folder_that_holds_something_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("kept")
    with pytest.raises(RecipeError, match="not an empty folder"):
        write(tmp_path, scale=0.05)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
    (tmp_path / "empty").mkdir()
    assert write(tmp_path / "empty", scale=0.05)
    with pytest.raises(RecipeError, match="positive"):
        write(tmp_path / "none", scale=0)


def test_nothing_is_left_behind_after_a_failure(tmp_path: Path) -> None:
    def fail(name: str, done: int, total: int) -> None:
        if name.startswith("esci"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "shop", scale=0.05, progress=fail)
    assert list(tmp_path.iterdir()) == []


def test_progress_ends_at_the_rows_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dataset_builders.sample_shop.tables.CHUNK", 50)
    seen: dict[str, list[tuple[int, int]]] = defaultdict(list)
    counts = write(tmp_path / "shop", scale=0.05, progress=lambda name, *now: seen[name].append(now))
    assert {name: calls[-1][0] for name, calls in seen.items()} == counts
    assert len(seen["ecinstruct/dataset.json"]) > 2
    exact = {name: calls[-1][1] for name, calls in seen.items() if "examples" not in name}
    assert exact == {name: rows for name, rows in counts.items() if "examples" not in name}


def test_the_counts_at_scale_one(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = sample_shop.Shop(catalogue(), 2024, 1.0)
    assert whole.products == 1_000 and whole.count(1_500) == 1_500
    assert sum(t.total for t in sample_shop.reviews.tables(whole) if "review_cat" in t.name) == pytest.approx(
        3_000, abs=5
    )


# --- vocabulary and draws ---


def test_the_vocabulary_is_complete() -> None:
    shop = catalogue()
    assert len(shop.types) >= 40
    for kind in shop.types:
        assert len(kind.names) == len(LANGUAGES) and all(kind.names)
        assert len(kind.attributes) >= 3 and len(kind.aspects) >= 4 and kind.goes_with
        assert shop.strangers(kind)
        words = {kind.index, *kind.goes_with}
        assert not words & {other.index for other in shop.strangers(kind)}
    aspects = {aspect for kind in shop.types for aspect in kind.aspects}
    good = {text for aspect in aspects for text in aspect.good}
    assert not good & {text for aspect in aspects for text in aspect.bad}
    for lang in range(len(LANGUAGES)):
        names = [kind.names[lang] for kind in shop.types]
        assert len(set(names)) == len(names), LANGUAGES[lang]


def test_draws_are_even_and_ids_differ() -> None:
    tally = [0] * 10
    for index in range(200):
        draw = Draw(7, "even", index)
        for _ in range(400):  # far past one hash
            tally[draw.below(10)] += 1
    assert max(tally) < 1.05 * 8_000 and min(tally) > 0.95 * 8_000
    assert sorted(Draw(7, "x", 1).shuffled(range(50))) == list(range(50))
    assert len({asin(index) for index in range(20_000)}) == 20_000


# --- Amazon-M2 ---


def test_m2_columns_stand_in_the_title(shop: Path) -> None:
    rows = _dicts(shop / "amazon_m2/products_train.csv")
    columns = "id,locale,title,price,brand,color,size,model,material,author,desc"
    assert list(rows[0]) == columns.split(",")
    for column in ("brand", "color", "size", "material", "author"):
        filled = [row for row in rows if row[column] and (column != "brand" or not row["author"])]
        assert filled and len(filled) < len(rows)  # sometimes null
        assert all(row[column] in row["title"] for row in filled), column
    assert all(float(row["price"]) > 0 for row in rows)


def test_m2_sells_a_product_in_several_languages(shop: Path) -> None:
    sold: dict[str, dict[str, str]] = defaultdict(dict)
    for row in _dicts(shop / "amazon_m2/products_train.csv"):
        sold[row["id"]][row["locale"]] = row["title"]
    languages = {"DE": 1, "JP": 5, "UK": 0, "ES": 2, "FR": 3, "IT": 4}
    for titles in sold.values():
        assert 2 <= len(titles) <= 6
        kinds = [_types_in(title, languages[locale]) for locale, title in titles.items()]
        assert set.intersection(*kinds)  # every translation names the same type


def test_m2_sessions_hold_together(shop: Path) -> None:
    sold: dict[tuple[str, str], str] = {}
    for row in _dicts(shop / "amazon_m2/products_train.csv"):
        sold[row["locale"], row["id"]] = row["title"]
    kinds = {asin(index): catalogue().types[index % len(catalogue().types)] for index in range(200)}
    for row in _dicts(shop / "amazon_m2/sessions_train.csv"):
        before = row["prev_items"].strip("[]").replace("'", "").split()
        assert len(before) >= 2 and all((row["locale"], item) in sold for item in [*before, row["next_item"]])
        first, last = kinds[before[0]], kinds[row["next_item"]]
        near = any(
            last.index in (kind.index, *kind.goes_with)
            for kind in catalogue().types
            if first.index in (kind.index, *kind.goes_with)
        )
        assert near


def test_m2_packs_and_long_sessions() -> None:
    whole = sample_shop.Shop(catalogue(), 2024, 1.0)
    products, sessions = (list(table.rows) for table in sample_shop.amazon_m2.tables(whole))
    british = [row[2] for row in products if row[1] == "UK"]
    assert any("Pack of" in title and title.endswith(" oz") for title in british)
    assert 0.02 < sum("\n " in row[0] for row in sessions) / len(sessions) < 0.5


def test_sessions_are_printed_as_numpy_does() -> None:
    numpy = pytest.importorskip("numpy")
    for count in (1, 2, 5, 6, 11, 30):
        ids = [asin(index) for index in range(count)]
        assert printed(ids) == str(numpy.array(ids))


# --- Amazon Reviews ---


def _reviews(shop: Path) -> Iterator[dict[str, Any]]:
    for path in sorted((shop / "amazon_reviews/raw/review_categories").glob("*.jsonl.gz")):
        yield from _gz(path)


def test_reviews_read_as_their_stars(shop: Path) -> None:
    said: dict[int, set[str]] = defaultdict(set)
    openers = {
        text: stars for kind in catalogue().types for stars, texts in enumerate(kind.openers, 1) for text in texts
    }
    judged = {s: 1 for k in catalogue().types for a in k.aspects for s in a.good}
    judged |= {s: -1 for k in catalogue().types for a in k.aspects for s in a.bad}
    for review in _reviews(shop):
        stars = int(review["rating"])
        opener = [text for text in openers if review["text"].startswith(text)]
        assert {openers[text] for text in opener} == {stars}
        said[stars] |= {sentence for sentence in judged if sentence in review["text"]}
    assert said[5] and said[1] and not said[5] & said[1]
    assert {judged[sentence] for sentence in said[3]} == {1, -1}


def test_helpful_votes_grow_with_length(shop: Path) -> None:
    reviews = list(_reviews(shop))
    short = [r["helpful_vote"] for r in reviews if r["text"].count(". ") <= 2]
    long = [r["helpful_vote"] for r in reviews if r["text"].count(". ") >= 5]
    assert sum(short) / len(short) + 5 < sum(long) / len(long)
    assert all(10**12 < r["timestamp"] < 2 * 10**12 for r in reviews)  # milliseconds


def test_reviews_join_their_products(shop: Path) -> None:
    metas: dict[str, dict[str, Any]] = {}
    for path in (shop / "amazon_reviews/raw/meta_categories").glob("meta_*.jsonl.gz"):
        metas |= {row["parent_asin"]: row for row in _gz(path)}
    assert all(review["parent_asin"] in metas for review in _reviews(shop))
    prices = {type(row["price"]) for row in metas.values()}
    assert prices == {float, str, type(None)}
    assert {type(row["details"]) for row in metas.values()} == {dict, str}  # as published, as on mirrors
    assert any(row["bought_together"] is None for row in metas.values())
    partners = [item for row in metas.values() for item in row["bought_together"] or ()]
    assert partners and all(item in metas for item in partners)
