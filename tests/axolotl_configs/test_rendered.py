"""axolotl_configs/rendered: what one reads there is what runs, whatever machine it was written on."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
import yaml

from axolotl_configs import render
from axolotl_configs.render import resolve
from axolotl_configs.schema import names
from dataset_builders.task import task_names
from recipe.commands.render import FOLDER, place, rendered
from spine.paths import CONFIGS, ROOT

PAIRS = [(blend, profile) for blend in names("blends") for profile in names("profiles")]


def test_every_file_is_what_make_rendered_writes_and_there_is_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(render, "bf16_on_cpu", lambda: False)  # this CPU's affair, not the files'
    there = {path.relative_to(CONFIGS): path.read_text() for path in (CONFIGS / FOLDER).rglob("*") if path.is_file()}
    wanted = rendered()
    assert there.keys() == wanted.keys() == {place(*pair) for pair in PAIRS}, "make rendered"
    assert [str(name) for name in wanted if there[name] != wanted[name]] == [], (
        "if that is as it should be: make rendered"
    )


@pytest.mark.parametrize(("blend", "profile"), PAIRS)
def test_it_is_what_a_run_hands_to_axolotl(blend: str, profile: str) -> None:
    resolved, path = resolve(blend, profile, {}, task_names()), CONFIGS / place(blend, profile)
    text = path.read_text()
    assert text.endswith(resolved.yaml) and yaml.safe_load(text) == resolved.axolotl
    paths = [row["path"] for key in ("datasets", "test_datasets") for row in resolved.axolotl[key]]
    paths += [resolved.axolotl[key] for key in ("dataset_prepared_path", "output_dir")]
    assert all(Path(name).parts[:3] == ("runs", profile, blend) for name in paths)  # relative to the repository's root
    (train,) = (line[1:].split() for line in text.splitlines() if line.startswith("#   axolotl train "))
    assert ROOT / train[2] == path and ("torchrun" in train) == (resolved.processes > 1)
    assert f"--nproc_per_node={resolved.processes}" in shlex.join(train) or resolved.processes == 1
