"""Several processes: axolotl with the YAML of ``8xa100`` and the shipped DeepSpeed files, on a CPU.

Two processes on this machine, bf16, QLoRA, by axolotl's own launcher; ``gloo.Gloo`` lets accelerate and DeepSpeed do so
without a GPU. What that proves and what not: docs/gpus.md.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from axolotl_configs.render import ASKING_PLUGIN, parse_set, resolve
from dataset_builders.task import task_names
from recipe.smoke import pico
from spine.paths import ROOT

pytest.importorskip("torch")
from tests.train_env.picos import write_adapter

pytestmark = pytest.mark.slow
MODEL = ROOT / "models" / "SmolLM2-135M-Instruct"
STEPS, ROWS_A_STEP = 4, 8
# What is for GPUs alone: the fused kernels, tf32. No dropout: its random numbers are another stream in each process.
CPU = (
    f"gradient_accumulation_steps=1 max_steps={STEPS} warmup_steps=1 lora_dropout=0 tf32=false save_steps=2 "
    "eval_steps=1000 sample_packing=false pad_to_sequence_len=false learning_rate=1e-3 dataset_num_proc=1 "
    "dataloader_num_workers=0 lora_qkv_kernel=false lora_o_kernel=false lora_mlp_kernel=false "
    "lora_embedding_kernel=false"
)


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a pico Qwen2 and rows of many lengths."""
    if not MODEL.is_dir():
        pytest.fail("the embedded model is missing: make model")
    folder = tmp_path_factory.mktemp("distributed")
    pico.write(MODEL, folder / "pico", "qwen2")
    write_adapter(folder / "pico", folder / "adapter", r=64, lora_alpha=32)  # the same start, whatever is drawn before
    for name, count in (("train", STEPS * ROWS_A_STEP), ("val", 9)):
        rows: list[dict[str, Any]] = [
            {"messages": [{"role": "user", "content": f"How many {'small ' * (number % 7)}cups are {number} cups?"},
                          {"role": "assistant", "content": f"{number} " * (1 + number % 5)}]}
            for number in range(count)
        ]  # fmt: skip
        if name == "val":  # questions, of which a model that says always the same has some right
            rows = [{"messages": [{"role": "user", "content": f"Cup {number}?\n0. red\n1. blue\n2. green\nAnswer:"},
                                  {"role": "assistant", "content": str(number % 3)}],
                     "task": "cups", "task_type": "multiple-choice", "track": 1, "truth": str(number % 3)}
                    for number in range(count)]  # fmt: skip
        pq.write_table(pa.Table.from_pylist(rows), folder / f"{name}.parquet")
    return folder


def train(workshop: Path, name: str, processes: int, deepspeed: str | None, **changed: Any) -> Path:
    """The run folder after ``axolotl train``; goes on with what is in it."""
    folder = workshop / name
    folder.mkdir(exist_ok=True)
    given = (
        f"base_model={workshop / 'pico'} lora_model_dir={workshop / 'adapter'} {CPU} deepspeed={deepspeed or 'null'}"
    )
    settings = dict(resolve("v8", "8xa100", parse_set(given), task_names(), there=processes).axolotl)
    settings |= {"output_dir": str(folder), "dataset_prepared_path": str(folder / "prepared"), **changed}
    for key, file in (("datasets", "train"), ("test_datasets", "val")):
        settings[key] = [{**settings[key][0], "path": str(workshop / f"{file}.parquet")}]
    settings["plugins"] = [*settings["plugins"], "tests.train_env.gloo.Gloo"]
    (folder / "axolotl.yaml").write_text(yaml.safe_dump(settings))
    launcher = ["torchrun", "--", f"--nproc_per_node={processes}", "--standalone"] if processes > 1 else ["python"]
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    with (folder / "train.log").open("ab") as log:
        done = subprocess.run(
            ["axolotl", "train", str(folder / "axolotl.yaml"), "--launcher", *launcher],
            cwd=ROOT, env={**os.environ, "PATH": path, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"},
            stdout=log, stderr=subprocess.STDOUT, timeout=600, check=False,
        )  # fmt: skip
    assert done.returncode == 0, (folder / "train.log").read_text()[-5000:]
    return folder


def history(folder: Path, key: str) -> list[float]:
    """Of every logged step."""
    entries: list[dict[str, Any]] = json.loads((folder / "trainer_state.json").read_text())["log_history"]
    return [entry[key] for entry in entries if key in entry]


@pytest.fixture(scope="module")
def alone(workshop: Path) -> Path:
    """The same rows in one process."""
    return train(workshop, "alone", 1, None)


def test_two_processes_learn_what_one_does(workshop: Path, alone: Path) -> None:
    """To bf16's rounding: the head multiplies as many places as a batch has answers in, another number in each."""
    both = train(workshop, "ddp", 2, None)
    assert history(both, "loss") == pytest.approx(history(alone, "loss"), rel=1e-4)
    assert history(both, "grad_norm") == pytest.approx(history(alone, "grad_norm"), rel=5e-3)
    assert history(both, "eval_loss") == pytest.approx(history(alone, "eval_loss"), rel=1e-4)


@pytest.mark.parametrize("stage", [2, 3])
def test_deepspeed_learns_what_one_process_does_and_goes_on_where_it_was(
    stage: int, workshop: Path, alone: Path
) -> None:
    """Its LoRA weights are bf16 beside an fp32 copy, so losses agree to bf16's rounding and no further."""
    name, file = f"zero{stage}", f"axolotl_configs/deepspeed/zero{stage}.json"
    folder = train(workshop, name, 2, file)
    for process in (0, 1):  # written by DeepSpeed alone, by each process its own part
        assert list(folder.glob(f"checkpoint-2/global_step2/*zero_pp_rank_{process}_mp_rank_00_optim_states.pt"))
    whole = history(folder, "loss")
    assert whole == pytest.approx(history(alone, "loss"), rel=2e-3) and len(whole) == STEPS
    # The first two steps see the same weights (the first one's learning rate is 0), so their gradients tell most.
    assert history(folder, "grad_norm")[:2] == pytest.approx(history(alone, "grad_norm")[:2], rel=5e-3)
    assert history(folder, "grad_norm") == pytest.approx(history(alone, "grad_norm"), rel=2e-2)
    shutil.rmtree(folder / f"checkpoint-{STEPS}")
    for path in (folder / "adapter_model.safetensors", folder / "trainer_state.json"):
        path.unlink()
    assert history(train(workshop, name, 2, file), "loss") == pytest.approx(whole, rel=1e-6)


def test_questions_are_shared_by_the_processes_and_scored_as_one_process_scores_them(workshop: Path) -> None:
    asking = {"eval_questions": 9, "max_steps": 2, "plugins": [ASKING_PLUGIN, "axolotl_configs.plugin.RecipePlugin"]}
    one = history(train(workshop, "asked", 1, None, **asking), "eval_score")
    zero = train(workshop, "asked-zero2", 2, "axolotl_configs/deepspeed/zero2.json", **asking)
    both = history(zero, "eval_score")
    assert len(one) == len(both) == 2 and one[0] > 0
    assert both == pytest.approx(
        one, abs=1.5 / 9
    )  # before the first step and after the last; bf16 may flip one of nine
    assert history(zero, "eval_score_track1") == both


def test_packed_rows_whose_answers_weigh_the_same_go_through_deepspeed(workshop: Path) -> None:
    """The step's answers are counted over both processes: a mean of some nats, whatever the number of bins."""
    packed = {"sample_packing": True, "sequence_len": 96, "answers_weigh": "equally"}
    losses = history(train(workshop, "packed", 2, "axolotl_configs/deepspeed/zero2.json", **packed), "loss")
    assert len(losses) == STEPS and losses == pytest.approx([10.7] * STEPS, abs=0.5)
