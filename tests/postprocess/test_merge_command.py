"""``recipe merge``, ``pad`` and ``verify`` as typed: plans shown, mistakes refused, nothing written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from recipe.commands import root
from spine.checkpoint import SINGLE
from spine.errors import RecipeError
from spine.runs import Run
from tests.postprocess.checkpoints import write_adapter, write_model

BLEND = "v8"


@pytest.fixture(autouse=True)
def models(tmp_path: Path, runs_folder: Path) -> Iterator[Path]:
    """``base``, ``one``, ``two``; afterwards nothing else may be there."""
    write_model(tmp_path / "base", 2)
    for name in ("one", "two"):
        write_adapter(tmp_path / name)
    yield tmp_path
    assert {path.name for path in tmp_path.iterdir() if path.name != "runs"} == {"base", "one", "two"}


def run(folder: Path, *arguments: str) -> Result:
    """Words in capitals stand for paths in ``folder``."""
    words = [word.replace("@", f"{folder}/") for word in arguments]
    return CliRunner(env={"COLUMNS": "200", "ALPHA": "", "CHECKPOINTS": ""}).invoke(root, words)


def refused(folder: Path, *arguments: str) -> str:
    """The message of a mistake: ours, or click's own."""
    found = run(folder, *arguments)
    assert found.exit_code != 0 and found.exception is not None
    assert isinstance(found.exception, RecipeError | SystemExit), found.exception
    return str(found.exception) if isinstance(found.exception, RecipeError) else found.output


MERGE = ("merge", "--base", "@base", "--out", "@out")


def test_a_plan_is_shown_and_nothing_written(models: Path) -> None:
    shown = run(models, *MERGE, "--add", "@one=0.5", "--add", "@two=0.25", "--alpha", "0.5,1", "--dry-run")
    assert shown.exit_code == 0, shown.output
    text = " ".join(shown.output.split())
    assert "2 files of" in text and "copy 15 " in text and "merge 4 " in text
    assert "out-0.5" in text and f"0.25 x {models}/one, 0.125 x {models}/two" in text
    assert "out-1 " in text and f"0.5 x {models}/one, 0.25 x {models}/two" in text and "there is room" in text


def test_padding_is_planned_with_its_reason(models: Path) -> None:
    shown = run(models, "pad", "--model", "@base", "--out", "@out", "--tp", "2", "--group", "8", "--dry-run")
    assert shown.exit_code == 0, shown.output
    assert "intermediate size 12 -> 16: 2 x 1 groups of 8" in shown.output
    shown = run(models, *MERGE, "--add", "@one", "--pad", "--dry-run")
    assert "intermediate size 12 -> 512: 4 x 1 groups of 128" in shown.output
    shown = run(models, "pad", "--model", "@base", "--out", "@out", "--tp", "1", "--group", "4", "--dry-run")
    assert "nothing to add" in shown.output


@pytest.mark.parametrize(
    ("alpha", "said"),
    [
        ("1.5", r"the weight 1.5 is outside [0, 1]"),
        ("-0.1", "the weight -0.1 is outside"),
        ("nan", "the weight nan is outside"),
        ("inf", "the weight inf is outside"),
        ("half", "'half' is no number"),
        ("0.5,", "'' is no number"),
        ("0.5,0.50", "the weight 0.5 is there twice"),
        ("0.5,0.50000001", "the weight 0.50000001 has more digits than"),  # it would be called out-0.5, too
    ],
)
def test_weights_that_are_none(alpha: str, said: str, models: Path) -> None:
    message = refused(models, *MERGE, "--add", "@one", "--alpha", alpha, "--dry-run")
    assert f"ALPHA={alpha}" in message and said in message


def test_weights_beyond_one_are_asked_for(models: Path) -> None:
    assert "--beyond-one allows up to 2" in refused(models, *MERGE, "--add", "@one", "--alpha", "1.5", "--dry-run")
    shown = run(models, *MERGE, "--add", "@one", "--alpha", "1.5,2", "--beyond-one", "--dry-run")
    assert shown.exit_code == 0 and f"1.5 x {models}/one" in shown.output
    message = refused(models, *MERGE, "--add", "@one", "--alpha", "2.1", "--beyond-one", "--dry-run")
    assert "outside [0, 2]" in message


@pytest.mark.parametrize("share", ["1.5", "-1", "nan", "x", "0.5,0.5", ""])
def test_shares_are_weights_too(share: str, models: Path) -> None:
    message = refused(models, *MERGE, "--add", f"@one={share}", "--dry-run")
    assert f"--add {models}/one={share}" in message and ("is outside [0, 1]" in message or "is no number" in message)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("merge",), "name a BLEND"),
        (("merge", BLEND, "--base", "@base"), "name a BLEND, or give --base"),
        (("merge", "--base", "@base"), "--base needs --out"),
        (("pad", "--model", "@base"), "--model needs --out"),
        (("pad",), "name a BLEND"),
        (("pad", "--model", "@base", "--out", "@out", "--by", "0"), "--by"),
        (("merge", "--base", "@none", "--out", "@out"), "the hub's cache on this disk does not hold it"),
        ((*MERGE, "--add", "@none"), "no adapter and no model"),
        (("merge", "--base", "@base", "--add", "@one", "--out", "@base"), "input's folder"),
        (("merge", "--base", "@base", "--add", "@one", "--out", "@one"), "input's folder"),
        (("merge", "--base", "@base", "--add", "@one", "--out", "@two"), "holds files that are no result of merge"),
        (("merge", "--base", "@base", "--add", "@one", "--out", "@one/x"), "input's folder"),
        (("merge", BLEND), "the adapter is not trained yet"),
        (("merge", BLEND, "--checkpoints", "150,x"), "CHECKPOINTS=150,x: 'x' is no number of steps"),
        (("merge", BLEND, "--checkpoints", "150,150"), "checkpoint 150 is there twice"),
        (("merge", BLEND, "--checkpoints", "150"), "no whole checkpoint 150; there are: none"),
        (("merge", "--base", "@base", "--out", "@out", "--checkpoints", "150"), "--checkpoints are a BLEND's"),
        (("pad", BLEND, "--by", "8"), "the adapter is not trained yet"),
        (("verify", "@none"), "no such model folder"),
        (("verify", "@base", "--forward"), "--forward needs --against"),
    ],
)
def test_mistakes_are_explained(arguments: tuple[str, ...], said: str, models: Path) -> None:
    more = () if arguments[0] == "verify" else ("--dry-run",)
    assert said in refused(models, *arguments, *more)
    if "@none" not in arguments and arguments[0] == "merge" and "--base" in arguments:
        assert said in refused(models, *arguments)  # not only when nothing would be written anyway


def checkpoint(train: Path, step: int, *, whole: bool = True) -> None:
    """As transformers leaves one; ``trainer_state.json`` comes last."""
    folder = write_adapter(train / f"checkpoint-{step}")
    if whole:
        (folder / "trainer_state.json").write_text("{}")


def test_checkpoints_are_averaged_before_they_are_weighed(models: Path, runs_folder: Path) -> None:
    train = Run.of("cpu", BLEND, {"base_model": str(models / "base")}).train
    for step in (102, 150, 192):
        checkpoint(train, step, whole=step != 102)
    asked = ("merge", BLEND, "-p", "cpu", "--set", f"base_model={models}/base", "--alpha", "0.25,1", "--dry-run")
    shown = run(models, *asked, "--checkpoints", "150,192")
    assert shown.exit_code == 0, shown.output
    assert f"0.125 x {train}/checkpoint-150, 0.125 x {train}/checkpoint-192" in shown.output
    assert "/merged-0.25-average-150-192 " in shown.output and "/merged-1-average-150-192 " in shown.output
    assert run(models, *asked, "--checkpoints", "-2,-1").output == shown.output
    assert "no whole checkpoint -3" in refused(models, *asked, "--checkpoints", "-3,-1")
    assert "checkpoint 192 is there twice" in refused(models, *asked, "--checkpoints", "192,-1")
    message = refused(models, *asked, "--checkpoints", "102,150")  # 102 was cut off while it was written
    assert "no whole checkpoint 102; there are: 150, 192" in message and "save_total_limit" in message


def test_a_truncated_shard_is_refused(models: Path) -> None:
    shard = models / "base" / "model-00002-of-00002.safetensors"
    shard.write_bytes(shard.read_bytes()[:-10])
    assert "model-00002-of-00002.safetensors: broken safetensors file: cut short" in refused(
        models, *MERGE, "--add", "@one"
    )
    assert "cut short" in refused(models, "verify", "@base")
    for shard in (models / "base").glob("*.safetensors*"):
        shard.unlink()
    (models / "base" / SINGLE).write_bytes(b"")
    assert "not a safetensors file, or cut short: 0 bytes" in refused(models, *MERGE, "--add", "@one")
