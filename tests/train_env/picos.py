"""Pico models and adapters of the real libraries, and what PEFT itself makes of them; for the tests of merging."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from postprocess.merge.plan import MergeJob, Padding, partial
from postprocess.merge.step import checked_plan
from postprocess.merge.write import execute
from spine.checkpoint import open_checkpoint
from spine.manifest import file_digest

LLAMA = {
    "vocab_size": 96, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 64, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0,
}  # fmt: skip
GPT2 = {"vocab_size": 96, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64, "bos_token_id": 1,
        "eos_token_id": 2}  # fmt: skip
LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
_TOKENS = torch.arange(3 * 16).view(3, 16) * 7 % 90


def write_model(
    folder: Path, kind: str = "llama", dtype: torch.dtype = torch.float32, *, shard: str | None = None, seed: int = 0,
    **sizes: Any,
) -> Path:  # fmt: skip
    """A model as transformers saves it; ``shard``: the largest size of a shard, such as ``20KB``."""
    import transformers as hf

    shape: dict[str, Any] = {"llama": LLAMA, "qwen2": LLAMA, "gpt2": GPT2}[kind]
    of = {"llama": ("LlamaConfig", "LlamaForCausalLM"), "qwen2": ("Qwen2Config", "Qwen2ForCausalLM"),
          "gpt2": ("GPT2Config", "GPT2LMHeadModel")}[kind]  # fmt: skip
    torch.manual_seed(seed)
    model = getattr(hf, of[1])(getattr(hf, of[0])(**{**shape, **sizes}))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            # biases and norms too must differ from 0 and 1, or nothing would tell whether they are carried along
            parameter.add_(torch.randn_like(parameter) * (0.2 if parameter.ndim == 1 or "embed" in name else 0.1))
    model.to(dtype).save_pretrained(folder, **({"max_shard_size": shard} if shard else {}))
    return folder


def load(folder: Path, **options: Any) -> Any:
    """The model in fp32, in eval mode; missing or unexpected weights are a failure."""
    from transformers import AutoModelForCausalLM

    model, told = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, output_loading_info=True, **options)
    assert not told["missing_keys"] and not told["unexpected_keys"] and not told["mismatched_keys"], told
    return model.eval()


def logits(model: Any) -> Tensor:
    with torch.inference_mode():
        found: Tensor = model(_TOKENS.clamp(max=model.config.vocab_size - 1)).logits
    return found


def write_adapter(base: Path, folder: Path, *, seed: int = 1, tokens: int = 0, **settings: Any) -> Path:
    """A LoRA as PEFT saves it after training, with every trained value moved by chance; ``tokens``: added first."""
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(seed)
    model = load(base)
    if tokens:
        model.resize_token_embeddings(model.config.vocab_size + tokens)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PEFT warns of tied weights: that is what is tested
        # PEFT writes into the lists it is given
        config = {
            "r": 4,
            "lora_alpha": 8,
            "target_modules": LINEAR,
            "task_type": "CAUSAL_LM",
            **copy.deepcopy(settings),
        }
        trained = get_peft_model(model, LoraConfig(**config))
        with torch.no_grad():
            for parameter in {id(p): p for p in trained.parameters() if p.requires_grad}.values():
                parameter.add_(torch.randn_like(parameter) * 0.15)
        trained.save_pretrained(folder)
    return folder


def peft_model(base: Path, adapter: Path, *, tokens: int = 0) -> Any:
    """The adapter on its base, not merged, as PEFT loads it."""
    from peft import PeftModel

    model = load(base)
    if tokens:
        model.resize_token_embeddings(model.config.vocab_size + tokens)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return PeftModel.from_pretrained(model, str(adapter)).eval()


def peft_merged(base: Path, adapter: Path) -> dict[str, Tensor]:
    """The tensors after ``merge_and_unload``."""
    state = peft_model(base, adapter).merge_and_unload().state_dict()
    return {name: tensor.clone() for name, tensor in state.items()}


def tensors(folder: Path) -> dict[str, Tensor]:
    """All tensors of a checkpoint, by safetensors' own reader."""
    return {name: t for file in open_checkpoint(folder).files for name, t in load_file(folder / file).items()}


def merge(
    base: Path, sources: Sequence[Path], weights: Sequence[float], out: Path, *, padding: Padding | None = None,
    round_trip: bool = False,
) -> Path:  # fmt: skip
    """What ``recipe merge`` does in its child process, for one result, in this process."""
    write(MergeJob(str(base), [str(out)], list(map(str, sources)), [list(weights)], padding, round_trip, "cpu"))
    return out


def write(job: MergeJob) -> dict[str, Any]:
    """All results of a job but their manifests."""
    result = execute(checked_plan(job), lambda *told: None)
    for out in map(Path, job.outs):
        partial(out).rename(out)
    return result


def assert_close(ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor], relative: float = 1e-6) -> None:
    """Same names, and every value within ``relative`` of its tensor's largest."""
    assert ours.keys() == theirs.keys()
    for name, wanted in theirs.items():
        most = wanted.double().abs().max()
        assert ours[name].shape == wanted.shape, name
        assert (ours[name].double() - wanted.double()).abs().max() <= relative * most, name


def blended(base: Mapping[str, Tensor], full: Mapping[str, Tensor], weight: float) -> dict[str, Tensor]:
    """``W + a (W' - W)`` in float64, rounded to fp32: what a linear adapter is at weight a."""
    return {name: (base[name].double() + weight * (full[name].double() - base[name].double())).float() for name in base}


def digests(folder: Path) -> dict[str, str]:
    """Of every file but the manifest, which tells the time."""
    return {path.name: file_digest(path) for path in sorted(folder.iterdir()) if path.name != "manifest.json"}
