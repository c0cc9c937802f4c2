"""A blend with its includes followed and its rows counted: which datasets, how many rows of each, and why."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from axolotl_configs.schema import Blend, Entry, find, load
from recipe.apportion import apportion
from recipe.errors import RecipeError, did_you_mean
from recipe.yamlfile import YamlFile, read_yaml


@dataclass(frozen=True)
class Portion:
    """One dataset's place in the blend. ``rows`` is what the blend asks for; ``where`` the line that says so."""

    name: str
    rows: int
    why: str
    where: str


@dataclass(frozen=True)
class ResolvedBlend:
    """``files``: the blend's own file first, then what it includes, nearest first."""

    name: str
    why: str
    seed: int
    parent: str | None
    portions: tuple[Portion, ...]
    files: tuple[YamlFile, ...]

    @property
    def rows(self) -> int:
        return sum(portion.rows for portion in self.portions)


def resolve_blend(name: str, known_datasets: Collection[str]) -> ResolvedBlend:
    """Follows ``include``, checks every dataset's name, turns weights into rows.

    Raises:
        RecipeError: a blend that does not exist or includes itself, an unknown key or dataset,
            weights without a total, no rows at all.
    """
    files = _chain(name)
    levels = [load(Blend, file) for file in files]
    _check_datasets(files, levels, known_datasets)
    merged = _merged(files, levels)
    top = levels[0]
    total = next((level.rows for level in levels if level.rows is not None), None)
    if top.parent is not None:
        find("blends", top.parent, files[0].where("parent"))
    seed = next((level.seed for level in levels if "seed" in level.model_fields_set), top.seed)
    portions = _portions(merged, total, files[0])
    return ResolvedBlend(name, top.why, seed, top.parent, portions, files)


def scaled(portions: Sequence[Portion], rows: int | None) -> tuple[Portion, ...]:
    """The same proportions in at most ``rows`` rows, every dataset keeps one row at least."""
    total = sum(portion.rows for portion in portions)
    if rows is None or total <= rows:
        return tuple(portions)
    if rows < len(portions):
        raise RecipeError(f"rows={rows} is less than one row for each of the {len(portions)} datasets")
    counts = apportion([portion.rows for portion in portions], rows)
    return tuple(Portion(p.name, count, p.why, p.where) for p, count in zip(portions, counts, strict=True))


def _chain(name: str) -> tuple[YamlFile, ...]:
    files: list[YamlFile] = []
    seen = [name]
    file = read_yaml(find("blends", name))
    while True:
        files.append(file)
        include = file.data.get("include")
        if not isinstance(include, str):  # a wrong type is reported by the schema, with its line
            return tuple(files)
        where = file.where("include")
        if include in seen:
            circle = " -> ".join([*seen[seen.index(include) :], include])
            raise RecipeError(f"circular include: {circle}", where=where, way_out="remove one of these includes")
        seen.append(include)
        file = read_yaml(find("blends", include, where))


def _check_datasets(files: Sequence[YamlFile], levels: Sequence[Blend], known: Collection[str]) -> None:
    faults = [
        RecipeError(
            f"no builder makes a dataset '{name}'",
            where=file.where("datasets", name),
            way_out=did_you_mean(name, known),
        )
        for file, level in zip(files, levels, strict=True)
        for name in level.datasets
        if name not in known
    ]
    if faults:
        raise RecipeError.all_of(faults)


def _merged(files: Sequence[YamlFile], levels: Sequence[Blend]) -> dict[str, tuple[Entry, str]]:
    """Entry and the line that has the last word, by dataset: an including blend overrides what it repeats."""
    merged: dict[str, tuple[Entry, str]] = {}
    for file, level in zip(reversed(files), reversed(levels), strict=True):
        for name, entry in level.datasets.items():
            where = file.where("datasets", name)
            if entry.rows is not None and entry.weight is not None:
                raise RecipeError(f"'{name}' has both rows and weight", where=where, way_out="keep one of them")
            before = merged.get(name, (Entry(), where))[0]
            if entry.rows is None and entry.weight is None:
                if before.rows is None and before.weight is None:
                    raise RecipeError(f"'{name}' says neither rows nor weight", where=where)
                entry = before.model_copy(update={"why": entry.why or before.why})
            merged[name] = (entry.model_copy(update={"why": entry.why or before.why}), where)
    return merged


def _portions(merged: dict[str, tuple[Entry, str]], total: int | None, top: YamlFile) -> tuple[Portion, ...]:
    fixed = sum(entry.rows or 0 for entry, _ in merged.values())
    weights = sum(entry.weight or 0 for entry, _ in merged.values())
    left = (total or 0) - fixed
    if weights and left <= 0:
        raise RecipeError(
            f"weights share what 'rows' leaves after {fixed:,} fixed rows, and rows is {total}",
            where=top.where("rows"),
            way_out=f"set rows: to more than {fixed:,}, or give every dataset rows",
        )
    portions = tuple(
        Portion(name, rows, entry.why, where)
        for name, (entry, where) in merged.items()
        if (rows := entry.rows if entry.rows is not None else round(left * (entry.weight or 0) / weights))
    )
    if not portions:
        raise RecipeError("the blend has no rows", where=top.where("datasets"))
    if not weights and total is not None and total > fixed:
        raise RecipeError(
            f"rows: {total:,} is more than the datasets' {fixed:,} together",
            where=top.where("rows"),
            way_out="give some dataset a weight instead of rows, or ask for fewer",
        )
    return portions if weights else scaled(portions, total)
