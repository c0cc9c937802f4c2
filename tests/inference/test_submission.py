"""What the starter kit's class reads from the environment, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from inference.answering.answer import Setup
from inference.answering.submission import READERS, configured
from spine.errors import RecipeError
from spine.mixture import Mixture
from spine.paths import ROOT


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text('{"max_position_embeddings": 2048}')
    (tmp_path / "adapter").mkdir()
    return tmp_path


def test_a_model_is_enough(folder: Path) -> None:
    model = str(folder / "model")
    setup, batch = configured({"RECIPE_MODEL": model, "RECIPE_MODE": "", "RECIPE_RUNS": "/elsewhere", "HOME": "/"})
    assert batch == 16 and setup == Setup(model=model, engine="vllm", max_length=2048, gpus=setup.gpus)


def test_every_variable_reaches_what_it_is_called_after(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    given = {
        "MODEL": "model", "ADAPTER": "adapter", "ALPHA": "0.56", "ENGINE": "transformers", "MODE": "winners",
        "DTYPE": "float16", "MAX_LENGTH": "1024", "GPUS": "0", "BATCH": "4",
    }  # fmt: skip
    assert {f"RECIPE_{name}" for name in given} == set(READERS)
    setup, batch = configured({f"RECIPE_{name}": text for name, text in given.items()})
    assert batch == 4 and setup == Setup(
        model=str(folder / "model"), mixture=Mixture.of(folder / "adapter", 0.56), engine="transformers",
        mode="winners", dtype="float16", max_length=1024, gpus=0,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "text", "what"),
    [
        ("MODEL", "/no/such/model", "is no folder"),
        ("MODEL", "", "names no model"),
        ("ADAPTER", "/no/such/adapter", "'/no/such/adapter' is no folder"),
        ("ALPHA", "2.1", "'2.1' is no number from 0 to 2"),
        ("ALPHA", "nan", "is no number"),
        ("ALPHA", "0.5", "RECIPE_ADAPTER names none"),
        ("ENGINE", "VLLM", "is none of transformers, vllm"),
        ("MODE", "strict", "is none of winners, exact, free"),
        ("BATCH", "17", "is no whole number from 1 to 16"),
        ("MAX_LENGTH", "1e3", "is no whole number from 512"),
        ("GPUS", "-1", "is no whole number from 0"),
        ("DTYPE", "half", "is none of auto"),
        ("MODLE", "x", "nothing reads this variable\n  -> did you mean 'RECIPE_MODE'"),
    ],
)
def test_a_wrong_variable_is_named(folder: Path, name: str, text: str, what: str) -> None:
    with pytest.raises(RecipeError) as error:
        configured({"RECIPE_MODEL": str(folder / "model"), f"RECIPE_{name}": text})
    assert str(error.value).startswith(f"RECIPE_{name}: ") and what in str(error.value)


def test_all_wrong_variables_are_named_at_once() -> None:
    with pytest.raises(RecipeError) as error:
        configured({"RECIPE_MODE": "x", "RECIPE_BATCH": "0"})
    assert [line.split(":")[0] for line in str(error.value).splitlines() if not line.startswith("  ")] == [
        "RECIPE_MODE", "RECIPE_BATCH", "RECIPE_MODEL",
    ]  # fmt: skip


def test_the_docs_explain_every_variable() -> None:
    text = (ROOT / "docs" / "contest.md").read_text(encoding="utf-8")
    assert all(f"`{name}`" in text for name in READERS)
