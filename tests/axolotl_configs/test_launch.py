"""Run folders before and after training: what is resumed, set aside, thrown away, or refused."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from zipfile import ZipFile

import pytest

from axolotl_configs.events import Follower, read_events
from axolotl_configs.launch import is_whole, prepare_folder, read_result
from spine.errors import RecipeError
from spine.manifest import Step


def adapter_bytes(values: int = 4) -> bytes:
    header = json.dumps({"a": {"dtype": "F32", "shape": [values], "data_offsets": [0, 4 * values]}}).encode()
    return struct.pack("<Q", len(header)) + header + bytes(4 * values)


def checkpoint(folder: Path, step: int, weights: bytes, state: str = "{}") -> Path:
    made = folder / f"checkpoint-{step}"
    made.mkdir(parents=True)
    (made / "adapter_model.safetensors").write_bytes(weights)
    (made / "trainer_state.json").write_text(state)
    return made


def started(step: Step) -> None:
    step.folder.mkdir(parents=True, exist_ok=True)
    (step.folder / "started.json").write_text(json.dumps({"key": step.key}))


def test_whole_checkpoints_of_the_same_run_stay(tmp_path: Path) -> None:
    step = Step(tmp_path / "train", "train", {"lr": 1})
    started(step)
    whole = checkpoint(step.folder, 10, adapter_bytes())
    prepare_folder(step)
    assert whole.is_dir()


@pytest.mark.parametrize("name", ["optimizer.pt", "scheduler.pt", "rng_state.pth", "deep/a_optim_states.pt"])
def test_a_checkpoint_that_torch_could_not_load_is_left_aside(name: str, tmp_path: Path) -> None:
    step = Step(tmp_path / "train", "train", {"lr": 1})
    started(step)
    newest, before = checkpoint(step.folder, 20, adapter_bytes()), checkpoint(step.folder, 10, adapter_bytes())
    for made in (newest, before):
        (made / name).parent.mkdir(exist_ok=True)
        with ZipFile(made / name, "w") as archive:
            archive.writestr("data.pkl", bytes(1_000))
    (newest / name).write_bytes((newest / name).read_bytes()[:-30])
    assert not is_whole(newest) and is_whole(before)
    prepare_folder(step)
    assert [path.name for path in step.folder.glob("*checkpoint-*")].count("damaged-checkpoint-20") == 1
    assert before.is_dir() and not newest.exists()


@pytest.mark.parametrize(
    ("weights", "state"),
    [
        (adapter_bytes()[:-1], "{}"),
        (b"", "{}"),
        (b"\xff" * 40, "{}"),
        (adapter_bytes(), "{"),
        (adapter_bytes() + b"x", "{}"),
    ],
)
def test_checkpoints_cut_off_by_a_kill_are_removed(tmp_path: Path, weights: bytes, state: str) -> None:
    step = Step(tmp_path / "train", "train", {"lr": 1})
    started(step)
    broken, whole = checkpoint(step.folder, 20, weights, state), checkpoint(step.folder, 10, adapter_bytes())
    prepare_folder(step)
    assert not broken.exists() and whole.is_dir()


def test_a_training_with_other_inputs_is_set_aside_not_deleted(tmp_path: Path) -> None:
    for lr in (1, 2, 3):
        step = Step(tmp_path / "train", "train", {"lr": lr})
        prepare_folder(step)
        started(step)
        checkpoint(step.folder, lr, adapter_bytes())
    assert (tmp_path / "train.1" / "checkpoint-1").is_dir()
    assert (tmp_path / "train.2" / "checkpoint-2").is_dir()
    assert [path.name for path in step.folder.glob("checkpoint-*")] == ["checkpoint-3"]


def test_an_adapter_without_its_checkpoints_is_set_aside_too(tmp_path: Path) -> None:
    step = Step(tmp_path / "train", "train", {"lr": 2})
    finished(step.folder, [])
    (step.folder / "started.json").write_text("{ cut off")
    prepare_folder(step)
    assert (tmp_path / "train.1" / "adapter_model.safetensors").exists() and list(step.folder.iterdir()) == []


def finished(folder: Path, history: list[dict[str, float]], step: int = 10) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "adapter_model.safetensors").write_bytes(adapter_bytes())
    (folder / "trainer_state.json").write_text(json.dumps({"log_history": history}))
    (folder / "events.jsonl").write_text(json.dumps({"kind": "end", "step": step, "steps": 10}) + "\n")
    return folder


def test_the_result_is_the_first_and_the_last_held_out_loss(tmp_path: Path) -> None:
    history = [{"step": 0, "eval_loss": 3.5}, {"step": 5, "loss": 2.0}, {"step": 10, "eval_loss": 1.5}]
    found = read_result(finished(tmp_path, history))
    assert (found.steps, found.base_loss, found.final_loss) == (10, 3.5, 1.5)


def test_a_run_that_ended_early_is_no_result(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="before the last step"):
        read_result(finished(tmp_path, [], step=9))


def test_the_end_of_an_earlier_attempt_does_not_count(tmp_path: Path) -> None:
    folder = finished(tmp_path, [])
    with (folder / "events.jsonl").open("a") as out:
        out.write(json.dumps({"kind": "begin", "step": 0, "steps": 10}) + "\n")
    with pytest.raises(RecipeError, match="before the last step"):
        read_result(folder)


def test_a_loss_that_is_not_finite_is_no_result(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"not finite(.|\n)*learning_rate"):
        read_result(finished(tmp_path, [{"step": 1, "loss": float("nan")}]))


def test_events_are_followed_line_by_whole_line(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text('{"step": 0}\n')
    follower = Follower(path)
    assert list(follower.new()) == []  # what was there before is of an earlier attempt
    with path.open("a") as out:
        out.write('{"step": 1}\n{"st')
        out.flush()
        assert list(follower.new()) == [{"step": 1}]
        out.write('ep": 2}\n')
        out.flush()
        assert list(follower.new()) == [{"step": 2}]


def test_half_a_line_of_a_killed_attempt_spoils_nothing(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text('{"step": 1}\n{"ste')
    follower = Follower(path)
    with path.open("a") as out:
        out.write('{"step": 2}\n')
    assert list(follower.new()) == [{"step": 2}]
    assert list(read_events(path)) == [{"step": 1}, {"step": 2}]
