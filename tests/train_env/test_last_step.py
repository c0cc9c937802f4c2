"""The last step of a training whose rows fill fewer bins than were counted, by transformers' own Trainer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from axolotl_configs.events import EVENTS, read_events

pytest.importorskip("axolotl")

ROWS = 7


def train(folder: Path, counted: int, **settings: Any) -> tuple[dict[str, Any], list[int]]:
    """One weight, trained on seven rows of which the loader says that they are ``counted``; the last event, and the
    steps after which the held-out rows were looked at."""
    import torch
    from torch.utils.data import DataLoader, Dataset
    from transformers import Trainer, TrainingArguments

    from axolotl_configs.plugin import _Events

    class Rows(Dataset[dict[str, torch.Tensor]]):
        def __len__(self) -> int:
            return ROWS

        def __getitem__(self, number: int) -> dict[str, torch.Tensor]:
            if number >= ROWS:
                raise IndexError
            return {"x": torch.ones(1), "labels": torch.ones(1)}

    class Model(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(1))

        def forward(self, x: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"loss": ((self.weight * x - labels) ** 2).mean(), "logits": x}

    class Bins(DataLoader[Any]):
        def __len__(self) -> int:
            return counted

    class Miscounting(Trainer):
        def get_train_dataloader(self) -> Any:
            return Bins(self.train_dataset, batch_size=1)

    chosen = {"max_steps": -1, "num_train_epochs": 1, "save_steps": 5, "eval_steps": 5, **settings}
    arguments = TrainingArguments(
        str(folder), use_cpu=True, report_to=[], eval_strategy="steps", save_strategy="steps", disable_tqdm=True,
        per_device_train_batch_size=1, **chosen,
    )  # fmt: skip
    rows = Rows()
    trainer = Miscounting(Model(), arguments, train_dataset=rows, eval_dataset=rows)
    trainer.add_callback(_Events(folder / EVENTS))
    trainer.train(resume_from_checkpoint=any(folder.glob("checkpoint-*")))
    looks = [entry["step"] for entry in trainer.state.log_history if "eval_loss" in entry]
    return list(read_events(folder / EVENTS))[-1], looks


@pytest.mark.parametrize("counted", [7, 8, 9])
@pytest.mark.parametrize("epochs", [1, 2])
def test_rows_that_run_out_early_end_in_the_last_step(counted: int, epochs: int, tmp_path: Path) -> None:
    end, looks = train(tmp_path, counted, num_train_epochs=epochs)
    assert (end["kind"], end["step"], end["steps"]) == ("end", ROWS * epochs, ROWS * epochs)
    assert looks == [*range(5, ROWS * epochs, 5), ROWS * epochs]
    assert (tmp_path / f"checkpoint-{ROWS * epochs}").is_dir()


def test_a_training_that_is_resumed_behind_its_last_row_has_ended(tmp_path: Path) -> None:
    train(tmp_path, 8)
    (tmp_path / EVENTS).unlink()  # killed before it could say so
    end, _ = train(tmp_path, 8)
    assert (end["kind"], end["step"], end["steps"]) == ("end", ROWS, ROWS)


def test_steps_that_were_asked_for_are_all_made(tmp_path: Path) -> None:
    end, looks = train(tmp_path, 8, max_steps=6)
    assert (end["step"], end["steps"], looks) == (6, 6, [5, 6])
