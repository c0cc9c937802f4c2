"""A merge that is killed at many moments goes on, and its result is whole or not there."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("peft")

from safetensors.torch import save_file  # noqa: E402

from postprocess.merge.plan import MergeJob, Padding, partial  # noqa: E402
from postprocess.merge.step import produce  # noqa: E402
from spine.checkpoint import INDEX, read_json  # noqa: E402
from spine.paths import ROOT  # noqa: E402
from tests.train_env.picos import digests, tensors  # noqa: E402

WEIGHTS = "adapter_model.safetensors"
RECIPE = [sys.executable, "-c", "from recipe.commands import main; main()"]
LAYERS, HIDDEN, WIDTH = 9, 1024, 2816


def silent(*told: Any) -> None:
    """No progress."""


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``base`` (ten shards, about 260 MB in bf16) and ``adapter``."""
    torch.manual_seed(0)
    root = tmp_path_factory.mktemp("large")
    shapes = {f"self_attn.{name}_proj": (HIDDEN, HIDDEN) for name in "qkvo"}
    shapes |= {"mlp.gate_proj": (WIDTH, HIDDEN), "mlp.up_proj": (WIDTH, HIDDEN), "mlp.down_proj": (HIDDEN, WIDTH)}
    shards: list[dict[str, Any]] = [{"model.embed_tokens.weight": torch.randn(8000, HIDDEN).bfloat16()}]
    factors: dict[str, Any] = {}
    for layer in range(LAYERS):
        shard = {}
        for name, (rows, columns) in shapes.items():
            full = f"model.layers.{layer}.{name}"
            shard[f"{full}.weight"] = torch.randn(rows, columns).bfloat16()
            factors[f"base_model.model.{full}.lora_A.weight"] = torch.randn(16, columns)
            factors[f"base_model.model.{full}.lora_B.weight"] = torch.randn(rows, 16)
        shards.append(shard)
    (root / "base").mkdir()
    (root / "adapter").mkdir()
    places = {}
    for number, shard in enumerate(shards, 1):
        file = f"model-{number:05}-of-{len(shards):05}.safetensors"
        save_file(shard, str(root / "base" / file))
        places |= dict.fromkeys(shard, file)
    (root / "base" / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": places}))
    config = {"architectures": ["LlamaForCausalLM"], "intermediate_size": WIDTH, "model_type": "llama"}
    (root / "base" / "config.json").write_text(json.dumps(config))
    save_file(factors, str(root / "adapter" / WEIGHTS))
    (root / "adapter" / "adapter_config.json").write_text('{"peft_type": "LORA", "r": 16, "lora_alpha": 16}')
    return root


def command(root: Path, out: str) -> list[str]:
    added = ["--add", str(root / "adapter"), "--alpha", "0.56", "--pad", "--out", str(root / out)]
    return [*RECIPE, "merge", "--base", str(root / "base"), *added]


def writers(out: Path) -> list[int]:
    """Processes that write ``out``, by the files that they hold open: the log at least."""
    place, found = str(partial(out)), []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended, or is another user's
            if any(str(file.readlink()).startswith(place) for file in (folder / "fd").iterdir()):
                found.append(int(folder.name))
    return found


def seals(grown: Path) -> list[Path]:
    """Of the finished shards; none where the folder takes its final name while one looks."""
    with suppress(FileNotFoundError):
        return list(grown.glob("*.done"))
    return []


def killed(root: Path, out: Path, when: Callable[[], bool], milliseconds: float) -> bool:
    """Starts a merge and kills it a little after ``when`` first holds; False if it ended before."""
    child = subprocess.Popen(
        command(root, out.name), cwd=ROOT, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        while not when() and child.poll() is None:
            time.sleep(0.0005)
        time.sleep(milliseconds / 1000)
        ended = child.poll() is not None
    finally:
        with suppress(ProcessLookupError):  # it ended by itself
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
    deadline = time.monotonic() + 20
    while writers(out):
        assert time.monotonic() < deadline, "the writing process outlives the command"
        time.sleep(0.01)
    return not ended


@pytest.mark.slow
def test_kill_9_at_any_moment(large: Path) -> None:
    done = subprocess.run(command(large, "undisturbed"), cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    wanted = digests(large / "undisturbed")
    assert len(wanted) == LAYERS + 4  # with index, config, checksums
    out, choose = large / "out", random.Random(1)
    grown = partial(out)

    def finished() -> dict[str, tuple[int, int]]:
        if not (grown / "plan.key").exists():
            return {}
        states = {path.stem: (grown / path.stem).stat() for path in seals(grown)}
        return {name: (state.st_ino, state.st_mtime_ns) for name, state in states.items()}

    def shards(count: int) -> Callable[[], bool]:
        return lambda: len(seals(grown)) >= count

    def there(name: str) -> Callable[[], bool]:
        return (grown / name).exists

    moments = [there("plan.key"), there("model-00001-of-00010.safetensors"), *map(shards, (1, 2, 4, 5, 7, 8, 10)),
               there("config.json"), there("checksums.json"), there("manifest.json"), out.exists]  # fmt: skip
    kills = resumed = 0
    for when in moments:
        before = finished()
        kills += killed(large, out, when, choose.uniform(0, 30))
        if out.exists():
            assert digests(out) == wanted and (out / "manifest.json").exists()
            shutil.rmtree(out)
            continue
        after = finished()
        if after:  # else it was killed between the last shard and the new name, and is done again
            assert before.items() <= after.items(), "a finished shard was written again"
            resumed += len(before)
    assert kills >= 8 and resumed > 0
    before = finished()
    done = subprocess.run(command(large, "out"), cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert digests(out) == wanted
    kept = {name: ((out / name).stat().st_ino, (out / name).stat().st_mtime_ns) for name in before}
    assert kept == before
    assert sorted(path.name for path in large.iterdir()) == ["adapter", "base", "out", "undisturbed"]
    checked = [*RECIPE, "verify", str(out)]
    done = subprocess.run(checked, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "all as written" in done.stdout
    again = subprocess.run(command(large, "out"), cwd=ROOT, capture_output=True, text=True, check=False)
    assert again.returncode == 0 and "up to date" in again.stdout + again.stderr


@pytest.mark.slow
def test_a_replaced_result_is_never_half_there(large: Path) -> None:
    """Made again with other settings: until the new one is complete, the old one stays."""
    out = large / "replaced"
    job = MergeJob(str(large / "base"), [str(out)], [str(large / "adapter")], [[0.5]])
    assert produce(job, silent).fresh == (out,)
    old = digests(out)
    other = MergeJob(str(large / "base"), [str(out)], [str(large / "adapter")], [[1.0]], Padding(by=64))
    produce(other, silent)
    assert digests(out) != old and read_json(out / "config.json")["intermediate_size"] == WIDTH + 64
    assert tensors(out)["model.layers.0.mlp.up_proj.weight"].shape == (WIDTH + 64, HIDDEN)
    assert not [path.name for path in large.iterdir() if path.name.startswith(".replaced")]
