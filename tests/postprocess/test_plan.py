"""Plans from headers alone: what is refused before a byte is written, and what the results will hold."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from postprocess.merge.plan import MergeJob, MergePlan, Padding, make_plan, partial, step_of
from postprocess.merge.step import STEP, checked_plan
from spine import atomic, manifest
from spine.checkpoint import SINGLE, copy_companions, open_checkpoint, read_json
from spine.errors import RecipeError
from spine.manifest import Step
from spine.stamp import stamp
from tests.postprocess.checkpoints import (
    HIDDEN,
    VOCABULARY,
    adapter_shapes,
    model_shapes,
    write_adapter,
    write_model,
    write_tensors,
)

AT = "base_model.model."


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return write_model(tmp_path / "base")


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    return write_adapter(tmp_path / "adapter")


def job(base: Path, *sources: Path, weights: tuple[float, ...] = (1.0,), **more: Any) -> MergeJob:
    out = more.pop("out", base.parent / "out")
    return MergeJob(str(base), [str(out)], list(map(str, sources)), [list(weights[: len(sources)])], **more)


def changed(plan: MergePlan) -> dict[str, int]:
    return {op.name: len(op.changes) for shard in plan.shards for op, _ in shard.operations if op.changes}


def test_what_a_plan_says(base: Path, adapter: Path) -> None:
    made = make_plan(job(base, adapter))
    assert changed(made) == {
        f"model.layers.{layer}.{name}.weight": 1 for layer in (0, 1) for name in ("self_attn.q_proj", "mlp.down_proj")
    }
    assert {kind: count for kind, (count, _) in made.kinds().items()} == {"merge": 4, "copy": 15}
    assert made.nbytes == (base / SINGLE).stat().st_size and made.index() is None
    assert made.config == read_json(base / "config.json") and ["a-base" in note for note in made.notes] == [True]


def test_headers_are_those_of_the_files_to_come(tmp_path: Path, adapter: Path) -> None:
    base = write_model(tmp_path / "base", 3)
    made = make_plan(job(base, adapter, padding=Padding(by=4)))
    for shard in made.shards:
        (tmp_path / shard.name).write_bytes(shard.header + bytes(shard.nbytes - len(shard.header)))
    index = json.loads(made.index() or "")
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    (tmp_path / "config.json").write_text("{}")
    found = open_checkpoint(tmp_path)
    assert found.tensors.keys() == model_shapes().keys()
    assert found.tensors["model.layers.0.mlp.up_proj.weight"].shape == (16, HIDDEN)
    assert index["metadata"]["total_size"] == found.nbytes
    assert index["weight_map"] == {t.name: file for file, tensors in found.files.items() for t in tensors}
    begins = {op.name: begin for shard in made.shards for op, begin in shard.operations}
    assert begins == {name: tensor.begin for name, tensor in found.tensors.items()}


def test_all_mismatches_of_another_models_adapter_in_one_message(base: Path, tmp_path: Path) -> None:
    q, up = AT + "model.layers.0.self_attn.q_proj", AT + "model.layers.7.mlp.up_proj"
    shapes = {f"{q}.lora_A.weight": (2, 16), f"{q}.lora_B.weight": (HIDDEN, 2), f"{up}.lora_A.weight": (2, HIDDEN),
              f"{up}.lora_B.weight": (12, 2), f"{AT}lm_head.weight": (VOCABULARY, 9),
              f"{AT}score.weight": (2, HIDDEN)}  # fmt: skip
    with pytest.raises(RecipeError) as caught:
        make_plan(job(base, write_adapter(tmp_path / "a", shapes)))
    message = str(caught.value)
    assert "does not fit this base, in 4 tensors" in message
    for part in (
        "q_proj.weight: trained for (8, 16), the base has (8, 8)",
        "layers.7.mlp.up_proj.weight: the base has no such tensor; did you mean 'model.layers.1.mlp.up_proj.weight'",
        "lm_head.weight: trained for (16, 9), the base has (16, 8)",
        "score.weight: the base has no such tensor",
        "base_model_name_or_path",
    ):
        assert part in message


def test_a_long_list_of_mismatches_is_cut(base: Path, tmp_path: Path) -> None:
    shapes = {f"{AT}model.layers.{n}.x.lora_{s}.weight": (2, 2) for n in range(30) for s in "AB"}
    with pytest.raises(RecipeError, match=r"(?s)in 30 tensors.*and 10 more"):
        make_plan(job(base, write_adapter(tmp_path / "a", shapes)))


def test_lora_s_bias_needs_a_bias_in_the_base(base: Path, tmp_path: Path) -> None:
    q = AT + "model.layers.0.self_attn.q_proj"
    folder = write_adapter(tmp_path / "a", adapter_shapes() | {f"{q}.lora_B.bias": (HIDDEN,)})
    with pytest.raises(RecipeError, match=r"in 1 tensors:\s+model.layers.0.self_attn.q_proj.bias: the base has no"):
        make_plan(job(base, folder))


def test_two_sources_cannot_resize_one_embedding(base: Path, tmp_path: Path) -> None:
    more = {f"{AT}{name}": (VOCABULARY + 4, HIDDEN) for name in ("lm_head.weight", "model.embed_tokens.weight")}
    one, two = (write_adapter(tmp_path / name, adapter_shapes() | more) for name in "ab")
    assert make_plan(job(base, one)).config["vocab_size"] == VOCABULARY + 4
    with pytest.raises(RecipeError, match=r"(?s)in 2 tensors.*a source resizes it \(added tokens\)"):
        make_plan(job(base, one, two, weights=(1.0, 1.0)))
    at = AT + "model.embed_tokens"
    lora = {f"{at}.lora_embedding_A": (2, VOCABULARY), f"{at}.lora_embedding_B": (HIDDEN, 2)}
    old = write_adapter(tmp_path / "old", lora)
    for sources in ((old, one), (one, old)):
        with pytest.raises(RecipeError, match=r"model\.embed_tokens\.weight"):
            make_plan(job(base, *sources, weights=(1.0, 1.0)))


def test_whole_numbers_are_no_weights(tmp_path: Path) -> None:
    """Between two models, a counter or a mask stays the base's: a share of it means nothing."""
    base, other = (write_model(tmp_path / name) for name in ("base", "other"))
    for folder in (base, other):
        raw = (folder / SINGLE).read_bytes()
        (folder / SINGLE).write_bytes(
            raw.replace(b'"model.norm.weight":{"dtype":"F32"', b'"model.norm.weight":{"dtype":"I32"')
        )
    assert "model.norm.weight" not in changed(make_plan(job(base, other, weights=(0.5,))))


def test_everything_but_weights_is_taken_along(base: Path, adapter: Path) -> None:
    carried = ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja",
               "vocab.json", "merges.txt", "generation_config.json", "README.md", "LICENSE",
               "tokenizer.model"]  # fmt: skip
    left = ["pytorch_model.bin.index.json", "adapter_config.json", "checksums.json", "training_args.bin"]
    for name in carried + left:
        (base / name).write_text("{}")
    made = make_plan(job(base))
    assert sorted(made.carried) == sorted(carried)
    for name in ("tokenizer.json", "tokenizer_config.json", "README.md", "trainer_state.json"):
        (adapter / name).write_text("the adapter's")
    made = make_plan(job(base, adapter))
    assert made.carried["tokenizer.json"] == adapter / "tokenizer.json"
    assert made.carried["README.md"] == base / "README.md"  # the adapter's card speaks of the adapter
    # nothing of the base's tokenizer is mixed with the adapter's
    assert not {"chat_template.jinja", "vocab.json", "special_tokens_map.json"} & made.carried.keys()
    assert "generation_config.json" in made.carried and "trainer_state.json" not in made.carried


def test_code_and_further_templates_of_the_base_go_with_it(base: Path, adapter: Path) -> None:
    (base / "additional_chat_templates").mkdir()
    own = ["modeling_own.py", "own.tiktoken", "additional_chat_templates/tools.jinja"]
    for name in own:
        (base / name).write_text("x")
    config = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps(config | {"auto_map": {"AutoModel": "modeling_own.Own"}}))
    made = make_plan(job(base, adapter))
    assert set(own) <= made.carried.keys()
    assert [note for note in made.notes if "trust_remote_code" in note and note.startswith("config.json")]
    (base / "copy").mkdir()
    copy_companions(base, base / "copy")
    assert all((base / "copy" / name).is_file() for name in own)


def test_the_key_tells_what_a_shard_depends_on(base: Path, adapter: Path) -> None:
    def key(**more: Any) -> str:
        return step_of(job(base, adapter, **more), 0).key

    first, weights = key(), adapter / "adapter_model.safetensors"
    for other in ({"weights": (0.5,)}, {"padding": Padding(by=4)}, {"round_trip": True}):
        assert key(**other) != first
    os.utime(weights)
    assert key() == first
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x7f")
    assert key() != first


@pytest.mark.parametrize("where", ["base", "adapter", "base/inside", "around", "base/../base"])
def test_results_do_not_touch_inputs(where: str, tmp_path: Path) -> None:
    root = tmp_path / "around"
    base, adapter = write_model(root / "base"), write_adapter(root / "adapter")
    out = tmp_path if where == "around" else root / where
    with pytest.raises(RecipeError, match=r"cannot be written into an input's folder, nor around it"):
        checked_plan(job(base, adapter, out=out))
    link = tmp_path / "link"
    link.symlink_to(base)
    with pytest.raises(RecipeError, match="input's folder"):
        checked_plan(job(base, adapter, out=link))


def test_a_folder_with_something_else_in_it_is_not_replaced(base: Path, adapter: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    checked_plan(job(base, adapter))
    (out / "thesis.tex").write_text("")
    with pytest.raises(RecipeError, match="holds files that are no result of merge"):
        checked_plan(job(base, adapter))
    Step(out, "train", {}).finish(["thesis.tex"])  # another step's result is not thrown away either
    with pytest.raises(RecipeError, match="holds files that are no result of merge"):
        checked_plan(job(base, adapter))
    (out / manifest.NAME).write_text("{}")  # nor is a model of the hub with a manifest.json of its own
    with pytest.raises(RecipeError, match=r"(?s)holds files that are no result of merge.*damaged.*rm -r "):
        checked_plan(job(base, adapter))
    Step(out, STEP, {}).finish(["thesis.tex"])
    checked_plan(job(base, adapter))


def test_a_base_that_is_not_what_its_manifest_says(base: Path, adapter: Path) -> None:
    Step(base, "merge", {}).finish([SINGLE, "config.json"])
    checked_plan(job(base, adapter))
    raw = bytearray((base / SINGLE).read_bytes())
    raw[-5] ^= 1
    (base / SINGLE).write_bytes(raw)
    with pytest.raises(RecipeError, match=rf"(?s){SINGLE} changed since it was written.*make it again"):
        checked_plan(job(base, adapter))


def test_a_foreign_manifest_in_the_base_is_no_obstacle(base: Path) -> None:
    (base / manifest.NAME).write_text('{"name": "somebody else\'s"}')
    first = stamp(base)
    write_tensors(base / SINGLE, model_shapes() | {"model.norm.bias": (HIDDEN,)})
    assert stamp(base) != first


def test_too_little_disk_is_refused_before_work_begins(
    base: Path, adapter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = make_plan(job(base, adapter)).nbytes
    monkeypatch.setattr(atomic, "free_gib", lambda path: 1.5 * sizes / 2**30)
    one = job(base, adapter)
    checked_plan(one)
    two = MergeJob(one.base, [*one.outs, str(base.parent / "out2")], one.sources, [[0.5], [1.0]])
    with pytest.raises(RecipeError, match=r"the result needs about .* GiB, .* are free"):
        checked_plan(two)
    grown = partial(Path(two.outs[1]))
    grown.mkdir()
    (grown / SINGLE).write_bytes(b"x" * (sizes + 4096))  # what an interrupted attempt holds already counts
    checked_plan(two)


def quantised_model(folder: Path, **state: Any) -> Path:
    """One layer as bitsandbytes stores it, 64 numbers in 32 bytes."""
    said = json.dumps({"dtype": "bfloat16", "shape": [8, 8], "blocksize": 64, "quant_type": "nf4", **state}).encode()
    name = "model.layers.0.self_attn.q_proj.weight"
    parts = {name: (32, 1), f"{name}.quant_state.bitsandbytes__nf4": (len(said),)}
    header, at = {}, 0
    for part, shape in parts.items():
        header[part] = {"dtype": "U8", "shape": shape, "data_offsets": [at, at := at + int(np.prod(shape))]}
    for part in ("absmax", "quant_map"):
        header[f"{name}.{part}"] = {"dtype": "F32", "shape": [1], "data_offsets": [at, at := at + 4]}
    folder.mkdir()
    text = json.dumps(header).encode()
    (folder / SINGLE).write_bytes(len(text).to_bytes(8, "little") + text + bytes(32) + said + bytes(8))
    config = {"architectures": ["LlamaForCausalLM"], "quantization_config": {"quant_method": "bitsandbytes"}}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def test_a_base_in_4_bit_counts_as_what_it_stands_for(tmp_path: Path) -> None:
    made = make_plan(job(quantised_model(tmp_path / "base")))
    ((operation, _),) = made.shards[0].operations
    assert (operation.dtype, operation.shape, operation.kind) == ("BF16", (8, 8), "dequantise")
    assert "quantization_config" not in made.config


@pytest.mark.parametrize("state", [{"shape": [8, 9]}, {"shape": [10**6, 10**6]}])
def test_a_state_that_would_read_beyond_its_numbers(state: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"q_proj.weight: \(32, 1\) and its state do not make"):
        make_plan(job(quantised_model(tmp_path / "base", **state)))


@pytest.mark.parametrize("state", [{"dtype": "int7"}, {"shape": None}, {"shape": ["a"]}])
def test_a_state_that_is_unreadable(state: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"quant_state\.bitsandbytes__nf4 is unreadable"):
        make_plan(job(quantised_model(tmp_path / "base", **state)))


def test_neither_adapter_nor_model(base: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for name in ("empty", "none"):
        with pytest.raises(RecipeError, match="no adapter and no model"):
            make_plan(job(base, tmp_path / name))


@pytest.mark.parametrize(("named", "told"), [("shop/Other-7B", True), ("shop/BASE", False), (None, False)])
def test_an_adapter_of_another_base_is_told(base: Path, tmp_path: Path, named: str | None, told: bool) -> None:
    adapter = write_adapter(tmp_path / "named", base_model_name_or_path=named and named.replace("BASE", base.name))
    notes = make_plan(job(base, adapter)).notes
    assert any("Other-7B" in note for note in notes) is told
