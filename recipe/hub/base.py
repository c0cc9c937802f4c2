"""The base model as the hub knows it: its name there and its licence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dataset_builders.published.declare import HUB, Licence
from spine.models import is_local
from spine.paths import EMBEDDED, ROOT

# The embedded model comes out of a package that does not name the repository it was made from.
_ON_HUB = {str(EMBEDDED.relative_to(ROOT)): "HuggingFaceTB/SmolLM2-135M-Instruct"}
# From each model's page on the hub; by the longest beginning of a name that is here.
_LICENCES = {
    "HuggingFaceTB/SmolLM2-": ("Apache-2.0", ""),
    "Qwen/Qwen2-72B": ("tongyi-qianwen", "/blob/main/LICENSE"),
    "Qwen/Qwen2-": ("Apache-2.0", ""),
    "Qwen/Qwen2.5-32B": ("Apache-2.0", ""),
}


@dataclass(frozen=True)
class Base:
    """``hub``: its name there; None for a folder of the user's own. ``licence``: None where nobody here knows it."""

    name: str
    hub: str | None
    licence: Licence | None


def base_of(settings: Mapping[str, Any], told: str | None) -> Base:
    """The base of a training.

    Args:
        settings: axolotl's, as the training's manifest has them.
        told: what the user says that it is called on the hub.
    """
    given = str(settings["base_model"]).rstrip("/")
    ours = is_local(given) or given.startswith(("/", ".", "models/"))
    hub = told or _ON_HUB.get(given) or (None if ours else given)
    found = max((start for start in _LICENCES if (hub or "").startswith(start)), key=len, default=None)
    licence = None
    if found and hub:
        name, page = _LICENCES[found]
        licence = Licence(name, f"{HUB}/{hub}{page}")
    return Base((hub or given).rpartition("/")[2], hub, licence)
