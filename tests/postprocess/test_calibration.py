"""Which texts are calibrated on and which are measured with, how they are rendered, what is left out."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from postprocess.awq.calibration import HELD_OUT, PAIRS, choose
from spine.chat import ChatTokenizer
from spine.errors import RecipeError


@pytest.fixture
def tokenizer(model: Path) -> ChatTokenizer:
    return ChatTokenizer.load(str(model))


def rows(path: Path, name: str, number: int, words: int = 5) -> Path:
    """A Parquet file of conversations: "NAME 0 w w w w w" and so on."""
    made = [
        [{"role": "user", "content": f"{name} {at} " + "w " * words}, {"role": "assistant", "content": str(at)}]
        for at in range(number)
    ]
    kind = pa.list_(pa.struct({"role": pa.string(), "content": pa.string()}))
    pq.write_table(pa.table({"messages": pa.array(made, kind)}), path)
    return path


def pairs(path: Path, number: int, **changed: object) -> Path:
    """A file in ShopBench's form (invented questions)."""
    row = {"input_field": "Which is a fruit? \n0. fig\n1. fork", "output_field": 0, "task_type": "multiple-choice"}
    lines = [{**row, "input_field": f"{at}: {row['input_field']}", **changed} for at in range(number)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_pairs_are_rendered_with_the_projects_system_prompt(tmp_path: Path, tokenizer: ChatTokenizer) -> None:
    texts = choose(
        tokenizer, 512, pairs=pairs(tmp_path / "dev.json", 3), validation=rows(tmp_path / "v.parquet", "v", 3)
    )
    assert texts.calibration[0] == (
        "<|im_start|>system\nYou are a helpful online shopping assistant. Your task is multiple-choice question "
        "answering.<|im_end|>\n<|im_start|>user\n0: Which is a fruit?\n0. fig\n1. fork<|im_end|>\n"
        "<|im_start|>assistant\n0<|im_end|>\n"
    )
    assert len(texts.calibration) == 3 == len(texts.held_out)
    assert texts.used.startswith("3 of 3 used (") and "measured on 3 others" in texts.used


def test_all_pairs_calibrate_and_held_out_rows_measure(tmp_path: Path, tokenizer: ChatTokenizer) -> None:
    texts = choose(
        tokenizer, 512, pairs=pairs(tmp_path / "dev.json", 96), validation=rows(tmp_path / "v.parquet", "v", 65)
    )
    assert len(texts.calibration) == 96 and len(texts.held_out) == HELD_OUT
    assert all(" v " in f" {text.split(chr(10))[1]} " for text in texts.held_out)


def test_validation_rows_are_shared_out_and_training_rows_fill_up(tmp_path: Path, tokenizer: ChatTokenizer) -> None:
    validation, training = rows(tmp_path / "v.parquet", "v", 65), rows(tmp_path / "t.parquet", "t", 300)
    texts = choose(tokenizer, 512, validation=validation, training=training)
    assert len(texts.held_out) == HELD_OUT and len(texts.calibration) == PAIRS
    assert not set(texts.held_out) & set(texts.calibration)
    assert not any("\nt " in text for text in texts.held_out)
    assert "96 of 96 used (25 validation rows and 71 training rows)" in texts.used
    assert choose(tokenizer, 512, validation=validation, training=training) == texts


def test_enough_validation_rows_need_no_training_rows(tmp_path: Path, tokenizer: ChatTokenizer) -> None:
    texts = choose(
        tokenizer, 512, validation=rows(tmp_path / "v.parquet", "v", 500), training=rows(tmp_path / "t.parquet", "t", 9)
    )
    assert len(texts.calibration) == PAIRS and "96 of 96 used (96 validation rows)" in texts.used


def test_without_validation_rows_a_third_of_the_pairs_is_kept(tmp_path: Path, tokenizer: ChatTokenizer) -> None:
    texts = choose(tokenizer, 512, pairs=pairs(tmp_path / "dev.json", 96))
    assert len(texts.held_out) == 32 and len(texts.calibration) == 64
    assert not set(texts.held_out) & set(texts.calibration)


def test_a_row_that_is_calibrated_on_is_not_measured_with(tmp_path: Path, tokenizer: ChatTokenizer) -> None:
    validation = rows(tmp_path / "v.parquet", "v", 50)
    texts = choose(tokenizer, 512, pairs=rows(tmp_path / "p.parquet", "v", 20), validation=validation)
    assert len(texts.calibration) == 20 and len(texts.held_out) == 30
    assert not set(texts.held_out) & set(texts.calibration)


def test_long_texts_are_left_out_and_counted(tmp_path: Path, tokenizer: ChatTokenizer) -> None:
    path = pairs(tmp_path / "dev.jsonl", 94)
    long = {"input_field": "word " * 600, "output_field": "fig", "task_type": "generation"}
    path.write_text(
        path.read_text() + "".join(json.dumps({**long, "output_field": f"fig {at}"}) + "\n" for at in (1, 2))
    )
    texts = choose(tokenizer, 512, pairs=path, validation=rows(tmp_path / "v.parquet", "v", 5))
    assert len(texts.calibration) == 94
    assert "94 of 96 used" in texts.used and "2 longer than 512 tokens" in texts.used
    with pytest.raises(RecipeError, match="0 texts to calibrate on"):
        choose(tokenizer, 20, pairs=path, validation=rows(tmp_path / "v.parquet", "v", 5))


def test_a_json_array_is_read_too_and_control_tokens_are_made_harmless(
    tmp_path: Path, tokenizer: ChatTokenizer
) -> None:
    path = tmp_path / "dev.json"
    row = {
        "input_field": "a\u2028b <|im_end|> <filename>",
        "output_field": ["x", "y"],
        "task_type": "named_entity_recognition",
    }
    path.write_text(json.dumps([row, row], ensure_ascii=False))
    texts = choose(tokenizer, 512, pairs=path, validation=rows(tmp_path / "v.parquet", "v", 2))
    assert len(texts.calibration) == 1 and "x, y<|im_end|>" in texts.calibration[0]
    assert "a\u2028b < |im_end|> < filename>" in texts.calibration[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{'a': 1}", ":1: not JSON"),
        ('{"input_field": "a", "task_type": "generation"}', ":1: there is no answer"),
        (
            '\n{"input_field": "a", "output_field": "b", "task_type": "rankin"}',
            ":2: task_type 'rankin' is none of multiple-choice, .*ranking",
        ),
        (
            '{"input_field": "a", "output_field": 3.5, "task_type": "retrieval"}',
            ":1: a list of numbers was expected",
        ),
        ("[1]", ", row 1: an object was expected, not int"),
        ("[]", "0 texts to calibrate on"),
    ],
)
def test_bad_files_are_refused_with_the_line(tmp_path: Path, tokenizer: ChatTokenizer, text: str, message: str) -> None:
    path = tmp_path / "dev.json"
    path.write_text(text)
    with pytest.raises(RecipeError, match=f"(?s){message}"):
        choose(tokenizer, 512, pairs=path, validation=rows(tmp_path / "v.parquet", "v", 2))


def test_parquet_without_messages_is_refused(tmp_path: Path, tokenizer: ChatTokenizer) -> None:
    pq.write_table(pa.table({"text": ["a"]}), tmp_path / "p.parquet")
    with pytest.raises(RecipeError, match="no column messages"):
        choose(tokenizer, 512, pairs=tmp_path / "p.parquet")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(RecipeError, match=r"broken\.parquet"):
        choose(tokenizer, 512, pairs=tmp_path / "broken.parquet")
