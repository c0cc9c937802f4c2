"""Blends: includes, rows, weights, and what is wrong with them, by file and line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from axolotl_configs.blend import Portion, resolve_blend, scaled
from axolotl_configs.render import resolve
from axolotl_configs.schema import Parent, names
from dataset_builders.task import load_task, task_names
from spine.errors import RecipeError
from spine.published import published_blend
from tests.conftest import edit


def rows_of(name: str) -> dict[str, int]:
    return {portion.name: portion.rows for portion in resolve_blend(name, task_names()).portions}


@pytest.mark.parametrize("name", names("blends"))
def test_every_shipped_blend_resolves_and_says_why(name: str) -> None:
    blend = resolve_blend(name, task_names())
    assert blend.why and all(portion.why and portion.rows > 0 for portion in blend.portions)
    assert len(blend.files[0].path.read_text().splitlines()) < 60


def test_a_variant_changes_only_what_it_repeats() -> None:
    v7, v8 = rows_of("v7"), rows_of("v8")
    assert v7["multilingual_title"] == 28_000 and v8["multilingual_title"] == 10_000
    assert v7["answerability"] == v8["answerability"] and sum(v7.values()) == 502_435


def test_v8_is_the_published_list_line_by_line() -> None:
    """Whose shares tests/dataset_builders/test_published_blend.py has."""
    published = published_blend()
    assert list(rows_of("v8").items()) == [(name, line.rows) for name, line in published.items()]
    for portion in resolve_blend("v8", task_names()).portions:
        assert portion.why.startswith(f"line {published[portion.name].number}: ")


def test_an_llm_may_enhance_as_much_of_v8_as_the_winners_enhanced() -> None:
    marked = sum(rows for name, rows in rows_of("v8").items() if load_task(name).llm)
    assert marked / 502_435 == pytest.approx(0.598, abs=0.005)


def test_every_dataset_is_the_winners_or_ours() -> None:
    """One that is added is in a blend of its own."""
    assert {name for blend in names("blends") for name in rows_of(blend)} >= set(task_names())
    assert sum(rows_of("v8-ours").values()) == 502_435


@pytest.mark.parametrize("profile", names("profiles"))
def test_a_profile_keeps_the_shares_of_the_list(profile: str) -> None:
    """Scaled down, every dataset has at least a row, and no more than one away from its share where it has more."""
    portions = resolve("v8", profile, {}, task_names()).portions
    total = sum(portion.rows for portion in portions)
    assert {portion.name for portion in portions} == set(published_blend())
    for portion in portions:
        exact = published_blend()[portion.name].rows * total / 502_435
        assert portion.rows >= 1 and (total < 1000 or abs(portion.rows - exact) <= 1)


def test_a_cap_gives_what_it_cuts_off_to_the_other_weights(configs: Path) -> None:
    (configs / "blends" / "own.yaml").write_text(
        "rows: 1000\ndatasets:\n  review_rating: {weight: 8, cap: 100}\n"
        "  co_purchase: {weight: 1, cap: 200}\n  mmlu_auxiliary: {weight: 1}\n"
    )
    assert rows_of("own") == {"review_rating": 100, "co_purchase": 200, "mmlu_auxiliary": 700}


def test_an_including_blend_overrides_field_by_field(configs: Path) -> None:
    (configs / "blends" / "own.yaml").write_text(
        "include: v8\nrows: 600000\ndatasets:\n  product_matching: {rows: 100, seed: 7}\n"
        "  co_purchase: {weight: 2, upsample: 4}\n"
    )
    portions = {portion.name: portion for portion in resolve_blend("own", task_names()).portions}
    matching, co_purchase = portions["product_matching"], portions["co_purchase"]
    assert (matching.rows, matching.seed, matching.upsample) == (100, 7, 3)
    assert co_purchase.rows == 600_000 - (502_435 - 4_044 - 10_000 + 100) and co_purchase.upsample == 4


def test_a_file_of_ones_own_is_an_entry(configs: Path, tmp_path: Path) -> None:
    own, blend = tmp_path / "own.jsonl", configs / "blends" / "own.yaml"
    blend.write_text(f"include: v8\ndecontaminate: [{own}]\ndatasets:\n  ours: {{path: {own}, rows: 5}}\n")
    with pytest.raises(RecipeError, match=r"own.yaml:4: no such file: .*own.jsonl"):
        resolve_blend("own", task_names())
    own.write_text("{}")
    resolved = resolve_blend("own", task_names())
    assert resolved.portions[-1].path == own and resolved.decontaminate == (own,)


@pytest.mark.parametrize(
    ("said", "rows", "upsample"),
    [("", 200, 1), (", rows: all", 200, 1), (", times: 3", 600, 3), (", rows: 150", 150, 1)],
)
def test_own_rows_are_what_they_are_whatever_the_profile_takes(
    said: str, rows: int, upsample: int, configs: Path, tmp_path: Path
) -> None:
    own = tmp_path / "own.json"
    own.write_text(json.dumps([{"input_field": f"{at}?", "output_field": "a"} for at in range(200)]))
    (configs / "blends" / "own.yaml").write_text(f"include: v8\ndatasets:\n  ours: {{path: {own}{said}}}\n")
    for profile, others in (("cpu", 1_200), ("8xa100", 502_435)):
        *shop, ours = resolve("own", profile, {}, task_names()).portions
        assert (ours.name, ours.rows, ours.upsample) == ("ours", rows, upsample)
        assert sum(portion.rows for portion in shop) == others


def test_own_rows_may_be_all_there_is_and_more_than_a_profile_takes(configs: Path, tmp_path: Path) -> None:
    own = tmp_path / "own.jsonl"
    own.write_text('{"input_field": "a?"}\n' * 2_000)
    (configs / "blends" / "own.yaml").write_text(f"datasets:\n  ours: {{path: {own}}}\n")
    (ours,) = resolve("own", "cpu", {}, task_names()).portions
    assert ours.rows == 2_000


@pytest.mark.parametrize(
    ("entry", "what"),
    [
        ("co_purchase: {rows: all}", "'co_purchase' is no file of yours, of which all rows could be taken"),
        ("co_purchase: {rows: 3, times: 2}", "'co_purchase' is no file of yours"),
        ("ours: {path: README.md, rows: 9, times: 2}", "'ours' has times, but not all rows"),
        ("ours: {path: README.md, weight: 1, times: 2}", "'ours' has times, but not all rows"),
        ("ours: {path: README.md, times: 0}", "greater than or equal to 1"),
        ("ours: {path: README.md}", "a file of an unknown kind (known: csv, parquet, jsonl, json)"),
        ("ours: {path: EMPTY.json}", "holds no questions"),
    ],
)
def test_all_and_times_are_of_own_files(entry: str, what: str, configs: Path, tmp_path: Path) -> None:
    (tmp_path / "EMPTY.json").write_text("[]")
    entry = entry.replace("EMPTY", str(tmp_path / "EMPTY"))
    (configs / "blends" / "own.yaml").write_text(f"include: v8\ndatasets:\n  {entry}\n")
    with pytest.raises(RecipeError) as caught:
        resolve_blend("own", task_names())
    assert what in str(caught.value)


def test_a_second_round_names_its_parent_and_has_the_rows_it_asks_for() -> None:
    blend = resolve_blend("v9b", task_names())
    assert (
        blend.parent == Parent(blend="v8", alpha=0.5625)
        and blend.goes_on_from == "v8"
        and blend.rows == 80_000
        and blend.seed == 44
    )


def test_zero_rows_take_a_dataset_out(configs: Path) -> None:
    (configs / "blends" / "lean.yaml").write_text("include: v8\ndatasets: {mmlu_auxiliary: {rows: 0}}\n")
    assert "mmlu_auxiliary" not in rows_of("lean")


def test_weights_share_what_the_fixed_rows_leave(configs: Path) -> None:
    (configs / "blends" / "own.yaml").write_text(
        "rows: 1000\ndatasets:\n"
        "  review_rating: {rows: 400}\n  co_purchase: {weight: 2}\n  mmlu_auxiliary: {weight: 1}\n"
    )
    assert rows_of("own") == {"review_rating": 400, "co_purchase": 400, "mmlu_auxiliary": 200}


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("include: v8\nlora_rr: 3\n", 2, "unknown key 'lora_rr'"),
        ("include: v8\ndatasets:\n  co_purchase: {row: 3}\n", 3, "did you mean 'rows'?"),
        ("include: v8\ndatasets:\n  co_purchases: {rows: 3}\n", 3, "did you mean 'co_purchase'?"),
        ("include: v8\ndatasets:\n  review_rating: {cap: 3}\n", 3, "has a cap, but rows instead of a weight"),
        ("include: v8\ndatasets:\n  co_purchase: {upsample: 0}\n", 3, "greater than or equal to 1"),
        ("include: v8\ndatasets:\n  co_purchase: {path: README.md}\n", 3, "a builder makes 'co_purchase' already"),
        ("include: v8\ndecontaminate: [nowhere.json]\n", 2, "no such evaluation file: nowhere.json"),
        ("include: v8\ndatasets:\n  co_purchase: {rows: many}\n", 3, "valid integer (it says 'many')"),
        ("include: v8\ndatasets:\n  co_purchase: {rows: -1}\n", 3, "greater than or equal to 0"),
        ("include: v8\ndatasets:\n  co_purchase: {rows: 1, weight: 1}\n", 3, "both rows and weight"),
        ("datasets:\n  co_purchase: {why: no number}\n", 2, "neither rows nor weight"),
        ("datasets:\n  co_purchase: {weight: 1}\n", 1, "weights share what 'rows' leaves"),
        ("rows: 10\ndatasets:\n  co_purchase: {rows: 3}\n", 1, "more than the datasets' 3 together"),
        ("datasets: {}\n", 1, "the blend has no rows"),
        ("include: v88\n", 1, "did you mean 'v8'"),
        ("include: v8\nparent: v77\n", 2, "no blend 'v77'"),
        ("include: bad\n", 1, "circular include: bad -> bad"),
        ("seed: 1\nseed: 2\n", 2, "duplicate key"),
        ("datasets: [\n", 2, "not valid YAML"),
        ("- a list\n", None, "no mapping"),
    ],
)
def test_mistakes_name_file_and_line(configs: Path, text: str, line: int | None, what: str) -> None:
    (configs / "blends" / "bad.yaml").write_text(text)
    with pytest.raises(RecipeError) as error:
        resolve_blend("bad", task_names())
    assert what in str(error.value)
    assert f"bad.yaml:{line}: " in str(error.value) or line is None


def test_a_circle_of_includes_is_shown(configs: Path) -> None:
    (configs / "blends" / "one.yaml").write_text("include: two\n")
    (configs / "blends" / "two.yaml").write_text("why: half of it\ninclude: one\n")
    with pytest.raises(RecipeError, match=r"two.yaml:2: circular include: one -> two -> one"):
        resolve_blend("one", task_names())


def test_a_mistake_in_an_included_file_is_reported_there(configs: Path) -> None:
    line = edit(configs / "blends" / "v8.yaml", "seed: 42", "sed: 42")
    with pytest.raises(RecipeError, match=f"v8.yaml:{line}: unknown key 'sed'"):
        resolve_blend("v9b", task_names())


def test_all_mistakes_of_a_file_are_reported_at_once(configs: Path) -> None:
    (configs / "blends" / "bad.yaml").write_text("include: v8\nsed: 1\ndatasets:\n  co_purchase: {row: 3}\n")
    with pytest.raises(RecipeError, match=r"bad.yaml:2: (.|\n)*bad.yaml:4: "):
        resolve_blend("bad", task_names())


@given(st.lists(st.integers(1, 10**6), min_size=1, max_size=39), st.integers(1, 10**6))
def test_scaling_keeps_every_dataset_and_hits_the_total(rows: list[int], total: int) -> None:
    portions = [Portion(str(i), n, "", "") for i, n in enumerate(rows)]
    if total < len(portions) and total < sum(rows):
        with pytest.raises(RecipeError, match="fewer than one for each"):
            scaled(portions, total)
        return
    found = [portion.rows for portion in scaled(portions, total)]
    assert sum(found) == min(total, sum(rows)) and min(found) >= 1


@pytest.mark.parametrize("name", ["../../..", "a/b", "<img src=x>", ".hidden", "", "a" * 81, "a b", "ä", "-x"])
def test_a_name_that_is_a_path_or_markup_is_refused(configs: Path, name: str) -> None:
    blend = configs / "blends" / "strange.yaml"
    blend.write_text(f"why: x\nrows: 10\ndatasets:\n  {json.dumps(name)}: {{rows: 5}}\n")
    with pytest.raises(RecipeError, match=r"strange.yaml:\d+: .*a name has letters"):
        resolve_blend("strange", task_names())
