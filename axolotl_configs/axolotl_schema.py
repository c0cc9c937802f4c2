"""Writes ``axolotl_schema.json``: the keys and types that the pinned axolotl knows, and our plugin's.

Run in the training environment by ``make axolotl-schema`` after changing axolotl's version. With that file
the core environment checks axolotl's keys in milliseconds and without torch, and more strictly than axolotl:
its own models drop an unknown key without a word (``lora_rr: 3``), ours say which one was meant.
"""

from __future__ import annotations

import json
from importlib.metadata import version
from typing import Any

from axolotl.utils.schemas.config import AxolotlInputConfig
from pydantic.json_schema import GenerateJsonSchema

from axolotl_configs.check import SCHEMA_FILE
from axolotl_configs.plugin import RecipeArgs

_PROSE = {"title", "description", "default", "examples", "deprecated"}


class _Schema(GenerateJsonSchema):
    """JSON has no torch.dtype and no callables; as strings they are what a YAML would hold."""

    def enum_schema(self, schema: Any) -> dict[str, Any]:
        return {"enum": [getattr(member, "value", member) for member in schema["members"]]}

    def handle_invalid_for_json_schema(self, schema: Any, error_info: str) -> dict[str, Any]:
        return {}


def _strict(node: Any, inside_properties: bool = False) -> Any:
    """Drops prose and closes every object that names its properties."""
    if isinstance(node, list):
        return [_strict(item) for item in node]
    if not isinstance(node, dict):
        return node if isinstance(node, str | int | float | bool | None) else str(node)
    kept = {
        key: _strict(value, inside_properties=key in ("properties", "$defs") and not inside_properties)
        for key, value in node.items()
        if inside_properties or key not in _PROSE
    }
    if not inside_properties and "properties" in kept:
        kept["additionalProperties"] = False
        kept.pop("required", None)  # a profile or SET gives some keys, not all
    return kept


class _Input(AxolotlInputConfig, RecipeArgs):  # type: ignore[misc]
    """As axolotl puts them together when the plugin is named (``integrations/config.py``)."""


def schema() -> dict[str, Any]:
    """The strict schema of axolotl's input, with the version it was read from under ``$comment``."""
    found = _strict(_Input.model_json_schema(schema_generator=_Schema))
    return {"$comment": f"axolotl {version('axolotl')}", **found}


if __name__ == "__main__":
    SCHEMA_FILE.write_text(json.dumps(schema(), indent=1, sort_keys=True) + "\n")
    print(f"wrote {SCHEMA_FILE}")
