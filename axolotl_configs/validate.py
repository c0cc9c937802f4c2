"""axolotl's own ``validate_config`` on YAML from stdin; runs in the training environment."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any


def refusals(settings: Mapping[str, Any]) -> str:
    """What axolotl has against ``settings``, or an empty text. Nothing is loaded, no GPU is asked for."""
    from axolotl.utils.config import prepare_plugins, validate_config
    from axolotl.utils.dict import DictDefault

    config = DictDefault(dict(settings))
    prepare_plugins(config)
    try:
        validate_config(config)
    except ValueError as error:  # pydantic's ValidationError is one
        return str(error)
    return ""


if __name__ == "__main__":
    import yaml

    found = refusals(yaml.safe_load(sys.stdin))
    print(found or f"axolotl {version('axolotl')} accepts these settings")
    sys.exit(1 if found else 0)
