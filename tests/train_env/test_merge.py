"""Merged models against what PEFT and transformers compute, and what no merge may do silently."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("peft")


from postprocess.merge.plan import MergeJob  # noqa: E402
from spine.checkpoint import INDEX, read_json  # noqa: E402
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


def test_vllm_s_and_transformers_names_are_all_there(base: Path, adapter: Path, tmp_path: Path) -> None:
    merged = merge(base, [adapter], [1.0], tmp_path / "merged")
    assert sorted(path.name for path in merged.iterdir()) == [
        "checksums.json", "config.json", "generation_config.json", "model.safetensors",
    ]  # fmt: skip
    assert read_json(merged / "config.json") == read_json(base / "config.json")
