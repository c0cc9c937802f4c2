"""Mixing: deterministic, held out by entity, refusing what would be lost without a word."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit

from dataset_builders import blend, sample_shop
from dataset_builders.blend import Counts, Limits, mix, read_rows
from dataset_builders.chat import ChatTokenizer
from dataset_builders.stats import describe, summary
from dataset_builders.task import task_names
from inference.parsers import parse
from recipe.errors import RecipeError
from recipe.manifest import file_digest
from recipe.task_types import TaskType

CHATML = "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
ROOMY = Limits(sequence_len=4096, max_dropped=0.0)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> ChatTokenizer:
    """A real tokenizer that counts words, in a folder as models come in."""
    folder = tmp_path_factory.mktemp("model")
    words = Tokenizer(WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    words.pre_tokenizer = WhitespaceSplit()  # type: ignore[assignment]
    words.save(str(folder / "tokenizer.json"))
    config = {"chat_template": CHATML, "eos_token": {"content": "<|im_end|>"}}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return ChatTokenizer.load(str(folder))


def build(
    shop: Path, tokenizer: ChatTokenizer, out: Path, rows: int = 12, seed: int = 1, limits: Limits = ROOMY
) -> dict[str, Counts]:
    out.mkdir()
    return mix(dict.fromkeys(task_names(), rows), shop, out, tokenizer, seed=seed, val_rows=26, limits=limits)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_other_rows(
    shop: Path, tokenizer: ChatTokenizer, tmp_path: Path
) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        build(shop, tokenizer, tmp_path / name, seed=seed)
    for file in ("train.parquet", "val.parquet"):
        assert file_digest(tmp_path / "a" / file) == file_digest(tmp_path / "b" / file)
        assert file_digest(tmp_path / "a" / file) != file_digest(tmp_path / "c" / file)


def test_no_entity_is_on_both_sides_whatever_the_seed_or_the_size(
    shop: Path, tokenizer: ChatTokenizer, tmp_path: Path
) -> None:
    train, val = set(), set()
    for seed, rows in ((1, 12), (2, 30)):
        out = tmp_path / str(seed)
        build(shop, tokenizer, out, rows=rows, seed=seed)
        train |= {row["entity"] for row in read_rows(out / "train.parquet")}
        val |= {row["entity"] for row in read_rows(out / "val.parquet")}
    assert train and val and not train & val


def test_rows_have_three_turns_and_an_answer_the_parsers_read(
    shop: Path, tokenizer: ChatTokenizer, tmp_path: Path
) -> None:
    counts = build(shop, tokenizer, tmp_path / "data")
    rows = list(read_rows(tmp_path / "data" / "train.parquet"))
    assert len(rows) == sum(count.kept for count in counts.values()) == 12 * len(task_names())
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
            assert parsed == truth


def test_rows_are_mixed_not_stacked(shop: Path, tokenizer: ChatTokenizer, tmp_path: Path) -> None:
    build(shop, tokenizer, tmp_path / "data")
    tasks = [row["task"] for row in read_rows(tmp_path / "data" / "train.parquet")]
    assert sum(a != b for a, b in pairwise(tasks)) > len(tasks) / 2


def test_rows_that_are_too_long_are_refused_with_the_numbers(
    shop: Path, tokenizer: ChatTokenizer, tmp_path: Path
) -> None:
    with pytest.raises(RecipeError, match=r"\d+ of \d+ rows \(\d+\.\d%\) are longer than sequence_len 120"):
        build(shop, tokenizer, tmp_path / "data", limits=Limits(120, 0.05))
    longest = build(shop, tokenizer, tmp_path / "roomy")["review_helpfulness_ranking"].tokens
    limit = sorted(longest)[len(longest) // 2]
    counts = build(shop, tokenizer, tmp_path / "again", limits=Limits(limit, 0.9))
    assert counts["review_helpfulness_ranking"].dropped["too long"] > 0
    assert all(row["tokens"] <= limit for row in read_rows(tmp_path / "again" / "train.parquet"))


def test_a_dataset_without_rows_is_an_error(shop: Path, tokenizer: ChatTokenizer, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="no rows at all for alpaca_instructions"):
        build(shop, tokenizer, tmp_path / "data", limits=Limits(5, 1.0))


def test_a_builder_that_makes_an_unfit_question_is_named(
    shop: Path, tokenizer: ChatTokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blend, "problem", lambda kind, question: "two equal options")
    with pytest.raises(RecipeError, match=r"unfit question about .*: two equal options(.|\n)*dataset_builders/tasks/"):
        build(shop, tokenizer, tmp_path / "data")


def test_a_missing_or_corrupt_raw_file_is_named(shop: Path, tokenizer: ChatTokenizer, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    sample_shop.write(broken, scale=0.1, seed=5)
    products = broken / "esci" / "shopping_queries_dataset_products.parquet"
    products.write_bytes(products.read_bytes()[:500])
    with pytest.raises(RecipeError, match=r"shopping_queries_dataset_products.parquet"):
        build(broken, tokenizer, tmp_path / "one")
    products.unlink()
    with pytest.raises(RecipeError, match=r"shopping_queries_dataset_products(.|\n)*DATA="):
        build(broken, tokenizer, tmp_path / "two")
    assert not list(tmp_path.glob("*/train.parquet"))


def test_lengths_count_whole_rows_and_the_trained_part(tokenizer: ChatTokenizer) -> None:
    row = [{"role": "user", "content": "one two three"}, {"role": "assistant", "content": "four five"}]
    # words: <|im_start|>user one two three<|im_end|> <|im_start|>assistant four five<|im_end|>
    assert tokenizer.lengths([row]) == [(7, 2)]


def test_the_summary_adds_up(shop: Path, tokenizer: ChatTokenizer, tmp_path: Path) -> None:
    counts = build(shop, tokenizer, tmp_path / "data")
    total = 12 * len(task_names())
    assert f"{total} of {total} rows wanted, {sum(c.held_out for c in counts.values())} held out" in summary(counts)
    one = describe(next(iter(counts.values())))
    assert one["p50"] <= one["p95"] <= one["max"] and one["tokens"] > one["trained_tokens"] > 0
