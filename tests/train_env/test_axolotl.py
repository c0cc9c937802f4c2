"""What only axolotl itself can tell: whether it takes our YAMLs, and on which tokens it trains."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from axolotl_configs.check import SCHEMA_FILE
from axolotl_configs.render import parse_set, resolve
from axolotl_configs.schema import names
from dataset_builders import sample_shop
from dataset_builders.blend.choose import Limits, choose
from dataset_builders.blend.mix import mix
from dataset_builders.pools.build import Pool
from dataset_builders.pools.cache import ensure_pools
from dataset_builders.pools.rows import read_rows
from dataset_builders.task import task_names
from spine.paths import ROOT
from spine.task_types import TaskType, answer_text

MODEL = ROOT / "models" / "SmolLM2-135M-Instruct"


def test_the_known_keys_are_those_of_the_installed_axolotl() -> None:
    from axolotl_configs.axolotl_schema import schema

    assert json.loads(SCHEMA_FILE.read_text()) == json.loads(json.dumps(schema())), "make axolotl-schema"


@pytest.mark.parametrize("profile", names("profiles"))
@pytest.mark.parametrize("blend", names("blends"))
def test_axolotl_accepts_every_blend_on_every_profile(blend: str, profile: str) -> None:
    from axolotl_configs.validate import refusals

    resolved = resolve(blend, profile, {}, task_names())
    assert refusals(resolved.axolotl, resolved.processes) == ""


def test_axolotls_own_refusals_are_passed_on() -> None:
    from axolotl_configs.validate import refusals

    resolved = resolve("v8", "1x24gb", parse_set("load_in_8bit=true adapter=lora load_in_4bit=false"), task_names())
    assert "bit" in refusals({**resolved.axolotl, "load_in_4bit": True, "adapter": "qlora"})


@pytest.mark.parametrize("stage", [2, 3])
def test_deepspeed_gets_what_the_yaml_says(stage: int) -> None:
    from axolotl_configs.validate import fill_in_deepspeed

    resolved = resolve("v8", "8xa100", parse_set(f"deepspeed=axolotl_configs/deepspeed/zero{stage}.json"), task_names())
    found = fill_in_deepspeed(resolved.axolotl, resolved.processes)
    assert (found.zero_config.stage, found.gradient_clipping, found.grad_accum_dtype) == (stage, 1.0, "fp32")
    assert found.bfloat16_config.enabled and not found.float16_config.enabled
    assert (found.train_micro_batch_size_per_gpu, found.gradient_accumulation_steps) == (1, 4)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"zero_optimization": {"allgather_bucket_size": "auto"}}, "allgather_bucket_size` not found in kwargs"),
        ({"zero_optimization": {"stage": 7}}, "Input should be 0, 1, 2"),
        ({"zero_optimization": {"reduce_buckt_size": 1}}, "Extra inputs are not permitted"),
        ({"train_batch_size": 64}, "train_batch_size=64 vs hf train_batch_size (calculated)=32"),
        ({"gradient_clippin": 1.0}, "did you mean 'gradient_clipping'"),
        ({"fp16": {"enabled": True}}, "fp16.enabled=True vs hf"),
    ],
)
def test_what_deepspeed_would_refuse_once_the_model_is_loaded(change: dict[str, Any], said: str) -> None:
    from axolotl_configs.validate import refusals

    resolved = resolve("v8", "8xa100", {}, task_names())
    deepspeed = json.loads((ROOT / resolved.axolotl["deepspeed"]).read_text())
    for key, value in change.items():
        deepspeed[key] = {**deepspeed.get(key, {}), **value} if isinstance(value, dict) else value
    assert said in refusals({**resolved.axolotl, "deepspeed": deepspeed}, resolved.processes)
    assert "zero9" in refusals({**resolved.axolotl, "deepspeed": "axolotl_configs/deepspeed/zero9.json"}, 8)


def test_deepspeed_is_imported_on_a_gpu_image_without_nvcc(tmp_path: Path) -> None:
    """accelerate imports it wherever it is installed; before 0.19 it asked for CUDA_HOME there."""
    script = "import torch.utils.cpp_extension as found; found.CUDA_HOME = None; import deepspeed; print('imported')"
    hidden = {"PATH": "/usr/bin:/bin", "DS_ACCELERATOR": "cuda", "HOME": str(tmp_path)}
    environment = {key: value for key, value in os.environ.items() if not key.startswith("CUDA_")}
    done = subprocess.run(
        [sys.executable, "-c", script], env={**environment, **hidden}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0 and "imported" in done.stdout, done.stderr


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not MODEL.is_dir():
        pytest.fail("the embedded model is missing: make model")
    folder = tmp_path_factory.mktemp("data")
    sample_shop.write(folder / "shop", scale=0.3)
    pools = [Pool(name, folder / "shop", str(MODEL), 1, 4, 1) for name in task_names()]
    folders = ensure_pools(pools, folder / "cache", "", lambda *told: None, workers=1)
    limits = Limits(2048, 0.0)
    mix(folders, choose(folders, dict.fromkeys(folders, (4, 1)), limits), folder, seed=1, limits=limits)
    return folder


def test_loss_falls_on_exactly_the_answer_and_the_end_token(data: Path) -> None:
    """Tokenised by axolotl with the settings of the rendered YAML; every row of every task type."""
    from axolotl.common.datasets import load_datasets
    from axolotl.loaders import load_tokenizer
    from axolotl.utils.config import normalize_config, prepare_plugins, validate_config
    from axolotl.utils.dict import DictDefault

    settings = dict(resolve("v8", "cpu", {}, task_names()).axolotl)
    settings |= {"base_model": str(MODEL), "sequence_len": 2048, "dataset_prepared_path": str(data / "prepared")}
    settings["datasets"] = [{**settings["datasets"][0], "path": str(data / "train.parquet")}]
    settings["test_datasets"] = [{**settings["test_datasets"][0], "path": str(data / "val.parquet")}]
    config = DictDefault(settings)
    prepare_plugins(config)
    config = validate_config(config)
    normalize_config(config)
    tokenizer = load_tokenizer(config)
    rows = list(read_rows(data / "train.parquet"))
    answers = {
        tokenizer.apply_chat_template(row["messages"], tokenize=False): answer_text(
            TaskType(row["task_type"]), json.loads(row["truth"])
        )
        for row in rows
    }
    lengths = {row["messages"][1]["content"]: (row["tokens"], row["trained_tokens"]) for row in rows}
    tokenised = load_datasets(cfg=config).train_dataset
    assert len(tokenised) == len(rows) and {row["task_type"] for row in rows} == set(TaskType)
    for item in tokenised:
        text = tokenizer.decode(item["input_ids"])
        trained = [token for token in item["labels"] if token != -100]
        assert tokenizer.decode(trained) == answers[text] + "<|im_end|>"
        question = text.split("<|im_start|>user\n")[1].split("<|im_end|>")[0]
        assert (len(item["input_ids"]), len(trained)) == lengths[question]  # what the data step counted
