"""Where things lie. Everything is relative to the checkout, so that a clone is self-contained."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROMPTS = ROOT / "prompts"
EMBEDDED = ROOT / "models" / "SmolLM2-135M-Instruct"
SAMPLE = ROOT / "data" / "sample"
# Tests and users with a bigger disk move these; everything else stays inside the checkout.
CONFIGS = Path(os.environ.get("RECIPE_CONFIGS", ROOT / "axolotl_configs")).absolute()
RUNS = Path(os.environ.get("RECIPE_RUNS", ROOT / "runs")).absolute()
CACHE = Path(os.environ.get("RECIPE_CACHE", ROOT / "data" / "cache")).absolute()
SYNTHESIS = Path(os.environ.get("RECIPE_SYNTHESIS", ROOT / "data" / "synthesis")).absolute()
VENVS = Path(os.environ.get("RECIPE_VENVS", ROOT / ".venvs")).absolute()


def shown(path: Path) -> str:
    """``path`` as a user standing in the checkout would type it."""
    path = path.absolute()
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)
