"""A user's checkout, small: a copy of this repository with a model of a few kB, in which the pages' commands are typed.

``python -m tests.docs.world`` in such a copy makes up what only hours of training and answering would leave there.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from recipe.walk.request import WalkRequest
from recipe.walk.stages import Stages
from spine.manifest import Step
from spine.paths import ROOT
from tests.conftest import edit
from tests.docs.typed import EXPORTED, NO_ENVIRONMENTS
from tests.postprocess.checkpoints import write_adapter, write_model
from tests.recipe.made_up import World
from tests.test_floors import HOUSE

_COPIED = (*HOUSE, "prompts", "requirements")
MODEL = "models/tiny"


def copied_checkout(folder: Path, tokenizer: Path) -> Path:
    """The repository in ``folder``, with a small model for the `cpu` profile and the files that a user has."""
    for name in _COPIED:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "Makefile", folder)
    shutil.copytree(ROOT / "tests", folder / "tests", ignore=shutil.ignore_patterns("__pycache__", "golden"))
    (folder / ".venvs").mkdir()
    (folder / ".venvs" / "core").symlink_to(sys.prefix)
    write_model(folder / MODEL, 2, max_position_embeddings=2048, eos_token_id=1)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(tokenizer / name, folder / MODEL)
    profile = folder / "axolotl_configs" / "profiles" / "cpu.yaml"
    edit(profile, "base_model: models/SmolLM2-135M-Instruct", f"base_model: {MODEL}")
    edit(profile, "embedded: true ", "embedded: false")
    _own_files(folder)
    return folder


def _own_files(folder: Path) -> None:
    """What the pages take for granted that a user has."""
    choice = {"input_field": "Which is a fruit?\n0. a fork\n1. a fig\nAnswer:", "output_field": "1"}
    asked = [
        {**choice, "input_field": f"Basket {at}: {choice['input_field']}", "task_type": "multiple-choice"}
        for at in range(20)
    ]
    for name in ("development.json", "questions.json", "data/ours.jsonl"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("".join(json.dumps(row) + "\n" for row in asked))
    (folder / "question.txt").write_text(choice["input_field"])


def _questions_to_the_shop(folder: Path) -> None:
    """What the reader of docs/sources.md reads."""
    faq = folder / "data" / "mine" / "shop_faq" / "questions.jsonl"
    faq.parent.mkdir(parents=True)
    rows = [{"id": f"q{at}", "question": f"Is number {at} in stock?", "answer": f"Number {at} is."} for at in range(80)]
    faq.write_text("".join(json.dumps(row) + "\n" for row in rows))


def type_in(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    """What comes of typing ``text`` in ``folder``, in a shell without variables of ours."""
    told = {key: value for key, value in os.environ.items() if key not in EXPORTED | {"MAKEFLAGS", "MAKELEVEL"}}
    told = {key: value for key, value in told.items() if not key.startswith("RECIPE_")}
    told |= {"PYTHONPATH": str(folder), "COLUMNS": "160"}
    told["PATH"] = os.pathsep.join([str(folder / ".venvs" / "core" / "bin"), told.get("PATH", "")])
    if "make" in text.split():
        text = " ".join([text, *NO_ENVIRONMENTS])
    return subprocess.run(
        ["bash", "-c", text], cwd=folder, env=told, input="y\n", capture_output=True, text=True, timeout=120,
        check=False,
    )  # fmt: skip


def _lived_in(folder: Path) -> None:
    """Adapters, and answers to each run's held-out rows and to one file for all. ``folder`` is this process's own."""
    _questions_to_the_shop(folder)
    world = World(Stages(WalkRequest("cpu", "")))
    world.do("train")
    for name in ("step-150", "step-192"):
        write_adapter(folder / name)
    for number, blend in enumerate(("v7", "v8", "v7b", "v9b")):
        train = folder / "runs" / "cpu" / blend / "train"
        for name in ("adapter", "checkpoint-150", "checkpoint-192"):
            write_adapter(folder / "made" / blend / name)
            shutil.copytree(folder / "made" / blend / name, train / name.removeprefix("adapter"), dirs_exist_ok=True)
        for step in (150, 192):
            (train / f"checkpoint-{step}" / "trainer_state.json").write_text("{}")
        start = world.stages.blends[blend].start
        inputs = {"made up": number, "start": start.as_json() if start else None}
        Step(train, "train", inputs).finish(["loss.csv", "adapter_model.safetensors"], steps=85)
    for blend, weight in (("v8", 0.5625), ("v9b", 0.25), ("v9b", 0.75), ("v8-more-ner", 1), ("v8-languages", 1)):
        run = folder / "runs" / "cpu" / blend
        own, shared = run / "data" / "val.parquet", folder / "runs" / "cpu" / "questions" / "test.parquet"
        for of, questions in (("", own), ("@development", shared), ("@test", shared)):
            world.answer(run / "eval" / f"adapter-{weight:g}{of}", f"{blend}, {weight:g}", questions, "v8", weight)
    run = folder / "runs" / "cpu" / "v8"
    world.answer(run / "eval" / "base", "the base", run / "data" / "val.parquet", "v8", 0)


if __name__ == "__main__":
    _lived_in(Path.cwd())
