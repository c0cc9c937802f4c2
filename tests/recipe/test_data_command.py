"""``recipe data`` and ``recipe samples``, as a user meets them: what they print, what they leave, what they refuse."""

from __future__ import annotations

import json
import re
import shutil
import textwrap
from collections import Counter
from pathlib import Path

import pytest
from rich.console import Console

from recipe.commands.data import _datasets as datasets_table
from spine import terminal
from spine.paths import CONFIGS, ROOT
from tests.axolotl_configs.test_blend import rows_of
from tests.recipe.test_cli import recipe

V8 = rows_of("v8").keys()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, model: Path) -> dict[str, str]:
    """The environment of a user with a small shop and a model of their own."""
    folder = tmp_path_factory.mktemp("user")
    done = recipe("sample-data", "--scale", "0.5", "--out", str(folder / "shop"))
    assert done.returncode == 0, done.stderr
    return {
        "RECIPE_RUNS": str(folder / "runs"), "RECIPE_CACHE": str(folder / "cache"), "DATA": str(folder / "shop"),
        "PROFILE": "cpu", "SET": f"base_model={model} rows=150 val_rows=39 sequence_len=2000", "COLUMNS": "200",
    }  # fmt: skip


@pytest.fixture(scope="module")
def built(place: dict[str, str]) -> Path:
    """The data folder of v8."""
    done = recipe("data", "v8", **place)
    assert done.returncode == 0, done.stderr
    for part in (
        f"{len(V8)} datasets",
        "beside the winners' slides",
        "61.2%",
        "liked_titles",
        "card.md",
        "recipe samples v8",
    ):
        assert part in done.stdout
    return next(Path(place["RECIPE_RUNS"]).glob("cpu/*/data"))


def test_the_folder_holds_rows_numbers_a_card_and_a_picture(built: Path) -> None:
    found = json.loads((built / "stats.json").read_text())
    rows = found["datasets"].values()
    assert found["datasets"].keys() == V8 and found["totals"]["kept"] == sum(row["kept"] for row in rows)
    assert all(row["p50"] <= row["p95"] <= row["max"] and 0 < row["trained_tokens"] < row["tokens"] for row in rows)
    assert all(sum(part.values()) == pytest.approx(1) for part in found["shares"].values())
    assert sum(found["lengths"]["rows"]) == found["totals"]["kept"]
    card = (built / "card.md").read_text()
    assert all(f"`{name}`" in card for name in found["datasets"]) and "502,435" in card and "59.8%" in card
    assert (built / "blend.png").read_bytes().startswith(b"\x89PNG") and (built / "blend.png").stat().st_size > 20_000
    outputs = json.loads((built / "manifest.json").read_text())["outputs"]
    assert {"train.parquet", "val.parquet", "stats.json", "card.md", "blend.png", "rejected.jsonl"} <= set(outputs)


@pytest.mark.parametrize(("width", "heads"), [(66, "dataset wanted kept share dropped"), (100, "p95 share dropped")])
def test_no_head_is_cut_on_a_narrow_terminal(
    built: Path, width: int, heads: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(terminal, "console", lambda: Console(width=width))
    terminal.console().print(datasets_table(built, json.loads((built / "stats.json").read_text())))
    printed = capsys.readouterr().out
    assert heads in " ".join(printed.split()) and "…" not in printed


def test_again_says_that_it_is_done(built: Path, place: dict[str, str]) -> None:
    before = (built / "train.parquet").stat().st_mtime_ns
    assert "is up to date" in recipe("data", "v8", **place).stderr
    assert (built / "train.parquet").stat().st_mtime_ns == before


def test_a_changed_weight_builds_nothing_anew(built: Path, place: dict[str, str], tmp_path: Path) -> None:
    cache = Path(place["RECIPE_CACHE"])
    pools = set(cache.glob("*/*"))
    done = recipe("data", "v8", **{**place, "SET": place["SET"].replace("rows=150", "rows=120")})
    assert done.returncode == 0 and set(cache.glob("*/*")) == pools


def test_a_blend_need_not_say_why_there_is_one(built: Path, place: dict[str, str], tmp_path: Path) -> None:
    shutil.copytree(CONFIGS, tmp_path / "configs", ignore=shutil.ignore_patterns("__pycache__"))
    bare = "datasets: {category_attribute: {rows: 4000}, query_entities: {rows: 4000}}\n"
    (tmp_path / "configs" / "blends" / "bare.yaml").write_text(bare)
    settings = place["SET"].replace(" rows=150 val_rows=39", " rows=40 val_rows=2")
    own = {**place, "RECIPE_CONFIGS": str(tmp_path / "configs"), "SET": settings}
    done = recipe("data", "bare", **own)
    assert done.returncode == 0, done.stderr
    (card,) = Path(place["RECIPE_RUNS"]).glob("cpu/bare*/data/card.md")
    assert card.read_text().startswith("# Blend bare\n\n![")
    assert "blend bare:" not in recipe("show", "bare", **own).stdout


def own_rows(path: Path, number: int, repeated: int, unfit: int) -> Path:
    """Generated questions, of which some stand there twice and others have an answer that is no option."""
    rows = [
        {
            "input_field": " ".join(f"{path.stem}{at}x{part}" for part in range(9)) + "\n0. yes\n1. no",
            "output_field": at % 2,
        }
        for at in range(number - repeated)
    ]
    rows[:unfit] = [row | {"output_field": 7} for row in rows[:unfit]]
    rows += rows[-repeated:]
    path.write_text("".join(json.dumps(row | {"task_type": "multiple-choice"}) + "\n" for row in rows))
    return path


def test_own_rows_are_as_many_as_the_page_says(built: Path, place: dict[str, str], tmp_path: Path) -> None:
    """The blend behind README's gains, and a file of 200 of which 196 are sound, each asked three times."""
    shutil.copytree(CONFIGS, tmp_path / "configs", ignore=shutil.ignore_patterns("__pycache__"))
    page = (ROOT / "docs" / "own_questions.md").read_text(encoding="utf-8")
    blend = page.partition("    # axolotl_configs/blends/v8-gain.yaml\n")[2].partition("\n\n")[0]
    blend = textwrap.dedent(blend).replace("data/ours.jsonl", str(own_rows(tmp_path / "ours.jsonl", 780, 4, 4)))
    few = own_rows(tmp_path / "few.jsonl", 200, 2, 2)
    (tmp_path / "configs" / "blends" / "gain.yaml").write_text(f"{blend}\n  few: {{path: {few}, times: 3}}\n")
    settings = {"RECIPE_CONFIGS": str(tmp_path / "configs"), "SET": place["SET"].replace("rows=150", "rows=328")}
    done = recipe("data", "gain", **{**place, **settings})
    assert done.returncode == 0, done.stderr
    assert (
        "our_questions: 780 given, " in done.stdout
        and "(duplicate, cannot be read, more than were wanted)" in done.stdout
    )
    found = re.search(
        r"few: 200 given, 196 used: (\d+) trained on 3 times each, (\d+) kept to be asked; 4 left", done.stdout
    )
    assert found and int(found[1]) + int(found[2]) == 196
    (folder,) = Path(place["RECIPE_RUNS"]).glob("cpu/gain*/data")
    kept = {name: row["kept"] for name, row in json.loads((folder / "stats.json").read_text())["datasets"].items()}
    assert kept.pop("few") == 3 * int(found[1])
    assert (kept["our_questions"], sum(kept.values())) == (522, 850)
    assert "Own questions: our_questions: 780 given" in (folder / "card.md").read_text()


def test_samples_show_the_prompt_and_mark_what_carries_loss(built: Path, place: dict[str, str]) -> None:
    shown = recipe("samples", "v8", "--task", "liked_titles", "-n", "2", **place).stdout
    assert shown.count("--- ") == 2 and "liked_titles [" in shown
    assert "Your task is ranking." in shown and "‹<|im_end|>›" in shown
    marked = shown.partition("--- 1")[0].count("‹")
    assert f"{marked} with loss" in shown.partition("\n")[0]
    held_out = recipe("samples", "v8", "--val", "-n", "1", **place)
    assert held_out.returncode == 0 and held_out.stdout.count("--- ") == 1
    assert "did you mean 'liked_titles'" in recipe("samples", "v8", "--task", "liked_title", **place).stderr


def test_random_samples_are_spread_over_the_datasets_and_readable(built: Path, place: dict[str, str]) -> None:
    told = ("samples", "v8", "--random", "60", "--seed", "1", "--plain")
    done = recipe(*told, **place)
    heads = re.findall(r"^--- \d+  (\w+) \[\w+\]  ([\w-]+)$", done.stdout, re.M)
    counts = Counter(name for name, _ in heads)
    assert len(heads) == 60 and len(counts) == 39 and max(counts.values()) <= 3
    assert [name for name, _ in heads] == sorted(name for name, _ in heads) and "<|im_end|>" not in done.stdout
    assert done.stdout.count("\n=> ") == 60 and re.search(r"^=> \d\n   \d\. \w", done.stdout, re.M)
    assert recipe(*told, **place).stdout == done.stdout
    assert recipe(*told[:-2], "2", "--plain", **place).stdout != done.stdout
    alone = recipe("samples", "v8", "--random", "9", "--task", "title_brand", "--val", "--plain", **place).stdout
    assert set(re.findall(r"^--- \d+  (\w+)", alone, re.M)) == {"title_brand"}


def test_some_of_the_sources_are_told_of_and_built_when_asked(place: dict[str, str], tmp_path: Path) -> None:
    for source in ("alpaca", "amazon_m2"):
        shutil.copytree(Path(place["DATA"]) / source, tmp_path / "part" / source)
    (tmp_path / "part/amazon_m2/sessions_train.csv").write_text("prev_items,next_item,locale\n")
    own = {**place, "DATA": str(tmp_path / "part"), "RECIPE_RUNS": str(tmp_path / "runs")}
    refused = recipe("data", "v8", **own)
    told = " ".join(refused.stderr.split())
    assert refused.returncode == 1 and 'SET="empty_datasets=leave_out"' in told
    assert "no folder of 4 sources, of which 33 of the blend's 39 datasets are made" in told
    assert "mmlu/: mmlu_auxiliary, mmlu_exams" in told
    done = recipe("data", "v8", **{**own, "SET": own["SET"] + " empty_datasets=leave_out"})
    assert done.returncode == 0, done.stderr
    found = json.loads(next((tmp_path / "runs").glob("cpu/*/data/stats.json")).read_text())["datasets"]
    assert {name for name, row in found.items() if row["kept"]} == {
        *("attribute_to_category", "multilingual_title", "multilingual_description", "alpaca_instructions"),
        "listed_type_explanation",
    }
    assert found["co_purchase"]["kept"] == 0


@pytest.mark.slow
def test_bad_raw_rows_are_listed_and_too_many_stop_the_build(place: dict[str, str], tmp_path: Path) -> None:
    shop = tmp_path / "shop"
    assert recipe("sample-data", "--scale", "0.5", "--out", str(shop)).returncode == 0
    products = shop / "amazon_m2" / "products_train.csv"
    lines = products.read_bytes().splitlines(keepends=True)
    products.write_bytes(b"".join([*lines[:10], b"B0BAD,XX,t,,,,,,,,\n", b"gro\xdf\n", *lines[10:]]))
    own = {**place, "DATA": str(shop), "RECIPE_RUNS": str(tmp_path / "runs")}
    done = recipe("data", "v8", **own)
    assert done.returncode == 0, done.stderr
    assert "rejected.jsonl  (2 rows of raw files that could not be read)" in done.stdout
    listed = next((tmp_path / "runs").glob("cpu/*/data/rejected.jsonl")).read_text().splitlines()
    assert [json.loads(line)["place"].rpartition(":")[2] for line in listed] == ["11", "12"]
    refused = recipe("data", "v8", **{**own, "SET": own["SET"] + " max_rejected=0.0001"})
    assert refused.returncode == 1 and "products_train.csv" in refused.stderr and "max_rejected" in refused.stderr


@pytest.mark.slow
def test_an_evaluation_file_is_kept_out(built: Path, place: dict[str, str], tmp_path: Path) -> None:
    import pyarrow.parquet as pq  # type: ignore[import-untyped,unused-ignore]

    rows = pq.read_table(built / "train.parquet").to_pylist()
    known = next(row for row in rows if row["task"] == "review_rating")["messages"][1]["content"]
    evaluation = tmp_path / "development.json"
    evaluation.write_text(json.dumps({"input_field": known}))
    own = {**place, "RECIPE_RUNS": str(tmp_path / "runs"), "DECONTAMINATE": str(evaluation)}
    done = recipe("data", "v8", **own)
    assert done.returncode == 0 and "questions removed" in done.stdout, done.stderr
    assert re.search(r"beside the evaluation files(.*\n){1,5} mc +ours .*\n mc +theirs +1 ", done.stdout)
    folder = next((tmp_path / "runs").glob("cpu/*/data"))
    assert known not in {row["messages"][1]["content"] for row in pq.read_table(folder / "train.parquet").to_pylist()}
    assert "\n| mc | theirs | 1 | " in (folder / "card.md").read_text()
    assert "development.json, question 1" in (folder / "contaminated.jsonl").read_text()
