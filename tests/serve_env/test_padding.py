"""An AWQ checkpoint padded after quantisation gives the same log-probs in vLLM, on one and on two workers."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from postprocess.awq import gemm
from postprocess.awq.unpack import unpack_model
from postprocess.merge.plan import MergeJob, Padding
from postprocess.merge.step import produce
from recipe.smoke import pico
from spine.checkpoint import header_bytes, open_checkpoint
from spine.hardware import bf16_on_cpu
from spine.paths import ROOT, VENVS
from tests.serve_env.conftest import EMBEDDED

GROUP = 32
TOLERANCE = 0.02  # of a log-prob, in nats
SHOW = """
import json, sys
from pathlib import Path
from vllm import LLM, SamplingParams

if __name__ == "__main__":
    folder, workers = sys.argv[1], int(sys.argv[2])
    llm = LLM(folder, dtype="float16", enforce_eager=True, max_model_len=64, tensor_parallel_size=workers,
              gpu_memory_utilization=0.3)  # of this machine's memory, of which others may use most
    tokens = [[7 * row + 11 * at for at in range(24)] for row in range(1, 5)]
    asked = SamplingParams(temperature=0, max_tokens=1, prompt_logprobs=5, detokenize=False)
    found = llm.generate([{"prompt_token_ids": row} for row in tokens], asked)
    def pairs(place):
        return sorted((token, value.logprob) for token, value in place.items()) if place else None

    shown = [[pairs(place) for place in one.prompt_logprobs] for one in found]
    Path(sys.argv[3]).write_text(json.dumps(shown))
"""


def quantise(model: Path, out: Path) -> None:
    """Plain rounding in AutoAWQ's layout: what the test needs is real packed weights, not good ones."""
    import torch
    from safetensors.torch import load_file

    made: dict[str, np.ndarray] = {}
    for name, weight in load_file(model / "model.safetensors").items():
        if "_proj." not in name:
            made[name] = weight.to(torch.float16).numpy()
            continue
        rows, columns = weight.shape
        grouped = weight.float().numpy().reshape(rows, columns // GROUP, GROUP)
        low, high = grouped.min(-1, keepdims=True).clip(max=0), grouped.max(-1, keepdims=True).clip(min=0)
        scale = ((high - low) / gemm.LEVELS).clip(1e-5).astype(np.float16)
        zero = np.round(-low / scale).clip(0, gemm.LEVELS)
        values = (np.round(grouped / scale) + zero).clip(0, gemm.LEVELS).astype(np.uint8)
        module = name.removesuffix(".weight")
        made[f"{module}.qweight"] = gemm.pack(np.ascontiguousarray(values.reshape(rows, columns).T))
        made[f"{module}.qzeros"] = gemm.pack(np.ascontiguousarray(zero[..., 0].T.astype(np.uint8)))
        made[f"{module}.scales"] = np.ascontiguousarray(scale[..., 0].T)
    shutil.copytree(model, out, ignore=shutil.ignore_patterns("*.safetensors"))
    types = {np.dtype("float16"): "F16", np.dtype("int32"): "I32"}
    header, _ = header_bytes({name: (types[array.dtype], array.shape) for name, array in made.items()})
    (out / "model.safetensors").write_bytes(header + b"".join(array.tobytes() for array in made.values()))
    config = json.loads((out / "config.json").read_text())
    config["dtype"] = "float16"
    config["quantization_config"] = {
        "quant_method": "awq", "bits": 4, "group_size": GROUP, "zero_point": True, "version": "gemm",
        "modules_to_not_convert": None,
    }  # fmt: skip
    (out / "config.json").write_text(json.dumps(config))


def log_probs(folder: Path, workers: int) -> list[list[list[tuple[int, float]] | None]]:
    """What vLLM says, in a process of its own: its workers do not survive a second engine."""
    script, out = folder.with_name(f"{folder.name}-{workers}.py"), folder.with_name(f"{folder.name}-{workers}.json")
    script.write_text(SHOW)
    command = [sys.executable, str(script), str(folder), str(workers), str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    found: list[list[list[tuple[int, float]] | None]] = json.loads(out.read_text())
    return found


NEEDS_AVX512 = pytest.mark.skipif(
    not bf16_on_cpu(), reason="vLLM 0.32's build for CPUs has no 4-bit kernel without AVX-512"
)


def furthest(ours: object, theirs: object) -> float:
    """The largest difference of a log-prob that both say."""
    pairs = [
        (dict(found or []), dict(known or []))
        for some, others in zip(ours, theirs, strict=True)  # type: ignore[call-overload]
        for found, known in zip(some, others, strict=True)
    ]
    return max(abs(found[token] - known[token]) for found, known in pairs for token in found.keys() & known.keys())


@pytest.mark.slow
@NEEDS_AVX512
def test_unpacked_to_fp32_it_says_what_vllms_4_bit_kernel_says(tmp_path: Path) -> None:
    pico.write(EMBEDDED, tmp_path / "pico", heads=2)
    quantise(tmp_path / "pico", tmp_path / "awq")
    unpack_model(tmp_path / "awq", tmp_path / "unpacked")
    plain = log_probs(tmp_path / "awq", 1)
    assert furthest(log_probs(tmp_path / "unpacked", 1), plain) < TOLERANCE
    assert furthest(log_probs(tmp_path / "pico", 1), plain) > TOLERANCE  # 4 bit is not what it was made from


@pytest.mark.slow
@NEEDS_AVX512
@pytest.mark.skipif(not (VENVS / "train").is_dir(), reason="padding runs in the train environment")
def test_padded_awq_answers_the_same(tmp_path: Path) -> None:
    pico.write(EMBEDDED, tmp_path / "pico", heads=2)
    quantise(tmp_path / "pico", tmp_path / "awq")
    padding = Padding(by=2 * GROUP)
    produce(MergeJob(str(tmp_path / "awq"), [str(tmp_path / "padded")], padding=padding), lambda *_: None)
    assert open_checkpoint(tmp_path / "padded").config["intermediate_size"] == 128 + 2 * GROUP
    plain = log_probs(tmp_path / "awq", 1)
    assert log_probs(tmp_path / "padded", 1) == plain
    # Two workers share the channels otherwise than one does, so fp16 sums come out in another order.
    assert furthest(log_probs(tmp_path / "padded", 2), plain) < TOLERANCE
