"""A result is whole or not there: damaged inputs, a full disk, shards of an attempt that was stopped."""

from __future__ import annotations

import os
import resource
import signal
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("peft")

from safetensors.torch import load_file, save_file  # noqa: E402

from postprocess.merge import write as write_module  # noqa: E402
from postprocess.merge.plan import MergeJob, partial  # noqa: E402
from postprocess.merge.step import checked_plan  # noqa: E402
from postprocess.merge.write import execute  # noqa: E402
from spine.checkpoint import open_checkpoint  # noqa: E402
from spine.errors import RecipeError  # noqa: E402
from tests.train_env.picos import digests, load, merge, write_adapter, write_model  # noqa: E402

WEIGHTS = "adapter_model.safetensors"


def silent(*told: Any) -> None:
    """No progress."""


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return write_model(tmp_path / "base", tie_word_embeddings=False)


@pytest.mark.parametrize("spoilt", [float("nan"), float("inf")])
@pytest.mark.parametrize("side", ["q_proj.lora_A", "down_proj.lora_B", "embed_tokens.lora_embedding_A"])
def test_a_diverged_adapter_is_refused_before_a_shard_is_begun(
    side: str, spoilt: float, base: Path, tmp_path: Path
) -> None:
    adapter = write_adapter(base, tmp_path / "adapter", target_modules=["q_proj", "down_proj", "embed_tokens"])
    made = load_file(adapter / WEIGHTS)
    (name, *_) = [name for name in made if side in name]
    made[name][0, 1] = spoilt
    save_file(made, str(adapter / WEIGHTS))
    with pytest.raises(RecipeError, match=rf"(?s)NaN or infinity in 1 of .* factors: {name}.*earlier checkpoint"):
        merge(base, [adapter], [0.5], tmp_path / "merged")
    assert not (tmp_path / "merged").exists() and not list(tmp_path.glob(".merged*/*.safetensors"))


@pytest.mark.parametrize(
    ("settings", "part"),
    [
        ({"modules_to_save": ["lm_head"]}, "lm_head.weight"),
        ({"use_dora": True}, "q_proj.lora_magnitude_vector"),
        ({"target_modules": ["o_proj"], "bias": "all"}, "o_proj.lora_B"),
    ],
)
def test_nan_in_whatever_else_an_adapter_holds(settings: dict[str, Any], part: str, base: Path, tmp_path: Path) -> None:
    adapter = write_adapter(base, tmp_path / "adapter", **settings)
    made = load_file(adapter / WEIGHTS)
    next(tensor for name, tensor in made.items() if part in name).view(-1)[3] = float("nan")
    save_file(made, str(adapter / WEIGHTS))
    with pytest.raises(RecipeError, match="NaN or infinity in"):
        merge(base, [adapter], [1.0], tmp_path / "merged")
    assert not (tmp_path / "merged").exists()


@pytest.mark.parametrize("name", ["model.layers.1.mlp.up_proj.weight", "model.norm.weight", "lm_head.weight"])
def test_a_bit_flipped_in_an_exponent_of_the_base(name: str, base: Path, tmp_path: Path) -> None:
    """Also in what is only copied: the adapter changes neither the norm nor the head."""
    adapter = write_adapter(base, tmp_path / "adapter")
    place = open_checkpoint(base).tensors[name]
    with place.file.open("r+b") as handle:
        handle.seek(place.begin)
        handle.write(b"\x00\x00\x80\x7f")  # the exponent's bits all 1
    with pytest.raises(RecipeError, match=rf"model.safetensors: {name}: NaN or infinity in row 0"):
        merge(base, [adapter], [0.5], tmp_path / "merged")
    assert not (tmp_path / "merged").exists()


def test_a_sum_that_fp16_cannot_hold(tmp_path: Path) -> None:
    base = write_model(tmp_path / "base", dtype=torch.float16)
    adapter = write_adapter(base, tmp_path / "adapter", target_modules=["q_proj"], lora_alpha=10**7)
    with pytest.raises(RecipeError, match=r"(?s)q_proj.weight: NaN or infinity.*use a bf16 base"):
        merge(base, [adapter], [1.0], tmp_path / "merged")


def test_a_base_that_is_cut_short_after_the_plan(base: Path, tmp_path: Path) -> None:
    made = checked_plan(MergeJob(str(base), [str(tmp_path / "out")], device="cpu"))
    os.truncate(base / "model.safetensors", 30_000)
    with pytest.raises(RecipeError, match=r"model.safetensors: ends within model\.layers\."):
        execute(made, silent)
    assert not (tmp_path / "out").exists()


def shards_of(base: Path, folder: Path) -> Path:
    load(base).save_pretrained(folder, max_shard_size="20KB")
    return folder


def test_a_full_disk_is_explained_and_what_was_finished_is_kept(base: Path, tmp_path: Path) -> None:
    """A limit of the operating system on the size of files stands in for the end of the disk."""
    many = shards_of(base, tmp_path / "many")
    adapter = write_adapter(base, tmp_path / "adapter")
    job = MergeJob(str(many), [str(tmp_path / "out")], [str(adapter)], [[0.5]], device="cpu")
    limits, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    made = checked_plan(job)
    sizes = sorted(shard.nbytes for shard in made.shards)
    assert sizes[0] < 15_000 < sizes[-1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (15_000, limits[1]))
    try:
        with pytest.raises(RecipeError, match=r"(?s)cannot write: .*GiB free.*free some space and run the same"):
            execute(made, silent)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert not (tmp_path / "out").exists()
    execute(checked_plan(job), silent)
    partial(tmp_path / "out").rename(tmp_path / "out")
    merge(many, [adapter], [0.5], tmp_path / "undisturbed")
    assert digests(tmp_path / "out") == digests(tmp_path / "undisturbed")


@pytest.mark.parametrize(
    "change", ["nothing", "weight", "time", "base", "adapter", "a shard is short", "a seal is missing"]
)
def test_finished_shards_are_kept_only_for_the_same_plan(
    change: str, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    many, adapter = shards_of(base, tmp_path / "many"), write_adapter(base, tmp_path / "adapter")
    grown = partial(tmp_path / "out")
    job = MergeJob(str(many), [str(tmp_path / "out")], [str(adapter)], [[0.5]], device="cpu")
    made = checked_plan(job)
    whole = write_module._write
    with monkeypatch.context() as patch:  # stopped before the last piece

        def write(piece: Any, plan: Any, opened: Any, *more: Any) -> None:
            if opened.shard is plan.shards[-1] and piece is opened.pieces[-1]:
                raise KeyboardInterrupt
            whole(piece, plan, opened, *more)

        patch.setattr(write_module, "_write", write)
        with pytest.raises(KeyboardInterrupt):
            execute(made, silent)
    done = sorted(grown.glob("*.done"))
    assert len(done) == len(made.shards) - 1
    expected = len(done)
    if change == "weight":
        job, expected = MergeJob(job.base, job.outs, job.sources, [[0.25]], device="cpu"), 0
    elif change == "time":
        os.utime(many / made.shards[0].name)
    elif change in ("base", "adapter"):
        file = many / made.shards[-1].name if change == "base" else adapter / WEIGHTS
        file.write_bytes(file.read_bytes()[:-2] + b"\x01\x3c")
        expected = 0
    elif change == "a shard is short":
        os.truncate(grown / done[0].stem, 100)
        expected -= 1
    elif change == "a seal is missing":
        done[0].unlink()
        expected -= 1
    assert execute(checked_plan(job), silent)["resumed"] == expected
    merge(many, [adapter], job.weights[0], tmp_path / "undisturbed")
    assert digests(grown) == digests(tmp_path / "undisturbed")
