"""A run with everything in it that can be pushed, made within a blink: real manifests, files of a few bytes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from inference.answering.questions import read_questions
from recipe.hub import scores
from spine.manifest import NAME, Step, file_digest
from spine.runs import Run
from spine.stamp import stamp
from tests.recipe.made_up import BASE, World, _answer, rows

ALPHA = 0.5625
SETTINGS = {"base_model": "models/SmolLM2-135M-Instruct", "lora_r": 64, "lora_alpha": 32, "learning_rate": 0.001,
            "lr_scheduler": "cosine", "num_epochs": 1, "sequence_len": 512, "micro_batch_size": 4}  # fmt: skip
# Of this machine, and of no business of the hub's.
PLACE = "/home/somebody/runs/cpu/v8"
_OF_THE_DAY = {"finished": "2026-11-20T12:00:00+0100", "git_commit": "0123456789ab", "wall_seconds": 400.0,
               "peak_memory_mib": 900, "versions": {"python": "3.11.7"}}  # fmt: skip


def dataset(source: str, kept: int, kind: str = "multiple-choice", track: int | None = 1) -> dict[str, Any]:
    """A dataset of stats.json."""
    return {"source": source, "track": track, "llm": None, "types": {kind: kept}, "kept": kept, "held_out": 3,
            "made": []}  # fmt: skip


DATASETS = {
    "product_matching": dataset("ecinstruct", 60), "query_product_ranking": dataset("esci", 200, "ranking", 3),
    "multilingual_title": dataset("amazon_m2", 80, "generation", 4),
    "alpaca_instructions": dataset("alpaca", 20, "generation", None),
}  # fmt: skip


def base_model(folder: Path, patch: pytest.MonkeyPatch) -> Path:
    """The base model's folder, in ``folder``."""
    made = folder / "base"
    made.mkdir()
    (made / "config.json").write_text("{}")
    finish(Step(made, "embedded model", {}), ["config.json"])
    patch.setattr(scores, "base_folder", lambda resolved: made)
    return made


class FinishedRun:
    """``raw``: the folder that the rows were built from."""

    def __init__(self, run: Run, raw: Path, base: Path, datasets: Mapping[str, Any] = DATASETS) -> None:
        self.run, self.raw, self.base, self.datasets = run, raw, base, datasets
        self.texts = rows(6)

    def everything(self) -> FinishedRun:
        self.data()
        self.train()
        self.merge()
        self.awq()
        self.answers("base", None, None, self.base, BASE)
        self.answers(f"adapter-{ALPHA}", self.run.train, ALPHA, self.base, 0.8)
        self.answers("adapter-1", self.run.train, 1.0, self.base, 0.7)
        self.answers(f"awq-{ALPHA}", None, None, self.run.folder / f"awq-{ALPHA}", 0.75)
        return self

    def data(self) -> None:
        folder = self.run.data
        folder.mkdir(parents=True)
        for side in ("train", "val"):
            pq.write_table(pa.Table.from_pylist(self.texts), folder / f"{side}.parquet")
        kept = sum(row["kept"] for row in self.datasets.values())
        made = sum(one["rows"] for row in self.datasets.values() for one in row["made"])
        totals = {"kept": kept, "held_out": 12, "tokens": 50_000, "trained_tokens": 1_500, "made": made,
                  "dropped": {"duplicate": 2, "too long": 1}}  # fmt: skip
        (folder / "stats.json").write_text(json.dumps({"datasets": self.datasets, "totals": totals}))
        (folder / "blend.png").write_bytes(b"a picture")
        (folder / "contaminated.jsonl").write_text('{"question": "of the contest"}\n')
        (folder / "card.md").write_text("# Blend v8\n")
        finish(Step(folder, "data", {}), sorted(path.name for path in folder.iterdir()), raw=str(self.raw))

    def train(self, start: Any = None) -> None:
        folder = self.run.train
        folder.mkdir(parents=True)
        (folder / "adapter_model.safetensors").write_bytes(b"\1" * 4_000)
        stated = {"peft_type": "LORA", "r": 64, "base_model_name_or_path": SETTINGS["base_model"]}
        (folder / "adapter_config.json").write_text(json.dumps(stated))
        (folder / "axolotl.yaml").write_text(
            f"output_dir: {PLACE}/train\nlora_r: 64  # axolotl_configs/recipe.yaml.j2\n"
        )
        (folder / "trainer_state.json").write_text(
            json.dumps({"best_model_checkpoint": f"{PLACE}/train/checkpoint-85"})
        )
        (folder / "tokenizer_config.json").write_text('{"chat_template": "/not/a/path"}')
        (folder / "train.log").write_text(f"{PLACE} and all that\n")
        inputs = {
            "axolotl": SETTINGS, "base": stamp(self.base), "start": start,
            "data": {name: file_digest(self.run.data / name) for name in ("train.parquet", "val.parquet")},
        }  # fmt: skip
        outputs = ["adapter_model.safetensors", "adapter_config.json", "axolotl.yaml", "trainer_state.json"]
        environment = {"torch": "2.13.0+cpu", "axolotl": "0.16.0"}
        finish(
            Step(folder, "train", inputs), outputs, steps=85, environment=environment, base_loss=3.78, final_loss=1.16
        )

    def merge(self, alpha: float = ALPHA) -> None:
        folder = self.run.mixed("merged", alpha)
        folder.mkdir(parents=True)
        for name in ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"):
            (folder / name).write_bytes(f"{name} at {alpha}".encode() * 50)
        (folder / "config.json").write_text('{"model_type": "llama"}')
        (folder / "README.md").write_text("# The base's own card\n")
        inputs = {"base": stamp(self.base), "mixture": [[stamp(self.run.train), alpha]],
                  "padding": None, "round_trip": False}  # fmt: skip
        shards = [path.name for path in folder.glob("*.safetensors")]
        finish(Step(folder, "merge", inputs), sorted(path.name for path in folder.iterdir()), sealed=shards, notes=[])

    def awq(self) -> None:
        folder = self.run.folder / f"awq-{ALPHA}"
        folder.mkdir(parents=True)
        (folder / "model.safetensors").write_bytes(b"\3" * 1_000)
        (folder / "config.json").write_text('{"model_type": "llama", "quantization_config": {"bits": 4}}')

        def version(kl: float) -> dict[str, float]:
            return {"kl": kl, "top1_agreement": 1 - kl, "perplexity": 12 + kl}

        quality = {"texts": 40, "tokens": 2_000, "reference": version(0), "export": version(0.2), "rtn": version(0.44)}
        (folder / "quality.json").write_text(json.dumps(quality))
        inputs = {"model": stamp(self.run.mixed("merged", ALPHA)), "format": "awq", "group": 64}
        finish(
            Step(folder, "awq", inputs), ["model.safetensors", "config.json", "quality.json"],
            backend="gptqmodel", version="7.6.0", calibration="96 of 96 used (held-out rows)",
        )  # fmt: skip

    def answers(self, name: str, adapter: Path | None, alpha: float | None, model: Path, skill: float) -> None:
        """An evaluation on the held-out rows."""
        val = self.run.data / "val.parquet"
        asked = read_questions(val)
        told = {
            "model": stamp(model), "mixture": [[stamp(adapter), alpha]] if adapter else [],
            "questions": {val.name: file_digest(val)}, "engine": ["vllm", "auto", "exact", 2048],
            "selection": [None, [], []],
        }  # fmt: skip
        step = Step(self.run.folder / "eval" / name, "eval", {"answers": told})
        World.evaluated(step, name, asked, [_answer(question, skill) for question in asked])


def finish(step: Step, outputs: list[str], **facts: Any) -> None:
    """A manifest that is the same on every day."""
    step.finish(outputs, **facts)
    path = step.folder / NAME
    path.write_text(json.dumps({**json.loads(path.read_text()), **_OF_THE_DAY}, indent=2))
