"""Merged models against what PEFT, transformers and bitsandbytes compute, and what no merge may do silently."""

from __future__ import annotations

import json
import shutil
import warnings
from functools import cache
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("peft")

from safetensors.torch import load_file, save_file  # noqa: E402

from postprocess.merge.plan import MergeJob  # noqa: E402
from spine.checkpoint import INDEX, SINGLE, open_checkpoint, read_json  # noqa: E402
from spine.errors import RecipeError  # noqa: E402
from tests.train_env import picos  # noqa: E402
from tests.train_env.picos import (  # noqa: E402
    assert_close,
    blended,
    load,
    logits,
    merge,
    peft_merged,
    peft_model,
    tensors,
    write_adapter,
    write_model,
)

CONV1D = ["c_attn", "c_proj", "c_fc"]
# What adapters hold in the wild: kind of base, LoraConfig's settings.
LINEAR_CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "standard": ("llama", {}),
    "all linear, one rank": ("qwen2", {"target_modules": "all-linear", "r": 1, "lora_alpha": 3}),
    "rslora": ("llama", {"use_rslora": True}),
    "patterns": (
        "llama",
        {
            "rank_pattern": {"q_proj": 2, "layers.1.mlp.up_proj": 6, r"model\.layers\.0\.self_attn\.o_proj": 3},
            "alpha_pattern": {"q_proj": 32, "1.mlp.down_proj": 1, "mlp": 5},
        },
    ),
    "patterns of rslora": ("llama", {"use_rslora": True, "rank_pattern": {"k_proj": 9}, "alpha_pattern": {"v": 7}}),
    "regular expression": ("llama", {"target_modules": r".*layers\.1\..*(q|down)_proj"}),
    "embedding": ("llama", {"target_modules": ["q_proj", "embed_tokens"]}),
    "embedding, rslora": ("llama", {"target_modules": ["embed_tokens"], "use_rslora": True}),
    "head": ("llama", {"target_modules": ["q_proj", "lm_head"]}),
    "head in full": ("llama", {"modules_to_save": ["lm_head"]}),
    "embedding in full": ("llama", {"modules_to_save": ["embed_tokens"]}),
    "both in full": ("qwen2", {"modules_to_save": ["embed_tokens", "lm_head"]}),
    "a norm in full": ("llama", {"modules_to_save": ["norm"]}),
    "LoRA's bias": ("qwen2", {"target_modules": ["q_proj", "v_proj"], "lora_bias": True}),
    "all biases": ("qwen2", {"bias": "all"}),
    "biases of LoRA's layers": ("qwen2", {"bias": "lora_only"}),
    "fan in, fan out": ("gpt2", {"target_modules": CONV1D, "fan_in_fan_out": True}),
    "fan in, fan out, not said": ("gpt2", {"target_modules": CONV1D}),
    "fan in, fan out, with a head": ("gpt2", {"target_modules": [*CONV1D, "lm_head"]}),
    "square fan in, fan out, with a head": ("gpt2", {"target_modules": ["attn.c_proj", "lm_head"]}),
    "fan in, fan out, all biases": ("gpt2", {"target_modules": CONV1D, "bias": "all", "lora_bias": True}),
    "embedding of positions": ("gpt2", {"target_modules": ["wpe", "c_fc"]}),
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("picos")


@pytest.fixture(scope="module")
def bases(place: Path) -> Any:
    """Bases by kind, untied unless asked for, each made once."""

    @cache
    def of(kind: str, tied: bool = False, dtype: str = "float32") -> Path:
        return write_model(place / f"{kind}-{tied}-{dtype}", kind, getattr(torch, dtype), tie_word_embeddings=tied)

    return of


@pytest.fixture(scope="module")
def base(bases: Any) -> Path:
    found: Path = bases("llama")
    return found


@pytest.fixture(scope="module")
def adapter(base: Path, place: Path) -> Path:
    return write_adapter(base, place / "adapter")


@pytest.mark.parametrize("case", LINEAR_CASES)
def test_linear_adapters_are_what_peft_makes_of_them(case: str, bases: Any, tmp_path: Path) -> None:
    kind, settings = LINEAR_CASES[case]
    base = bases(kind)
    adapter = write_adapter(base, tmp_path / "adapter", **settings)
    plain, full = tensors(base), peft_merged(base, adapter)
    assert any(not torch.equal(full[name], plain[name]) for name in plain), "nothing was trained"
    for weight in (1.0, 0.56, 0.0):
        ours = tensors(merge(base, [adapter], [weight], tmp_path / f"merged-{weight:g}"))
        assert_close(ours, blended(plain, full, weight))
        if weight == 0:
            assert all(torch.equal(ours[name], plain[name]) for name in plain)
    answers = logits(load(tmp_path / "merged-1"))
    torch.testing.assert_close(answers, logits(peft_model(base, adapter)), rtol=1e-5, atol=2e-5)


def test_the_weight_multiplies_lora_s_scale(base: Path, adapter: Path, tmp_path: Path) -> None:
    """PEFT's own way of saying 0.56: every layer's scaling times 0.56, then merge_and_unload."""
    model = peft_model(base, adapter)
    for module in model.modules():
        if isinstance(getattr(module, "scaling", None), dict):
            module.scaling["default"] *= 0.56
    theirs = model.merge_and_unload().state_dict()
    assert_close(tensors(merge(base, [adapter], [0.56], tmp_path / "merged")), dict(theirs))


@pytest.mark.parametrize("kind", ["bfloat16", "float16"])
def test_a_sum_in_fp32_is_rounded_once(kind: str, bases: Any, tmp_path: Path) -> None:
    small = bases("qwen2", dtype=kind)
    wide = tmp_path / "wide"  # the same values in fp32
    load(small).save_pretrained(wide)
    adapter = write_adapter(wide, tmp_path / "adapter", modules_to_save=["lm_head"], bias="all")
    for weight in (1.0, 0.56):
        exact = tensors(merge(wide, [adapter], [weight], tmp_path / f"wide-{weight}"))
        ours = tensors(merge(small, [adapter], [weight], tmp_path / f"small-{weight}"))
        for name, tensor in exact.items():
            assert ours[name].dtype == getattr(torch, kind)
            assert torch.equal(ours[name], tensor.to(ours[name].dtype)), name
    assert_close(tensors(tmp_path / "wide-1.0"), peft_merged(wide, adapter))


# settings, whether head and embedding are still one afterwards
TIED_CASES: dict[str, tuple[dict[str, Any], bool]] = {
    "neither": ({}, True),
    "LoRA on the embedding": ({"target_modules": ["q_proj", "embed_tokens"]}, False),
    "LoRA on the head": ({"target_modules": ["q_proj", "lm_head"]}, False),
    "LoRA on both": ({"target_modules": ["q_proj", "embed_tokens", "lm_head"]}, False),
    "embedding in full": ({"modules_to_save": ["embed_tokens"]}, False),
    "head in full": ({"modules_to_save": ["lm_head"]}, False),
    "both in full": ({"modules_to_save": ["embed_tokens", "lm_head"]}, False),
    "LoRA on the embedding, head in full": (
        {"target_modules": ["q_proj", "embed_tokens"], "modules_to_save": ["lm_head"]},
        False,
    ),
    "LoRA on the head, embedding in full": (
        {"target_modules": ["q_proj", "lm_head"], "modules_to_save": ["embed_tokens"]},
        False,
    ),
}
# PEFT 0.20 cannot make this one: its head would have to be LoRA and a copy in one.
NO_PEFT_TYING = "LoRA on the head, embedding in full"
TYING = [(case, False) for case in TIED_CASES] + [(case, True) for case in TIED_CASES if case != NO_PEFT_TYING]


@pytest.mark.parametrize(("case", "ensure"), TYING)
@pytest.mark.parametrize("tokens", [0, 8])
def test_nothing_trained_in_tied_embeddings_is_dropped_or_doubled(
    case: str, ensure: bool, tokens: int, bases: Any, tmp_path: Path
) -> None:
    base = bases("llama", tied=True)
    settings, still_tied = TIED_CASES[case]
    adapter = write_adapter(base, tmp_path / "adapter", tokens=tokens, ensure_weight_tying=ensure, **settings)
    merged = merge(base, [adapter], [1.0], tmp_path / "merged")
    theirs = logits(peft_model(base, adapter, tokens=tokens))
    torch.testing.assert_close(logits(load(merged)), theirs, rtol=1e-5, atol=2e-5)
    config = read_json(merged / "config.json")
    assert config["vocab_size"] == picos.LLAMA["vocab_size"] + tokens
    # Without ensure_weight_tying PEFT saves a resized embedding twice: that it is one tensor is not to be seen then.
    assert config["tie_word_embeddings"] is (ensure or (still_tied and not tokens))
    assert ("lm_head.weight" in tensors(merged)) is not config["tie_word_embeddings"]


@pytest.mark.parametrize("settings", [{"target_modules": ["c_fc", "wte"]}, {"target_modules": ["c_fc", "lm_head"]}])
def test_a_head_shared_by_default_is_not_changed_with_the_embedding(
    settings: dict[str, Any], bases: Any, tmp_path: Path
) -> None:
    """Configs of the hub often do not say tie_word_embeddings, and then GPT-2 and others share all the same."""
    base = shutil.copytree(bases("gpt2", tied=True), tmp_path / "base")
    config = read_json(base / "config.json")
    assert config.pop("tie_word_embeddings") is True and "lm_head.weight" not in tensors(base)
    (base / "config.json").write_text(json.dumps(config))
    adapter = write_adapter(base, tmp_path / "adapter", **settings)
    merged = merge(base, [adapter], [1.0], tmp_path / "merged")
    torch.testing.assert_close(logits(load(merged)), logits(peft_model(base, adapter)), rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize(
    "settings", [{"modules_to_save": ["embed_tokens", "lm_head"]}, {"target_modules": ["embed_tokens", "lm_head"]}, {}]
)
def test_added_tokens(settings: dict[str, Any], bases: Any, tmp_path: Path) -> None:
    """An adapter in fp32 on a base in bf16, as training makes it: the new rows have the base's type."""
    base = bases("llama", dtype="bfloat16")
    adapter = write_adapter(base, tmp_path / "adapter", tokens=5, **settings)
    merged = merge(base, [adapter], [1.0], tmp_path / "merged")
    assert all(tensor.dtype == "BF16" for tensor in open_checkpoint(merged).tensors.values())
    theirs = peft_model(base, adapter, tokens=5).merge_and_unload().state_dict()
    for name, tensor in tensors(merged).items():
        torch.testing.assert_close(tensor, theirs[name].bfloat16(), rtol=2**-7, atol=0)
    with pytest.raises(RecipeError, match=r"(?s)more rows.*the weight 0.5 cannot weigh.*ALPHA=1"):
        merge(base, [adapter], [0.5], tmp_path / "half")


def test_added_tokens_of_which_the_adapter_holds_only_one_side(base: Path, tmp_path: Path) -> None:
    """PEFT saves no resized head when LoRA is on the embedding: the model cannot be made from such an adapter."""
    adapter = write_adapter(base, tmp_path / "adapter", tokens=8, target_modules=["embed_tokens"])
    with pytest.raises(RecipeError, match=r"rows of lm_head.weight 96, model.embed_tokens.weight 104"):
        merge(base, [adapter], [1.0], tmp_path / "merged")


def test_several_adapters_add_up(base: Path, adapter: Path, tmp_path: Path) -> None:
    """Deltas add, factors do not: (B1 + B2)(A1 + A2) would be something else."""
    other = write_adapter(base, tmp_path / "other", seed=2, r=2, target_modules=["q_proj", "lm_head"])
    plain = tensors(base)
    first, second = peft_merged(base, adapter), peft_merged(base, other)
    ours = tensors(merge(base, [adapter, other], [0.5, 0.25], tmp_path / "merged"))
    wanted = {n: w + 0.5 * (first[n].double() - w) + 0.25 * (second[n].double() - w) for n, w in plain.items()}
    assert_close(ours, wanted)
    # two checkpoints' average, then the wise-ft weight
    ours = tensors(merge(base, [adapter, other], [0.28, 0.28], tmp_path / "average"))
    average = {name: (first[name].double() + second[name].double()) / 2 for name in plain}
    assert_close(ours, blended(plain, average, 0.56))


def test_trained_in_full_by_two_adapters(base: Path, tmp_path: Path) -> None:
    one, two = (
        write_adapter(base, tmp_path / f"{seed}", seed=seed, modules_to_save=["lm_head", "norm"]) for seed in (3, 4)
    )
    ours = tensors(merge(base, [one, two], [0.5, 0.5], tmp_path / "merged"))
    heads = [peft_merged(base, folder)["lm_head.weight"].double() for folder in (one, two)]
    assert_close({"head": ours["lm_head.weight"]}, {"head": sum(heads) / 2})


def test_second_round(base: Path, adapter: Path, tmp_path: Path) -> None:
    first = merge(base, [adapter], [0.56], tmp_path / "first")
    second = write_adapter(first, tmp_path / "second", seed=5)
    final = merge(first, [second], [1.0], tmp_path / "final")
    torch.testing.assert_close(logits(load(final)), logits(peft_model(first, second)), rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("kind", ["float32", "bfloat16"])
def test_wise_ft_between_two_models(kind: str, place: Path, tmp_path: Path) -> None:
    one, two = (
        write_model(place / f"{kind}{seed}", dtype=getattr(torch, kind), seed=seed, tie_word_embeddings=False)
        for seed in (10, 11)
    )
    ends = [tensors(one), tensors(two)]
    for weight in (0.0, 1.0):
        ours = tensors(merge(one, [two], [weight], tmp_path / f"{weight:g}"))
        assert all(torch.equal(tensor, ends[int(weight)][name]) for name, tensor in ours.items())
    ours, wanted = tensors(merge(one, [two], [0.3], tmp_path / "between")), blended(*ends, 0.3)
    assert_close(ours, wanted, 1e-6 if kind == "float32" else 2**-8)


def test_wise_ft_from_a_tied_base_to_an_untied_model(bases: Any, tmp_path: Path) -> None:
    tied, untied = bases("llama", tied=True), bases("llama")
    merged = merge(tied, [untied], [1.0], tmp_path / "merged")
    assert torch.equal(logits(load(merged)), logits(load(untied)))
    back = merge(untied, [tied], [1.0], tmp_path / "back")
    assert torch.equal(logits(load(back)), logits(load(tied)))
    both = merge(tied, [tied], [0.5], tmp_path / "both")
    assert read_json(both / "config.json")["tie_word_embeddings"] and torch.equal(
        logits(load(both)), logits(load(tied))
    )


def test_models_of_other_shapes_are_no_pair(base: Path, tmp_path: Path) -> None:
    """Other heads change the rows of k and v alone: that is no resized embedding."""
    other = write_model(tmp_path / "other", num_key_value_heads=4, tie_word_embeddings=False)
    with pytest.raises(RecipeError, match=r"(?s)in 4 tensors.*k_proj.weight: trained for \(32, 32\)"):
        merge(base, [other], [1.0], tmp_path / "merged")


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("llama", {}),
        ("qwen2", {"target_modules": ["q_proj", "down_proj", "lm_head"], "use_rslora": True}),
        ("gpt2", {"target_modules": CONV1D}),
    ],
)
def test_dora_is_right_at_one_and_refused_elsewhere(
    kind: str, settings: dict[str, Any], bases: Any, tmp_path: Path
) -> None:
    base = bases(kind)
    adapter = write_adapter(base, tmp_path / "adapter", use_dora=True, **settings)
    ours = tensors(merge(base, [adapter], [1.0], tmp_path / "merged"))
    assert_close(ours, peft_merged(base, adapter), 2e-6)
    with pytest.raises(RecipeError, match=r"(?s)DoRA.*the weight 0.5 means nothing.*ALPHA=1"):
        merge(base, [adapter], [0.5], tmp_path / "half")
    with pytest.raises(RecipeError, match="DoRA, which cannot be added to another"):
        merge(base, [adapter, adapter], [1.0, 1.0], tmp_path / "both")
    assert not (tmp_path / "half").exists() and not (tmp_path / "both").exists()


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"init_lora_weights": "pissa"}, "pissa: the factors belong to a base that was changed"),
        ({"init_lora_weights": "pissa_niter_4"}, "pissa_niter_4: the factors belong"),
        ({"init_lora_weights": "olora"}, "olora: the factors belong"),
        ({"trainable_token_indices": [1, 2]}, "single rows of the embedding"),
        ({"layer_replication": [[0, 2], [1, 2]]}, "runs layers of the base several times"),
        ({"target_parameters": ["q_proj.weight"], "target_modules": []}, "no layers' weights"),
        ({"use_dora": True, "target_modules": ["embed_tokens"]}, "DoRA on an embedding"),
    ],
)
def test_what_is_no_sum_is_refused_with_the_reason(
    settings: dict[str, Any], reason: str, base: Path, tmp_path: Path
) -> None:
    adapter = write_adapter(base, tmp_path / "adapter", **settings)
    with pytest.raises(RecipeError, match=reason):
        merge(base, [adapter], [1.0], tmp_path / "merged")
    assert not (tmp_path / "merged").exists() and not list(tmp_path.glob(".merged*"))


def test_other_adapters_than_lora_are_refused(base: Path, tmp_path: Path) -> None:
    from peft import IA3Config, get_peft_model

    get_peft_model(load(base), IA3Config(task_type="CAUSAL_LM")).save_pretrained(tmp_path / "ia3")
    with pytest.raises(RecipeError, match="is a IA3 adapter; only LoRA adds to the weights"):
        merge(base, [tmp_path / "ia3"], [1.0], tmp_path / "merged")


def test_one_file_and_many_shards_hold_the_same(base: Path, adapter: Path, tmp_path: Path) -> None:
    shards = tmp_path / "shards"
    load(base).save_pretrained(shards, max_shard_size="20KB")
    assert len(list(shards.glob("*.safetensors"))) > 4
    one, many = (merge(folder, [adapter], [0.56], tmp_path / f"of-{folder.name}") for folder in (base, shards))
    first, second = tensors(one), tensors(many)
    assert first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)
    index, theirs = read_json(many / INDEX), read_json(shards / INDEX)
    assert index["weight_map"] == theirs["weight_map"]
    assert index["metadata"]["total_size"] == theirs["metadata"]["total_size"] == sum(t.nbytes for t in first.values())
    assert torch.equal(logits(load(one)), logits(load(many)))


def test_several_weights_in_one_reading_are_those_of_single_ones(base: Path, tmp_path: Path) -> None:
    adapter = write_adapter(base, tmp_path / "adapter", modules_to_save=["lm_head"])
    other = write_adapter(base, tmp_path / "other", seed=7, target_modules=["embed_tokens", "q_proj"])
    weights = [[0.25, 0.1], [0.5, 0.0], [0.75, 1.0]]
    outs = [tmp_path / f"{row[0]}" for row in weights]
    picos.write(MergeJob(str(base), list(map(str, outs)), [str(adapter), str(other)], weights, device="cpu"))
    for row, out in zip(weights, outs, strict=True):
        alone = merge(base, [adapter, other], row, tmp_path / f"alone-{row[0]}")
        for path in sorted(alone.iterdir()):
            assert path.read_bytes() == (out / path.name).read_bytes(), path.name
    assert len({(out / "model.safetensors").read_bytes() for out in outs}) == 3


@pytest.fixture(scope="module")
def four_bit(bases: Any, place: Path) -> Path:
    """A tied model with biases in NF4 with double quantisation, every tensor and part of one in a shard of its own."""
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    chosen = BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = AutoModelForCausalLM.from_pretrained(
            bases("qwen2", tied=True), quantization_config=chosen, dtype=torch.bfloat16, device_map="cpu"
        )
    folder = place / "four-bit"
    model.save_pretrained(folder)
    made = load_file(folder / SINGLE)
    names = {name: f"model-{number:05}-of-{len(made):05}.safetensors" for number, name in enumerate(sorted(made), 1)}
    for name, tensor in made.items():
        save_file({name: tensor}, str(folder / names[name]), {"format": "pt"})
    (folder / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": names}))
    (folder / SINGLE).unlink()
    return folder


def dequantised_by_bitsandbytes(folder: Path) -> dict[str, Any]:
    from bitsandbytes.functional import dequantize_4bit
    from bitsandbytes.nn import Linear4bit
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, device_map="cpu")
    found = {name: tensor for name, tensor in model.named_parameters() if tensor.dtype.is_floating_point}
    layers = {name: m.weight for name, m in model.named_modules() if isinstance(m, Linear4bit)}
    assert len(layers) == 14
    return found | {f"{name}.weight": dequantize_4bit(w.data, w.quant_state) for name, w in layers.items()}


def test_a_base_in_4_bit_is_dequantised(four_bit: Path, bases: Any, tmp_path: Path) -> None:
    plain = dequantised_by_bitsandbytes(four_bit)
    merged = merge(four_bit, [], [], tmp_path / "dequantised")
    ours = tensors(merged)
    assert ours.keys() == plain.keys()
    assert all(ours[n].dtype == t.dtype and torch.equal(ours[n], t) for n, t in plain.items())
    assert "quantization_config" not in read_json(merged / "config.json")
    load(merged)


def test_a_base_in_4_bit_is_merged_into(four_bit: Path, bases: Any, tmp_path: Path) -> None:
    base = bases("qwen2", tied=True)
    adapter = write_adapter(base, tmp_path / "adapter")
    unquantised, full = tensors(base), peft_merged(base, adapter)
    plain = dequantised_by_bitsandbytes(four_bit)
    for weight in (1.0, 0.56):
        ours = tensors(merge(four_bit, [adapter], [weight], tmp_path / f"{weight:g}"))
        for name, tensor in plain.items():
            wanted = tensor.double() + weight * (full[name].double() - unquantised[name].double())
            assert ours[name].dtype == torch.bfloat16
            assert (ours[name].double() - wanted).abs().max() <= 2**-8 * wanted.abs().max(), name
    assert "quantization_config" not in read_json(tmp_path / "1" / "config.json")
    load(tmp_path / "1")


def test_nf4_round_trip_is_for_what_was_quantised_in_training(bases: Any, tmp_path: Path) -> None:
    from bitsandbytes.functional import dequantize_4bit, quantize_4bit

    base = bases("llama", dtype="bfloat16")
    ours, plain = tensors(merge(base, [], [], tmp_path / "rounded", round_trip=True)), tensors(base)
    for name, tensor in plain.items():
        if "_proj" in name:
            packed, state = quantize_4bit(tensor, quant_type="nf4", compress_statistics=True)
            assert torch.equal(ours[name], dequantize_4bit(packed, state)) and not torch.equal(ours[name], tensor)
        else:
            assert torch.equal(ours[name], tensor), name
    adapter = write_adapter(base, tmp_path / "adapter")
    added = tensors(merge(base, [adapter], [0.5], tmp_path / "added", round_trip=True))
    again = tensors(merge(tmp_path / "rounded", [adapter], [0.5], tmp_path / "again"))
    assert all(torch.equal(added[name], again[name]) for name in added)


@pytest.mark.parametrize("kind", ["gptq", "awq"])
def test_a_base_quantised_otherwise_is_refused(kind: str, base: Path, adapter: Path, tmp_path: Path) -> None:
    spoilt = shutil.copytree(base, tmp_path / "base")
    config = read_json(spoilt / "config.json") | {"quantization_config": {"quant_method": kind, "bits": 4}}
    (spoilt / "config.json").write_text(json.dumps(config))
    with pytest.raises(RecipeError, match=rf"(?s)is quantised with {kind}.*merge into the unquantised model"):
        merge(spoilt, [adapter], [1.0], tmp_path / "merged")


def test_a_model_in_4_bit_cannot_be_added(four_bit: Path, bases: Any, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="is stored in 4 bit; only the base may be"):
        merge(bases("qwen2", tied=True), [four_bit], [1.0], tmp_path / "merged")


def test_vllm_s_and_transformers_names_are_all_there(base: Path, adapter: Path, tmp_path: Path) -> None:
    merged = merge(base, [adapter], [1.0], tmp_path / "merged")
    assert sorted(path.name for path in merged.iterdir()) == [
        "checksums.json", "config.json", "generation_config.json", "model.safetensors",
    ]  # fmt: skip
    assert read_json(merged / "config.json") == read_json(base / "config.json")
