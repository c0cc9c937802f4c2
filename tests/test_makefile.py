"""The Makefile's promises about environments, tried with tiny requirements and a real pip."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from recipe.paths import ROOT


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key not in ("MAKEFLAGS", "MAKELEVEL")}
    return subprocess.run(
        ["make", *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False
    )


@pytest.fixture
def tiny(tmp_path: Path) -> list[str]:
    """Make variables for environments in a folder of their own, which install nothing from a network."""
    requirements = tmp_path / "requirements"
    requirements.mkdir()
    for name in ("train.txt", "model.txt", "core.txt"):
        (requirements / name).write_text("# nothing\n")
    # RECIPE=true: an empty core environment has no `recipe` that could be asked.
    return [f"VENVS={tmp_path / 'venvs'}", f"REQUIREMENTS={requirements}", "TORCH=pip", "RECIPE=true"]


def test_make_alone_prints_every_public_target() -> None:
    shown = make().stdout
    for target in ("train-BLEND", "data-BLEND", "show-BLEND", "test", "test-fast", "bench", "env-train", "sample-data"):
        assert f"make {target} " in shown


def test_the_readme_and_the_makefile_agree() -> None:
    readme = (ROOT / "README.md").read_text()
    assert "make train-v8" in readme and "make test" in readme
    dry = make("-n", "train-v8", "SET=lora_r=32", "PROFILE=cpu", "LAUNCH=--launcher python")
    assert "recipe train v8 -- --launcher python" in dry.stdout


@pytest.mark.slow  # makes real environments
def test_an_interrupted_install_leaves_no_stamp_and_is_done_again(tmp_path: Path, tiny: list[str]) -> None:
    requirements = tmp_path / "requirements" / "train.txt"
    requirements.write_text("/no/such/package.whl\n")
    failed = make("env-train", *tiny)
    assert failed.returncode != 0 and "no/such/package.whl" in failed.stderr
    assert not list((tmp_path / "venvs" / "train").glob(".installed-*"))
    requirements.write_text("# mended\n")
    assert make("env-train", *tiny).returncode == 0
    assert len(list((tmp_path / "venvs" / "train").glob(".installed-*"))) == 1


@pytest.mark.slow  # makes real environments
def test_nothing_is_reinstalled_while_the_content_is_the_same(tmp_path: Path, tiny: list[str]) -> None:
    first, second = make("env-train", *tiny), make("env-train", *tiny)
    assert "installing the train environment" in first.stdout and "about 5 min" in first.stdout
    assert "installing" not in second.stdout and second.returncode == 0
    requirements = tmp_path / "requirements" / "train.txt"
    requirements.touch()
    assert "installing" not in make("env-train", *tiny).stdout
    requirements.write_text("# something else\n")
    assert "installing the train environment" in make("env-train", *tiny).stdout


def test_a_python_that_is_too_old_is_refused_before_anything_is_made(tmp_path: Path, tiny: list[str]) -> None:
    old = tmp_path / "python"
    old.write_text("#!/bin/sh\necho 'needs Python 3.11 or 3.12' >&2; exit 1\n")  # what the check of a 3.10 prints
    old.chmod(0o755)
    assert make("env-train", *tiny, f"PYTHON={old}").returncode != 0
    assert not (tmp_path / "venvs" / "train").exists()
