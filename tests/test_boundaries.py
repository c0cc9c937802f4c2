"""What comes from outside - a setting, a file, a folder - is a value or a message, never a traceback."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from axolotl_configs.costs.estimate import rows_a_step, steps
from axolotl_configs.render import parse_set, resolve
from dataset_builders.task import task_names
from inference.answering.questions import read_questions
from recipe.steps.merge import parse_alpha, parse_checkpoints
from spine.adapter import CONFIG, open_adapter
from spine.checkpoint import read_header, read_json
from spine.errors import RecipeError
from spine.yamlfile import read_yaml
from tests.postprocess.checkpoints import adapter_shapes, write_adapter

V8 = resolve("v8", "cpu", {}, task_names())
LONG = "9" * 5_000  # more digits than Python reads
# YAML and JSON that say more than data: numbers that are none, tags, anchors, half a letter, an open quote, depths.
NASTY = [
    "'3", "null", "!!int x", LONG, "[" * 3_000, "[" * 3_000 + "]" * 3_000, "<<: *x", "{<<: *x}", "!!python/object:a.b",
    "!!omap", "!!omap 1", "&a [*a]", "*a", ".nan", "-.inf", "9e999", "2001-01-01", "0o17", "1_000", "~", "-1", "0", "",
    "\x00", "\ud800", "ﬀ", "true", "[]", "{}", "{a: {b: 1}}", "- 1", "%", "|", ">", "@", "`", "'", '"', "\t", "\\",
]  # fmt: skip
TEXT = st.sampled_from(NASTY) | st.text(max_size=20)
KEYS = st.sampled_from(
    ["lora_r", "lora_alpha", "rows", "learning_rate", "num_epochs", "max_steps", "save_steps", "eval_steps", "datasets",
     "sequence_len", "warmup_ratio", "micro_batch_size", "gradient_accumulation_steps", "seed", "start", "parent",
     "base_model", "deepspeed", "bf16", "sample_packing", "val_rows", "tracker", "lora_target_modules"]
)  # fmt: skip
NUMBER = st.integers(-3, 99) | st.floats() | st.sampled_from([10**400, True, -(2**63)])
ODD = st.recursive(
    st.none() | NUMBER | st.text(max_size=4) | st.sampled_from(["user", "generation", "1. a\n2. b", "ranking", "yes"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=8,
)
FIELDS = ["input_field", "output_field", "task_type", "task_name", "metric", "track", "is_multiple_choice", "messages",
          "conversations", "question", "choices", "answer", "instruction", "input", "output", "truth", "task",
          "subject"]  # fmt: skip
TURNS = st.lists(
    st.fixed_dictionaries({}, optional={"role": ODD, "content": ODD, "from": ODD, "value": ODD}), max_size=3
)
ROW = st.dictionaries(st.sampled_from(FIELDS), ODD, max_size=6) | st.builds(
    lambda turns, more: {"messages": turns, **more},
    TURNS,
    st.dictionaries(st.sampled_from(FIELDS[-4:]), ODD, max_size=3),
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("from outside")


def told(do: Callable[[], object]) -> bool:
    """Whether it was refused, with a message that a screen can show."""
    try:
        do()
    except RecipeError as error:
        assert 0 < len(str(error)) < 30_000
        return True
    return False


@settings(max_examples=25)  # each reads all configs
@given(KEYS, TEXT)
@example("num_epochs", ".inf")
@example("lora_r", "null")
@example("lora_r", "'3")
def test_a_setting(key: str, value: str) -> None:
    def settle() -> None:
        resolved = resolve("v8", "cpu", parse_set(f"{key}={value}"), task_names())
        rows_a_step(resolved.axolotl, resolved.processes)
        steps(resolved.axolotl, resolved.processes, 1_000)

    told(settle)


@given(TEXT)
@example("0\x1f")  # a blank for `strip`, none for `int`
def test_a_weight_and_a_checkpoint(text: str) -> None:
    told(lambda: parse_alpha(text, "here", beyond_one=True))
    told(lambda: parse_checkpoints(text, V8))


@given(TEXT, TEXT)
def test_a_file_of_settings(place: Path, key: str, value: str) -> None:
    path = place / "own.yaml"
    path.write_bytes(f"{key}: {value}\n".encode(errors="surrogatepass"))
    told(lambda: read_yaml(path))


@given(st.lists(ROW | ODD, min_size=1, max_size=3), st.sampled_from(["jsonl", "json", "jsonl.gz"]))
@example([{"messages": [{"role": "assistant", "content": "a"}]}], "jsonl")
@example([{"input_field": "a?", "task_name": [1]}], "jsonl")
def test_a_file_of_questions(place: Path, rows: list[Any], ending: str) -> None:
    path = place / f"own.{ending}"
    path.write_text("\n".join(map(json.dumps, rows)) if ending != "json" else json.dumps(rows))
    told(lambda: read_questions(path))


@given(st.binary(max_size=60) | TEXT.map(lambda text: text.encode(errors="surrogatepass")),
       st.sampled_from(["jsonl", "json", "csv", "csv.gz", "parquet", "json.gz"]))  # fmt: skip
@example(b"[" * 100_000, "json")
@example(b'{"input_field": "a?", "output_field": ' + LONG.encode() + b"}", "jsonl")
@example(b'[{"input_field": "a?", "output_field": ' + LONG.encode() + b"}]", "json")
def test_a_file_of_anything(place: Path, content: bytes, ending: str) -> None:
    path = place / f"any.{ending}"
    path.write_bytes(content)
    told(lambda: read_questions(path))
    told(lambda: read_json(path))
    told(lambda: read_yaml(path))
    path.write_bytes(struct.pack("<Q", len(content)) + content)
    told(lambda: read_header(path))


@given(st.dictionaries(
    st.sampled_from(["r", "lora_alpha", "rank_pattern", "alpha_pattern", "use_rslora", "peft_type", "init_lora_weights",
                     "fan_in_fan_out", "layer_replication", "target_modules"]),
    ODD | st.dictionaries(st.sampled_from(["q_proj", ".*", "(a+)+$", "(", "x{99999}"]), ODD, max_size=2), max_size=3,
))  # fmt: skip
@example({"rank_pattern": 5})
@example({"lora_alpha": None})
@example({"lora_alpha": float("nan")})
def test_an_adapters_config(place: Path, changed: dict[str, Any]) -> None:
    folder = place / "adapter"
    if not folder.exists():
        write_adapter(folder, adapter_shapes(4), r=4, lora_alpha=8)
    config = {"peft_type": "LORA", "r": 4, "lora_alpha": 8, **changed}
    (folder / CONFIG).write_text(json.dumps(config))
    told(lambda: open_adapter(folder))


def test_a_folder_where_a_file_should_be(tmp_path: Path) -> None:
    for read in (read_header, read_json, read_yaml):
        with pytest.raises(RecipeError, match="cannot be read: Is a directory"):
            read(tmp_path)  # type: ignore[operator]
