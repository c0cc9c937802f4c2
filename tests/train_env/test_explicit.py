"""What axolotl chooses by itself stands in the YAML.

It is given a rendered one as on a GPU machine, and what it has added or changed afterwards is compared with the lists
here. A key that fails belongs into ``recipe.yaml.j2``, with why.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import yaml

from axolotl_configs.render import parse_set, resolve
from dataset_builders.task import task_names
from recipe.smoke import pico
from spine.paths import ROOT

torch = pytest.importorskip("torch")

MODEL = ROOT / "models" / "SmolLM2-135M-Instruct"
PROFILES = ["8xa100", "8xa100-rows", "1xa100", "1x24gb", "4xt4", "cpu"]

# What axolotl may fill in: settings of something that is off, and the key that would turn it on.
OFF = {
    "trl.*": "rl", "vllm.*": "rl",
    "generation_*": "generate_samples", "num_generation_samples": "generate_samples",
    "eval_max_new_tokens": "do_causal_lm_eval", "eval_causal_lm_metrics": "do_causal_lm_eval",
    "pretrain_multipack_attn": "pretraining_dataset", "streaming_multipack_buffer_size": "streaming",
    "relora_*": "relora", "lisa_*": "lisa_step_interval", "eaft_*": "use_eaft", "tiled_mlp_*": "tiled_mlp",
    "loraplus_lr_embedding": "loraplus_lr_ratio", "otel_metrics_*": "use_otel_metrics",
    "ray_num_workers": "use_ray", "resources_per_worker.*": "use_ray",
}  # fmt: skip
# The same for optimizers: a part of the name of the one that reads them.
OPTIMIZER = {"dion_*": "dion", "qgalore_*": "galore"}
# And what follows from the YAML, or from the machine and changes no result.
FOLLOWS = {
    "base_model_config": "the base model", "tokenizer_config": "the base model", "model_config_type": "the base model",
    "torch_dtype": "bf16 or fp16",
    "batch_size": "micro_batch_size x gradient_accumulation_steps x processes",
    "eval_batch_size": "micro_batch_size: what fits in training fits without gradients",
    "deepspeed": "the file's path ...", "deepspeed.*": "... becomes its content",
    "*datasets.*.message_property_mappings.*": "role and content, as our rows and every chat template call them",
    "attn_decontaminates_packing": "attn_implementation",
    "world_size": "the launcher", "device": "the machine", "device_map": "the machine", "capabilities.*": "the machine",
    "env_capabilities.*": "the machine", "tensor_parallel_size": "1: none", "context_parallel_size": "1: none",
    "dataset_num_proc": "the machine's cores; tokenised rows are the same on any number",
    "experimental_skip_move_to_device": "the loader has put a quantised model where it belongs",
    "merge_method": "axolotl's own merge, which postprocess/ stands in for",
    "save_safetensors": "transformers 5 writes nothing else",
    "tokenizer_save_jinja_files": "in which file the template is kept",
}  # fmt: skip


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pico Qwen2: axolotl looks at its config."""
    if not MODEL.is_dir():
        pytest.fail("the embedded model is missing: make model")
    folder = tmp_path_factory.mktemp("explicit") / "base"
    pico.write(MODEL, folder, "qwen2")
    return folder


def given(profile: str, base: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The rendered settings, and what axolotl would find out about the profile's machine."""
    resolved = resolve("v8", profile, parse_set(f"base_model={base}"), task_names())
    hardware = resolved.profile.hardware
    major, minor = divmod(round(10 * hardware.capability), 10) if hardware.gpus else (0, 0)
    machine = {
        "bf16": major >= 8, "fp8": major >= 9, "tf32": major >= 8, "n_gpu": resolved.processes,
        "compute_capability": f"sm_{major}{minor}" if hardware.gpus else None,
    }  # fmt: skip
    return yaml.safe_load(resolved.yaml), machine


def configured(settings: Mapping[str, Any], machine: Mapping[str, Any]) -> Any:
    """axolotl's own config, as a training would go by it: ``load_cfg`` without what that logs and sends."""
    from axolotl.utils.config import normalize_cfg_datasets, normalize_config, prepare_plugins, validate_config
    from axolotl.utils.dict import DictDefault

    config = DictDefault(copy.deepcopy(dict(settings)))
    prepare_plugins(config)
    torch_version = torch.__version__.split("+")[0]
    config = validate_config(config, capabilities=dict(machine), env_capabilities={"torch_version": torch_version})
    normalize_config(config)
    normalize_cfg_datasets(config)
    return config


def flat(value: Any, name: str = "") -> dict[str, Any]:
    """Leaves by path: ``datasets.0.path``. A list of plain values is a leaf."""
    if isinstance(value, dict):
        items: list[tuple[Any, Any]] = list(value.items())
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        items = list(enumerate(value))
    else:
        return {name: value}
    return {path: leaf for key, item in items for path, leaf in flat(item, f"{name}.{key}".lstrip(".")).items()}


def implied(settings: Mapping[str, Any], machine: Mapping[str, Any]) -> dict[str, Any]:
    """What axolotl turned on, changed or dropped. What it adds as false, 0 or nothing is off unsaid, too."""
    seen = json.loads(json.dumps(configured(settings, machine).to_dict(), default=str))
    before, after = flat(dict(settings)), flat(seen)
    added = {path: value for path, value in after.items() if path not in before and value}
    changed = {path: after.get(path) for path, value in before.items() if after.get(path) != value}
    return added | changed


def why(path: str, settings: Mapping[str, Any]) -> str | None:
    """The pattern by which axolotl may add this, if any."""
    found = [name for name, key in OFF.items() if fnmatch(path, name) and not settings.get(key)]
    found += [name for name, part in OPTIMIZER.items() if fnmatch(path, name) and part not in settings["optimizer"]]
    return next(iter([*found, *(name for name in FOLLOWS if fnmatch(path, name))]), None)


def unsaid(settings: Mapping[str, Any], machine: Mapping[str, Any]) -> dict[str, Any]:
    return {path: value for path, value in implied(settings, machine).items() if not why(path, settings)}


@pytest.mark.parametrize("profile", PROFILES)
def test_axolotl_adds_nothing_that_the_yaml_does_not_say(profile: str, base: Path) -> None:
    settings, machine = given(profile, base)
    assert unsaid(settings, machine) == {}


def test_no_exception_outlives_its_reason(base: Path) -> None:
    used = set()
    for profile in PROFILES:
        settings, machine = given(profile, base)
        used |= {why(path, settings) for path in implied(settings, machine)}
    assert used == OFF.keys() | OPTIMIZER.keys() | FOLLOWS.keys()


@pytest.mark.parametrize(
    ("left_out", "found"),
    [
        ({"gradient_checkpointing_kwargs"}, {"gradient_checkpointing_kwargs.use_reentrant": True}),
        (
            {"lora_qkv_kernel", "lora_o_kernel", "lora_mlp_kernel", "lora_embedding_kernel"},
            dict.fromkeys(("lora_qkv_kernel", "lora_o_kernel", "lora_mlp_kernel", "lora_embedding_kernel"), True),
        ),
        (
            {"dataloader_num_workers", "dataloader_pin_memory"},
            {"dataloader_num_workers": 8, "dataloader_pin_memory": True, "dataloader_prefetch_factor": 256},
        ),
        ({"shuffle_merged_datasets"}, {"shuffle_merged_datasets": True}),
        ({"include_tkps"}, {"include_tkps": True}),
    ],
)
def test_what_axolotl_implies_where_the_yaml_is_silent(left_out: set[str], found: dict[str, Any], base: Path) -> None:
    settings, machine = given("8xa100", base)
    assert unsaid({key: value for key, value in settings.items() if key not in left_out}, machine) == found


def test_the_chat_template_is_implied_where_a_dataset_is_silent(base: Path) -> None:
    settings, machine = given("8xa100", base)
    del settings["datasets"][0]["chat_template"]
    assert unsaid(settings, machine) == {"datasets.0.chat_template": "tokenizer_default"}


def test_settings_of_something_that_is_on_are_to_be_said(base: Path) -> None:
    settings, machine = given("8xa100", base)
    left_out = ("sample_packing_bin_size", "sample_packing_group_size", "eval_sample_packing")
    found = unsaid({key: value for key, value in settings.items() if key not in left_out}, machine)
    assert found == {"sample_packing_bin_size": 200, "sample_packing_group_size": 100_000, "eval_sample_packing": True}


def test_four_bits_are_those_that_the_loader_chooses(base: Path) -> None:
    """Out of the config's sight, where the model is loaded; the YAML says the same."""
    from axolotl.loaders import ModelLoader, load_tokenizer

    settings, machine = given("1xa100", base)
    kept = []
    for left_out in ("", "bnb_config_kwargs"):
        config = configured({key: value for key, value in settings.items() if key != left_out}, machine)
        loader = ModelLoader(config, load_tokenizer(config))
        loader._set_quantization_config()
        kept.append(loader.model_kwargs["quantization_config"].to_dict())
    assert kept[0] == kept[1] and kept[0]["bnb_4bit_quant_type"] == "nf4"


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_the_fused_kernels_drop_out_otherwise_than_peft(
    dropout: float, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Why they are off: before gate and up they draw one mask instead of two, before down none."""
    from axolotl.kernels import lora as kernels
    from peft import LoraConfig, get_peft_model
    from torch.nn.functional import silu
    from transformers import AutoModelForCausalLM

    # What Triton does in it, the activation, in torch
    monkeypatch.setattr(kernels, "swiglu_forward", lambda gate, up: silu(gate) * up)
    layers = ["gate_proj", "up_proj", "down_proj"]
    config = LoraConfig(r=4, lora_dropout=dropout, target_modules=layers, init_lora_weights=False)
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32), config).train()
    mlp = model.base_model.model.model.layers[0].mlp
    drawn: list[str] = []
    for name in layers:
        module = getattr(mlp, name).lora_dropout["default"]
        module.register_forward_hook(lambda *args, name=name: drawn.append(name))
    rows = torch.randn(1, 5, mlp.gate_proj.in_features)
    by_peft, peft_drew = mlp(rows), drawn.copy()
    drawn.clear()
    fused = kernels.apply_lora_mlp_swiglu(mlp, rows)
    assert peft_drew == layers and drawn == (["gate_proj"] if dropout else [])
    assert torch.allclose(fused, by_peft, rtol=1e-4, atol=1e-5) == (not dropout)
