"""What is known of published files, which of them are fetched and on which terms; the command."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from dataset_builders.published import fetch as fetching
from dataset_builders.published.fetch import MANIFEST, Outcome, fetch
from dataset_builders.published.sources import SOURCES, File, in_words, total
from dataset_builders.raw import RawData
from dataset_builders.sources import _files, amazon_reviews
from recipe.commands.fetch import command
from spine.errors import RecipeError
from spine.lock import locked
from tests.dataset_builders.file_server import CONTENT, SHA256, TOKEN, Served, Server, one, refusal, source


def test_terms_are_accepted_before_anything_is_asked(serve: Server, tmp_path: Path) -> None:
    one(serve, Served())
    sources = source(File("a.bin", f"{serve.url}/published.bin"), accept=True)
    said = refusal(sources, tmp_path)
    assert "CC BY-NC 4.0; not for sale" in said and "read https://licence.example" in said and not serve.asked
    assert fetch(sources, tmp_path, accepted=True)[0].how == "fetched"


@pytest.mark.parametrize("there", ["products.csv", "products.parquet"])
def test_files_that_are_fetched_by_hand(there: str, tmp_path: Path) -> None:
    sources = source(File("products.csv", None), by_hand="log in at AIcrowd")
    said = refusal(sources, tmp_path)
    assert "products.csv must be fetched by hand" in said and "-> log in at AIcrowd" in said
    (tmp_path / "esci").mkdir()
    (tmp_path / "esci" / there).write_bytes(CONTENT)
    assert fetch(sources, tmp_path) == [Outcome(f"esci/{there}", len(CONTENT), SHA256, "there already")]
    (tmp_path / "esci" / there).write_bytes(b"something else")
    assert "this is not the published file" in refusal(sources, tmp_path)


def test_a_file_of_the_users_own_is_recognised_or_left_alone(serve: Server, tmp_path: Path) -> None:
    path = tmp_path / "esci/deep/file.bin"
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT)
    sources = one(serve, Served())
    assert fetch(sources, tmp_path)[0].how == "there already" and not serve.ranges()
    (tmp_path / MANIFEST).unlink()
    path.write_bytes(b"mine")
    said = refusal(sources, tmp_path)
    assert "this is not the published file" in said and f"rm {path}" in said and path.read_bytes() == b"mine"


def test_a_file_that_has_changed_since_it_came_is_noticed(serve: Server, tmp_path: Path) -> None:
    sources = one(serve, Served())
    fetch(sources, tmp_path)
    (tmp_path / "esci/deep/file.bin").write_bytes(CONTENT[:-1] + b"!")
    assert f"expected {SHA256}" in refusal(sources, tmp_path)
    (tmp_path / MANIFEST).write_text("{")
    assert MANIFEST in refusal(sources, tmp_path)


def test_one_at_a_time(tmp_path: Path) -> None:
    with locked(tmp_path):
        assert f"pid {os.getpid()}" in refusal(source(), tmp_path)


@pytest.mark.parametrize(
    ("only", "chosen"),
    [
        (["All_Beauty"], ["raw/review_categories/All_Beauty.jsonl.gz", "raw/meta_categories/meta_All_Beauty.jsonl.gz"]),
        (["*/Gift*", "meta_Soft"], [
            "raw/review_categories/Gift_Cards.jsonl.gz", "raw/meta_categories/meta_Software.jsonl.gz",
        ]),
    ],
)  # fmt: skip
def test_files_are_chosen_by_pattern(only: list[str], chosen: list[str], tmp_path: Path) -> None:
    wanted = fetching.choose({"amazon_reviews": SOURCES["amazon_reviews"]}, tmp_path, only)
    assert [found.file.path for found in wanted] == chosen


def test_a_misspelt_choice_names_the_nearest(tmp_path: Path) -> None:
    said = refusal({"amazon_reviews": SOURCES["amazon_reviews"]}, tmp_path, only=["All_Beuaty"])
    assert "did you mean 'All_Beauty'" in said


def test_the_facts_are_of_the_right_form() -> None:
    for found in SOURCES.values():
        assert found.licence.url.startswith("https://") and found.home.startswith("https://")
        assert bool(found.by_hand) == any(file.url is None for file in found.files)
        assert len({file.path for file in found.files}) == len(found.files)
        for file in found.files:
            assert file.url is None or file.url.startswith("https://")
            assert file.url is None or "/main/" not in file.url  # a branch moves; a commit does not
            assert file.sha256 is None or re.fullmatch("[0-9a-f]{64}", file.sha256)


def test_every_file_is_where_its_reader_looks(tmp_path: Path) -> None:
    for name, found in SOURCES.items():
        for file in found.files:
            path = tmp_path / name / file.path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    raw = RawData(tmp_path)
    assert len(amazon_reviews.categories(raw)) == 33
    for category in amazon_reviews.categories(raw):
        assert _files.find(raw / "amazon_reviews/raw/meta_categories", f"meta_{category}")
    for folder, stem in (
        ("alpaca", "alpaca_data_cleaned"), ("amazon_m2", "products_train"), ("amazon_m2", "sessions_train"),
        ("ecinstruct", "dataset"), ("esci", "shopping_queries_dataset_examples"), ("mmlu", "auxiliary_train"),
        ("esci", "shopping_queries_dataset_products"), ("mmlu/test", "*_test"),
    ):  # fmt: skip
        assert _files.find_all(raw / folder, stem)


def test_sizes_in_words() -> None:
    assert [in_words(size) for size in (None, 0, 999, 1000, 51_286_808, 999_999_999)] == [
        "?", "0 B", "999 B", "1.0 kB", "51.3 MB", "1.0 GB",
    ]  # fmt: skip
    files = (File("a", None, 1_000_000, estimated=True), File("b", None))
    assert total(files) == "over 1.0 MB" and total(files[:1]) == "about 1.0 MB" and total(files[1:]) == "?"


def test_the_command_lists_and_refuses(tmp_path: Path) -> None:
    listed = CliRunner().invoke(command, ["--list", "amazon_reviews"])
    assert listed.exit_code == 0 and "CC BY-NC 4.0" in listed.output and "about 98.0 GB" in listed.output
    assert "amazon_reviews/raw/meta_categories/meta_Video_Games.jsonl.gz" in listed.output
    assert "name at least one source" in CliRunner().invoke(command, []).output
    unknown = CliRunner().invoke(command, ["ecsi"]).exception
    assert isinstance(unknown, RecipeError) and "did you mean 'esci'" in str(unknown)
    refused = CliRunner().invoke(command, ["alpaca", "--out", str(tmp_path)]).exception
    assert isinstance(refused, RecipeError) and "--accept-licence" in str(refused)


def test_the_command_fetches(serve: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SOURCES, "esci", one(serve, Served())["esci"])
    monkeypatch.setenv("HF_TOKEN", f"{TOKEN}\n")
    done = CliRunner().invoke(command, ["esci", "--out", str(tmp_path)])
    assert done.exit_code == 0 and SHA256[:16] in done.output and TOKEN not in done.output
    assert f"make data-v8 DATA={tmp_path}" in done.output
