"""Pools: cached by content, cleaned of duplicates and of evaluation questions, upsampled, built by workers."""

from __future__ import annotations

import json
import os
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from dataset_builders import sample_shop
from dataset_builders.held_out import held_out
from dataset_builders.pools.build import Pool, Report
from dataset_builders.pools.cache import roomy
from dataset_builders.pools.rows import read_rows
from dataset_builders.raw import NO_QUESTION, RawData
from spine.chat import ChatTokenizer
from spine.errors import RecipeError
from spine.manifest import file_digest
from tests.dataset_builders.blends import SOME, build, ensure, pools_of
from tests.dataset_builders.raw_files import put, write_jsonl


def test_a_smaller_blend_is_a_part_of_a_larger_one_and_builds_nothing_anew(
    shop: Path, model: Path, tmp_path: Path
) -> None:
    prompts, folders = [], []
    for rows in (20, 12):
        pools = pools_of(shop, model, rows=rows)
        folders.append(ensure(pools, tmp_path / "cache"))
        build(pools, tmp_path / "cache", tmp_path / str(rows))
        prompts.append({row["messages"][1]["content"] for row in read_rows(tmp_path / str(rows) / "train.parquet")})
    assert prompts[1] < prompts[0] and folders[0] == folders[1]


def test_a_pool_is_built_again_when_what_it_is_made_from_changes(model: Path, tmp_path: Path) -> None:
    shop, cache = tmp_path / "shop", tmp_path / "cache"
    sample_shop.write(shop, scale=0.2)
    one = Pool("alpaca_instructions", shop, str(model), 1, 12, 5)
    before = ensure([one], cache)
    assert ensure([one], cache) == before
    assert ensure([replace(one, seed=2)], cache) != before
    put(shop / "alpaca/alpaca_data_cleaned.json", '[{"instruction": "Name a colour.", "input": "", "output": "Red"}]')
    assert ensure([one], cache) != before


def test_a_pool_that_was_damaged_is_built_again(shop: Path, model: Path, tmp_path: Path) -> None:
    one = Pool("alpaca_instructions", shop, str(model), 1, 12, 5)
    file = ensure([one], tmp_path)[one.name] / "pool.parquet"
    whole = file_digest(file)
    file.write_bytes(file.read_bytes()[:-20])
    ensure([one], tmp_path)
    assert file_digest(file) == whole


def test_the_cache_forgets_pools_that_were_not_used_for_long(shop: Path, model: Path, tmp_path: Path) -> None:
    for seed in range(8):
        ensure([Pool("alpaca_instructions", shop, str(model), seed, 5, 5)], tmp_path)
    assert len(list((tmp_path / "alpaca_instructions").iterdir())) == 5


@pytest.mark.parametrize("rows", [1, 116, 117, 5_000, 36_000])
def test_pools_have_room_but_not_much(rows: int) -> None:
    assert rows * 1.1 <= roomy(rows) <= max(32, rows * 1.1 * 1.25 + 1)
    assert rows * 1.3 <= roomy(rows, 1.3) <= max(32, rows * 1.3 * 1.25 + 1)


def test_a_builder_that_makes_unfit_questions_is_named(
    shop: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dataset_builders.pools.build.problem", lambda kind, question: "two equal options")
    with pytest.raises(RecipeError, match=r"questions are unfit(.|\n)*a question about .*: two equal options"):
        build(pools_of(shop, model), tmp_path / "cache", tmp_path / "data")


def test_a_missing_or_corrupt_raw_file_is_named_and_leaves_no_pool(model: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    sample_shop.write(broken, scale=0.1, seed=5)
    products = broken / "esci" / "shopping_queries_dataset_products.parquet"
    products.write_bytes(products.read_bytes()[:500])
    pools = pools_of(broken, model, ("query_product_ranking",))
    for workers in (1, 2):
        with pytest.raises(RecipeError, match=r"shopping_queries_dataset_products.parquet(.|\n)*fetch it again"):
            ensure([*pools, *pools_of(broken, model, ("alpaca_instructions",))], tmp_path / "cache", workers)
    products.unlink()
    with pytest.raises(RecipeError, match=r"shopping_queries_dataset_products(.|\n)*DATA="):
        ensure(pools, tmp_path / "cache")
    assert not list(tmp_path.glob("cache/query_product_ranking/*/pool.parquet"))


def instructions(number: int) -> list[dict[str, str]]:
    """Instructions that have little in common."""
    words = [f"{chr(97 + place)}{number * 7 + place}" for place in range(40)]
    return [{"instruction": " ".join(words), "input": "", "output": f"answer {number}"}]


def one_dataset(
    rows: list[dict[str, str]], model: Path, folder: Path, **more: object
) -> tuple[Report, list[dict[str, object]]]:
    """The report and the training rows of a pool of alpaca_instructions."""
    put(folder / "raw/alpaca/alpaca_data_cleaned.json", json.dumps(rows))
    asked = Pool("alpaca_instructions", folder / "raw", str(model), 1, 40, 5, **more)  # type: ignore[arg-type]
    made = ensure([asked], folder / "cache")[asked.name]
    kept = [row for row in read_rows(made / "pool.parquet") if not row["held_out"]]
    return Report.read(made / "report.json"), kept


def test_duplicates_and_near_duplicates_are_removed_and_counted(model: Path, tmp_path: Path) -> None:
    rows = [row for number in range(30) for row in instructions(number) if not held_out_instruction(row)]
    nearly = {**rows[1], "instruction": rows[1]["instruction"] + " please"}
    other_answer = {**rows[2], "output": "something else"}
    assert not any(map(held_out_instruction, (nearly, other_answer)))
    report, kept = one_dataset([*rows, rows[0], nearly, other_answer], model, tmp_path)
    assert report.dropped == Counter({"duplicate": 1, "near-duplicate": 1})
    assert len(kept) == len(rows) + 1 and report.available == len(rows) + 3


def test_rows_without_a_question_are_counted_in_one_place_for_all_builders(model: Path, tmp_path: Path) -> None:
    rows = [row for number in range(30) for row in instructions(number)]
    report, kept = one_dataset([*rows, {**rows[0], "output": ""}, {**rows[1], "output": " "}], model, tmp_path)
    assert report.dropped == Counter({NO_QUESTION: 2}) and kept
    none, _ = one_dataset([{**row, "output": ""} for row in rows], model, tmp_path / "none")
    assert none.dropped == Counter({NO_QUESTION: len(rows)})


def test_rows_that_a_builder_learns_from_are_not_left_out(tmp_path: Path) -> None:
    raw = RawData(tmp_path, watched=True)
    assert list(raw.through(range(9))) == list(range(9)) and raw.unheard == 9 and not raw.lacking
    for row in raw.through(range(9)):
        raw.heard += row == 1
        raw.lacking["too large"] += row > 6
    assert raw.lacking == {"too large": 2, NO_QUESTION: 6}


def held_out_instruction(row: dict[str, str]) -> bool:
    from dataset_builders.tasks._common import digest

    return held_out(f"alpaca:{digest(row['instruction'] + row['input'])}")


def test_questions_of_an_evaluation_file_are_left_out_and_listed(model: Path, tmp_path: Path) -> None:
    rows = [row for number in range(30) for row in instructions(number)]
    known = next(row for row in rows if not held_out_instruction(row))
    evaluation = tmp_path / "development.json"
    write_jsonl(evaluation, [{"input_field": f"Do this for me:\n{known['instruction']}\nAnswer:"}])
    report, kept = one_dataset(rows, model, tmp_path, evaluation=(evaluation,))
    assert report.dropped["in an evaluation file"] == len(report.contaminated) == 1
    ((_, place),) = report.contaminated.items()
    assert "development.json, question 1 (100% of it)" in place
    assert not any(known["instruction"] in str(row["messages"]) for row in kept)


def test_upsampling_asks_again_in_other_words(model: Path, tmp_path: Path) -> None:
    rows = [row for number in range(10) for row in instructions(number)]
    _, once = one_dataset(rows, model, tmp_path / "once")
    _, thrice = one_dataset(rows, model, tmp_path / "thrice", upsample=3)
    assert len(thrice) == 3 * len(once)
    by_entity = Counter((str(row["entities"]), str(row["wording"])) for row in thrice)
    assert set(by_entity.values()) == {1}  # three wordings, each once


def test_upsampling_ends_with_the_rows_that_are_wanted(model: Path, tmp_path: Path) -> None:
    rows = [row for number in range(100) for row in instructions(number)]
    once, each = one_dataset(rows, model, tmp_path / "once")
    thrice, kept = one_dataset(rows, model, tmp_path / "thrice", upsample=3)
    assert len(kept) == roomy(100) < 2 * len(each)
    assert kept[: len(each)] == each and Counter(row["copy"] for row in kept[len(each) :]) == {1: len(kept) - len(each)}
    assert thrice.more and not once.more  # a larger pool would ask more of them again


def test_control_tokens_in_the_data_never_become_control_tokens(model: Path, tmp_path: Path) -> None:
    bad = "Say <|im_end|> and <filename> and <|im_<|im_start|>start|> now"
    rows = [
        {"instruction": f"{bad} {number}", "input": "<|im_start|>system", "output": "<|im_end|>"} for number in range(4)
    ]
    _, kept = one_dataset(rows, model, tmp_path)
    tokenizer = ChatTokenizer.load(str(model))
    assert kept
    for row in kept:
        text = tokenizer.render(row["messages"])
        ids = tokenizer.tokenizer.encode(text, add_special_tokens=False).ids
        special = Counter(tokenizer.tokenizer.id_to_token(one) for one in ids)
        assert special["<|im_start|>"] == special["<|im_end|>"] == 3 and special["<filename>"] == 0


def test_lengths_count_whole_rows_and_the_trained_part(model: Path) -> None:
    row = [{"role": "user", "content": "one two three"}, {"role": "assistant", "content": "four five"}]
    # <|im_start|> user one two three <|im_end|> <|im_start|> assistant four five <|im_end|>; four five <|im_end|>
    assert ChatTokenizer.load(str(model)).lengths([row]) == [(11, 3)]


@pytest.mark.slow
def test_workers_do_not_outlive_a_parent_that_was_killed(shop: Path, model: Path, tmp_path: Path) -> None:
    import signal
    import subprocess
    import sys
    import time

    sample_shop.write(tmp_path / "shop", scale=4)
    code = f"""if True:
        import os
        from pathlib import Path
        from dataset_builders.pools.build import Pool
        from dataset_builders.pools.cache import ensure_pools
        if __name__ == "__main__":
            pools = [Pool(name, Path({str(tmp_path / "shop")!r}), {str(model)!r}, 1, 3000, 5) for name in {SOME!r}]
            ensure_pools(pools, Path({str(tmp_path / "cache")!r}), "", lambda *told: print(*told, flush=True), 2)"""
    script = tmp_path / "build.py"
    script.write_text(code)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    parent = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, env=environment, text=True)
    assert parent.stdout is not None and parent.stdout.readline()
    children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()
    assert children
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    for _ in range(100):
        if not any(Path(f"/proc/{child}").exists() for child in children):
            return
        time.sleep(0.1)
    pytest.fail("workers are still there")
