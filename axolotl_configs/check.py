"""Checks axolotl's keys where its own schema is silent: unknown keys, wrong types, combinations that fail late.

The known keys and types are in ``axolotl_schema.json``, written by ``axolotl_configs.axolotl_schema`` from the
pinned axolotl. Nothing here imports axolotl or torch.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from spine.errors import RecipeError, did_you_mean

SCHEMA_FILE = Path(__file__).parent / "axolotl_schema.json"
Where = Callable[[str], str]

# axolotl takes any string here and fails, or trains on something else, when the run starts.
_NUMBERS = {"learning_rate"}
_OPTIMIZERS_8BIT = ("8bit", "paged")
_CUDA_KERNELS = ("lora_qkv_kernel", "lora_o_kernel", "lora_mlp_kernel", "lora_embedding_kernel")


@cache
def axolotl_schema() -> dict[str, Any]:
    """The strict JSON schema of axolotl's YAML."""
    found: dict[str, Any] = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))
    return found


def known_keys() -> set[str]:
    """Every key axolotl's YAML may have at its top level."""
    return set(axolotl_schema()["properties"])


def check_keys(settings: Mapping[str, Any], where: Where, also_known: set[str] | None = None) -> None:
    """Names and types of ``settings``; ``where(key)`` says which line gave a key its value.

    Args:
        also_known: names of ours that may stand beside axolotl's, for the suggestions.

    Raises:
        RecipeError: all unknown keys and wrong types at once.
    """
    from jsonschema import Draft202012Validator

    known = known_keys()
    faults = [
        RecipeError(
            f"unknown key '{key}': axolotl would drop it without a word",
            where=where(key),
            way_out=did_you_mean(key, known | (also_known or set())),
        )
        for key in settings
        if key not in known
    ]
    for key, value in settings.items():
        if key not in known:
            continue
        validator = Draft202012Validator({**axolotl_schema()["properties"][key], "$defs": axolotl_schema()["$defs"]})
        if not validator.is_valid(value) or (key in _NUMBERS and isinstance(value, str)):
            faults.append(_wrong_type(key, value, validator, where(key)))
    if faults:
        raise RecipeError.all_of(faults)


def _wrong_type(key: str, value: Any, validator: Any, where: str) -> RecipeError:
    """Goes down to an unknown nested key if that is the mistake; else says what the value may be."""
    for leaf in _leaves(validator.iter_errors(value)):
        if leaf.validator == "additionalProperties":
            known = leaf.schema.get("properties", {})
            for name in leaf.instance:
                if name not in known and (way_out := did_you_mean(name, known)):
                    path = ".".join(str(part) for part in [key, *leaf.absolute_path])
                    return RecipeError(f"unknown key '{name}' in '{path}'", where=where, way_out=way_out)
    wanted = "a number" if key in _NUMBERS else _expected(axolotl_schema()["properties"][key])
    return RecipeError(f"'{key}' must be {wanted}, not {value!r}", where=where)


def _leaves(errors: Iterable[Any]) -> Iterator[Any]:
    """jsonschema's errors, down through the alternatives of every anyOf."""
    for error in errors:
        yield error
        yield from _leaves(error.context or [])


def _expected(schema: Mapping[str, Any]) -> str:
    """A schema in words: 'integer or null', "one of 'auto', true, false"."""
    if "anyOf" in schema:
        parts = [_expected(option) for option in schema["anyOf"]]
        return " or ".join(dict.fromkeys(part for part in parts if part != "null"))
    if "$ref" in schema:
        return _expected(axolotl_schema()["$defs"][schema["$ref"].rpartition("/")[2]])
    if "enum" in schema:
        return "one of " + ", ".join(repr(option) for option in schema["enum"])
    if "const" in schema:
        return repr(schema["const"])
    return str(schema.get("type", "another value"))


Conflict = tuple[str, str, str]  # the key to look at, what is wrong, the way out


def check_combinations(settings: Mapping[str, Any], gpus: int, where: Where) -> None:
    """What passes axolotl's validation and fails, or does something else, hours later.

    Raises:
        RecipeError: all conflicts at once.
    """
    found = [*_adapter_conflicts(settings), *_numeric_conflicts(settings)]
    if gpus == 0:
        found += _cpu_conflicts(settings)
    faults = [RecipeError(what, where=where(key), way_out=way_out) for key, what, way_out in found]
    if faults:
        raise RecipeError.all_of(faults)


def _adapter_conflicts(s: Mapping[str, Any]) -> Iterator[Conflict]:
    if s.get("adapter") == "qlora" and not s.get("load_in_4bit"):
        yield (
            "load_in_4bit",
            "adapter: qlora needs load_in_4bit: true",
            "set load_in_4bit=true, or adapter=lora",
        )
    if s.get("adapter") == "qlora" and s.get("load_in_8bit"):
        yield "load_in_8bit", "adapter: qlora is 4 bit, load_in_8bit is 8", "remove load_in_8bit"
    if s.get("adapter") == "lora" and s.get("load_in_4bit"):
        yield "adapter", "adapter: lora on a 4-bit base is QLoRA", "set adapter=qlora, or load_in_4bit=false"
    if s.get("adapter") is None:
        yield (
            "adapter",
            "without an adapter there is nothing to merge by weight",
            "set adapter=qlora or adapter=lora",
        )
    if s.get("bf16") is True and s.get("fp16"):
        yield "fp16", "bf16 and fp16 are both on", "keep one (a T4 has no bf16)"
    if s.get("optimizer") == "adamw":
        yield "optimizer", "transformers no longer knows the optimizer 'adamw'", "set optimizer=adamw_torch"


def _numeric_conflicts(s: Mapping[str, Any]) -> Iterator[Conflict]:
    for key in ("lora_r", "lora_alpha", "micro_batch_size", "gradient_accumulation_steps", "sequence_len"):
        if not s.get(key, 1) or s[key] < 1:
            yield key, f"{key} must be 1 or more, not {s[key]}", "see axolotl_configs/recipe.yaml.j2"
    if not 0 <= (s.get("lora_dropout") or 0) < 1:
        yield (
            "lora_dropout",
            f"lora_dropout must be in [0, 1), not {s['lora_dropout']}",
            "the recipe's is 0.05",
        )
    if not 0 < float(s.get("learning_rate") or 0) < 1:
        yield (
            "learning_rate",
            f"learning_rate must be in (0, 1), not {s.get('learning_rate')}",
            "the recipe's is 2e-4",
        )
    if s.get("warmup_steps") and s.get("warmup_ratio"):
        yield "warmup_ratio", "warmup_steps and warmup_ratio are both set", "set one of them to null"
    if s.get("max_steps") and s.get("warmup_steps") and s["max_steps"] <= s["warmup_steps"]:
        yield (
            "max_steps",
            f"max_steps={s['max_steps']} ends within the {s['warmup_steps']} warm-up steps",
            "raise it",
        )


def _cpu_conflicts(s: Mapping[str, Any]) -> Iterator[Conflict]:
    cpu = "this profile has no GPU"
    if s.get("deepspeed"):
        yield "deepspeed", f"DeepSpeed needs GPUs, and {cpu}", "remove deepspeed, or choose another PROFILE"
    if s.get("fp16"):
        yield "fp16", f"fp16 training needs a GPU, and {cpu}", "use bf16, or neither"
    if "flash" in str(s.get("attn_implementation")) or s.get("flash_attention"):
        yield "attn_implementation", f"flash attention needs a GPU, and {cpu}", "set attn_implementation=sdpa"
    optimizer = str(s.get("optimizer"))
    if "fused" in optimizer or any(mark in optimizer for mark in _OPTIMIZERS_8BIT):
        yield "optimizer", f"{optimizer} is a CUDA kernel, and {cpu}", "set optimizer=adamw_torch"
    if s.get("bf16") == "auto":
        yield "bf16", "bf16: auto turns into fp16 on a CPU", "set bf16=true or bf16=false"
    for key in _CUDA_KERNELS:
        if s.get(key) is not False:
            yield key, f"{key} is a CUDA kernel, and {cpu}", f"set {key}=false"
