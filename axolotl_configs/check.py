"""Checks axolotl's keys where its own schema is silent: unknown keys, wrong types, combinations that fail late.

The known keys and types are in ``axolotl_schema.json``, written by ``axolotl_configs.axolotl_schema`` from the pinned
axolotl; the combinations in ``conflicts.yaml``. Nothing here imports axolotl or torch.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jinja2.sandbox import SandboxedEnvironment

from spine.errors import RecipeError, did_you_mean
from spine.yamlfile import read_yaml

SCHEMA_FILE = Path(__file__).parent / "axolotl_schema.json"
RULES_FILE = Path(__file__).parent / "conflicts.yaml"
Where = Callable[[str], str]

# axolotl takes any string here and fails, or trains on something else, when the run starts.
_NUMBERS = {"learning_rate"}
_JINJA = SandboxedEnvironment()  # a key that is not set is false, no error


@cache
def axolotl_schema() -> dict[str, Any]:
    """The strict JSON schema of axolotl's YAML."""
    found: dict[str, Any] = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))
    return found


def known_keys() -> set[str]:
    """Every key axolotl's YAML may have at its top level."""
    return set(axolotl_schema()["properties"])


def check_keys(settings: Mapping[str, Any], where: Where, also_known: set[str] | None = None) -> None:
    """Names and types of ``settings``; ``where(key)`` says which line gave a key its value.

    Args:
        also_known: names of ours that may stand beside axolotl's, for the suggestions.

    Raises:
        RecipeError: all unknown keys and wrong types at once.
    """
    from jsonschema import Draft202012Validator

    known = known_keys()
    faults = [
        RecipeError(
            f"unknown key '{key}': axolotl would drop it without a word",
            where=where(key),
            way_out=did_you_mean(key, known | (also_known or set())),
        )
        for key in settings
        if key not in known
    ]
    for key, value in settings.items():
        if key not in known:
            continue
        validator = Draft202012Validator({**axolotl_schema()["properties"][key], "$defs": axolotl_schema()["$defs"]})
        if not validator.is_valid(value) or (key in _NUMBERS and isinstance(value, str)):
            faults.append(_wrong_type(key, value, validator, where(key)))
    if faults:
        raise RecipeError.all_of(faults)


def _wrong_type(key: str, value: Any, validator: Any, where: str) -> RecipeError:
    """Goes down to an unknown nested key if that is the mistake; else says what the value may be."""
    for leaf in _leaves(validator.iter_errors(value)):
        if leaf.validator == "additionalProperties":
            known = leaf.schema.get("properties", {})
            for name in leaf.instance:
                if name not in known and (way_out := did_you_mean(name, known)):
                    path = ".".join(str(part) for part in [key, *leaf.absolute_path])
                    return RecipeError(f"unknown key '{name}' in '{path}'", where=where, way_out=way_out)
    wanted = "a number" if key in _NUMBERS else _expected(axolotl_schema()["properties"][key])
    return RecipeError(f"'{key}' must be {wanted}, not {value!r}", where=where)


def _leaves(errors: Iterable[Any]) -> Iterator[Any]:
    """jsonschema's errors, down through the alternatives of every anyOf."""
    for error in errors:
        yield error
        yield from _leaves(error.context or [])


def _expected(schema: Mapping[str, Any]) -> str:
    """A schema in words: 'integer or null', "one of 'auto', true, false"."""
    if "anyOf" in schema:
        parts = [_expected(option) for option in schema["anyOf"]]
        return " or ".join(dict.fromkeys(part for part in parts if part != "null"))
    if "$ref" in schema:
        return _expected(axolotl_schema()["$defs"][schema["$ref"].rpartition("/")[2]])
    if "enum" in schema:
        return "one of " + ", ".join(repr(option) for option in schema["enum"])
    if "const" in schema:
        return repr(schema["const"])
    return str(schema.get("type", "another value"))


def check_combinations(settings: Mapping[str, Any], gpus: int, where: Where) -> None:
    """What passes axolotl's validation and fails, or does something else, hours later: ``conflicts.yaml``.

    Raises:
        RecipeError: all conflicts at once.
    """
    faults, typed = [], {key for key in settings if where(key) == "SET"}
    for rule, applies in _rules():
        for key in rule["keys"]:
            value = {"value": settings[key]} if key in settings else {}
            facts = {**settings, "gpus": gpus, "typed": typed, "key": key, **value}
            if applies(**facts):
                what, way_out = (_JINJA.from_string(rule[part]).render(facts) for part in ("what", "way_out"))
                faults.append(RecipeError(what, where=where(key), way_out=way_out))
    if faults:
        raise RecipeError.all_of(faults)


@cache
def _rules() -> list[tuple[dict[str, Any], Callable[..., Any]]]:
    """Each rule, and its ``when`` as a function of the facts."""
    return [(rule, _JINJA.compile_expression(rule["when"])) for rule in read_yaml(RULES_FILE).data["rules"]]
