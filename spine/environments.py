"""The other environments' interpreters: `recipe` runs in core and starts them; the user activates nothing."""

from __future__ import annotations

import os
from pathlib import Path

from spine.errors import RecipeError
from spine.paths import VENVS, shown


def python(name: str) -> Path:
    """The interpreter of ``.venvs/<name>``.

    Raises:
        RecipeError: the environment is not installed, or not to the end (its stamp is written last).
    """
    folder = VENVS / name
    if not any(folder.glob(".installed-*")):
        raise RecipeError(f"the {name} environment is not installed", where=shown(folder), way_out=f"make env-{name}")
    return folder / "bin" / "python"


def variables(name: str, *, offline: bool) -> dict[str, str]:
    """Environment variables for a program of ``.venvs/<name>``; what the user has set wins.

    ``offline``: all files are on this disk, so that nothing waits for a hub that may be out of reach.
    """
    ours = {
        "AXOLOTL_DO_NOT_TRACK": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "TOKENIZERS_PARALLELISM": "false",  # forked workers beside a threaded tokenizer warn or hang
    }
    if offline:
        ours |= {"HF_HUB_OFFLINE": "1"}
    # axolotl starts `accelerate` by name, so the environment's bin must come first.
    path = os.pathsep.join([str(python(name).parent), os.environ.get("PATH", "")])
    return {**ours, **os.environ, "PATH": path}
