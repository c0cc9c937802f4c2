"""Fixtures that more than one folder of tests uses."""

from __future__ import annotations

import json
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

# Before anything reads it: no test sees or touches what an LLM has made in this checkout.
os.environ["RECIPE_SYNTHESIS"] = str(Path(tempfile.gettempdir()) / f"recipe-tests-{os.getpid()}" / "synthesis")

import pytest
from hypothesis import settings as properties
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit

from axolotl_configs import render, schema
from inference.answering.engines import settings
from spine import runs
from spine.paths import CONFIGS, SYNTHESIS

# A shell that runs the tests in the background has them ignore Ctrl-C, and all that they start, too.
signal.signal(signal.SIGINT, signal.default_int_handler)
properties.register_profile("here", deadline=None)  # the machine may be busy
properties.load_profile("here")


@pytest.fixture(scope="session", autouse=True)
def nothing_made() -> Iterator[None]:
    """Tests that let something be made do so in folders of their own."""
    yield
    assert not SYNTHESIS.parent.exists()


@pytest.fixture(autouse=True)
def a_cpu_with_bf16(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is resolved in a test does not depend on the machine that it runs on."""
    for module in (render, settings):
        monkeypatch.setattr(module, "bf16_on_cpu", lambda: True)


@pytest.fixture
def configs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of axolotl_configs that a test may spoil, and that resolving then reads."""
    return copied_configs(tmp_path, monkeypatch)


def copied_configs(folder: Path, patch: pytest.MonkeyPatch) -> Path:
    """A copy of axolotl_configs in ``folder``, which resolving reads from now on."""
    copy = folder / "axolotl_configs"
    shutil.copytree(CONFIGS, copy, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    for module in (schema, render):
        patch.setattr(module, "CONFIGS", copy)
    return copy


@pytest.fixture
def runs_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty runs folder."""
    monkeypatch.setattr(runs, "RUNS", tmp_path / "runs")
    return tmp_path / "runs"


CHATML = "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real tokenizer that counts words, in a folder as models come in."""
    folder = tmp_path_factory.mktemp("model")
    words = Tokenizer(WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    words.pre_tokenizer = WhitespaceSplit()  # type: ignore[assignment]
    words.add_special_tokens(["<|im_start|>", "<|im_end|>", "<filename>"])
    words.save(str(folder / "tokenizer.json"))
    config = {"chat_template": CHATML, "eos_token": {"content": "<|im_end|>"}}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return folder


def edit(path: Path, old: str, new: str) -> int:
    """Replaces ``old`` by ``new`` in a file, once; returns the line (1-based) where it stood."""
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {path}"
    path.write_text(text.replace(old, new), encoding="utf-8")
    return text[: text.index(old)].count("\n") + 1
