"""A blend with its includes followed and its rows counted: which datasets, how many rows of each, and why."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from axolotl_configs.schema import ALL, Blend, Entry, Parent, chain, find, load
from spine.errors import RecipeError, did_you_mean
from spine.forms import question_rows
from spine.paths import ROOT, shown
from spine.yamlfile import YamlFile, read_yaml


@dataclass(frozen=True)
class Portion:
    """One dataset's place in the blend. ``rows`` is what the blend asks for; ``where`` the line that says so.

    ``upsample``: how often a question may be asked at most; ``seed``: instead of the blend's; ``path``: a file of
    the user's own questions; ``exact``: ``rows`` are so many whatever the others are scaled to.
    """

    name: str
    rows: int
    why: str
    where: str
    upsample: int = 1
    seed: int | None = None
    path: Path | None = None
    exact: bool = False


@dataclass(frozen=True)
class ResolvedBlend:
    """``files``: the blend's own file first, then what it includes, nearest first. ``decontaminate``: the
    evaluation files whose questions may not be trained on."""

    name: str
    why: str
    seed: int
    parent: Parent | None
    portions: tuple[Portion, ...]
    decontaminate: tuple[Path, ...]
    files: tuple[YamlFile, ...]

    @property
    def goes_on_from(self) -> str | None:
        """The blend of the round before."""
        return self.parent.blend if self.parent else None

    @property
    def rows(self) -> int:
        return sum(portion.rows for portion in self.portions)


def resolve_blend(name: str, known_datasets: Collection[str]) -> ResolvedBlend:
    """Follows ``include``, checks every dataset's name, turns weights into rows.

    Raises:
        RecipeError: a blend that does not exist, includes itself or is a parent of its own, an unknown key or dataset,
            weights without a total, no rows at all.
    """
    files = chain("blends", name)
    levels = [load(Blend, file) for file in files]
    _check_datasets(files, levels, known_datasets)
    merged = _merged(files, levels)
    top = levels[0]
    total = next((level.rows for level in levels if level.rows is not None), None)
    _check_parents(name, files[0])
    seed = next((level.seed for level in levels if "seed" in level.model_fields_set), top.seed)
    portions = _portions(merged, total, files[0])
    return ResolvedBlend(name, top.why, seed, top.parent, portions, _evaluation(files, levels), files)


def parent_of(name: str) -> Parent | None:
    """Where a blend's training starts, if not at the base."""
    return load(Blend, read_yaml(find("blends", name))).parent


def _check_parents(name: str, file: YamlFile) -> None:
    seen = [name]
    while parent := load(Blend, file).parent:
        where = file.where("parent")
        if parent.blend in seen:
            circle = " -> ".join([*seen[seen.index(parent.blend) :], parent.blend])
            raise RecipeError(f"circular parents: {circle}", where=where, way_out="a first round has no parent")
        seen.append(parent.blend)
        file = read_yaml(find("blends", parent.blend, where))


def scaled(portions: Sequence[Portion], rows: int | None) -> tuple[Portion, ...]:
    """The same proportions in at most ``rows`` rows, one row of each at least; ``exact`` portions come on top."""
    weights = [portion.rows for portion in portions if not portion.exact]
    if rows is None or sum(weights) <= rows:
        return tuple(portions)
    if rows < len(weights):
        raise RecipeError(
            f"{rows} rows are fewer than one for each of the {len(weights)} datasets",
            way_out="raise `rows`, and of a blend with a parent `second_round_rows`, in the profile or in SET",
        )
    counts = iter(apportion(weights, rows))
    return tuple(portion if portion.exact else replace(portion, rows=next(counts)) for portion in portions)


def apportion(weights: Sequence[float], total: int) -> list[int]:
    """``total`` split like ``weights`` by largest remainder; each gets 1 at least while ``total`` allows it.

    The result sums to ``total`` exactly, unless ``total`` is less than the number of weights: then every share is 1.
    """
    whole = sum(weights)
    exact = [weight * total / whole for weight in weights]
    counts = [max(1, int(value)) for value in exact]
    by_remainder = sorted(range(len(weights)), key=lambda i: counts[i] - exact[i])
    for i in by_remainder[: max(0, total - sum(counts))]:
        counts[i] += 1
    while sum(counts) > max(total, len(counts)):  # only when small shares were lifted to 1
        counts[counts.index(max(counts))] -= 1
    return counts


def _check_datasets(files: Sequence[YamlFile], levels: Sequence[Blend], known: Collection[str]) -> None:
    faults = []
    own = {name for level in levels for name, entry in level.datasets.items() if entry.path}
    for file, level in zip(files, levels, strict=True):
        for name, entry in level.datasets.items():
            where = file.where("datasets", name)
            if name not in known and name not in own:
                way_out = did_you_mean(name, known)
                faults.append(RecipeError(f"no builder makes a dataset '{name}'", where=where, way_out=way_out))
            if entry.path and name in known:
                taken = f"a builder makes '{name}' already"
                faults.append(RecipeError(taken, where=where, way_out="give the file's dataset another name"))
            if entry.path and not (ROOT / entry.path).is_file():
                faults.append(RecipeError(f"no such file: {entry.path}", where=file.where("datasets", name, "path")))
    if faults:
        raise RecipeError.all_of(faults)


def _evaluation(files: Sequence[YamlFile], levels: Sequence[Blend]) -> tuple[Path, ...]:
    """What any of the levels names; paths are relative to the checkout."""
    found: dict[Path, None] = {}
    for file, level in zip(files, levels, strict=True):
        for path in level.decontaminate:
            if not (ROOT / path).is_file():
                raise RecipeError(f"no such evaluation file: {path}", where=file.where("decontaminate"))
            found[ROOT / path] = None
    return tuple(found)


def _merged(files: Sequence[YamlFile], levels: Sequence[Blend]) -> dict[str, tuple[Entry, str]]:
    """Entry and the line that has the last word, by dataset: an including blend overrides what it repeats."""
    merged: dict[str, tuple[Entry, str]] = {}
    for file, level in zip(reversed(files), reversed(levels), strict=True):
        for name, entry in level.datasets.items():
            where = file.where("datasets", name)
            if entry.rows is not None and entry.weight is not None:
                raise RecipeError(f"'{name}' has both rows and weight", where=where, way_out="keep one of them")
            said = {key: getattr(entry, key) for key in entry.model_fields_set}
            if said.get("rows") is not None:
                said |= {"weight": None, "cap": None}  # whichever was said last
            elif said.get("weight") is not None:
                said |= {"rows": None}
            whole = merged.get(name, (Entry(), where))[0].model_copy(update=said)
            whole = _of_a_file(name, whole, where) if whole.path else whole
            if whole.path is None and (whole.rows == ALL or whole.times):
                what = f"'{name}' is no file of yours, of which all rows could be taken, or each several times"
                raise RecipeError(
                    what, where=where, way_out="rows: a number; upsample: how often a question may be asked"
                )
            if whole.rows is None and whole.weight is None:
                raise RecipeError(f"'{name}' says neither rows nor weight", where=where)
            if whole.cap is not None and whole.weight is None:
                raise RecipeError(f"'{name}' has a cap, but rows instead of a weight", where=where)
            merged[name] = (whole, where)
    return merged


def _of_a_file(name: str, entry: Entry, where: str) -> Entry:
    """All rows of the user's file, unless a number or a weight is said."""
    entry = entry if entry.rows is not None or entry.weight is not None else entry.model_copy(update={"rows": ALL})
    if entry.times and entry.rows != ALL:
        raise RecipeError(f"'{name}' has times, but not all rows", where=where, way_out="rows: all, or leave one away")
    return entry


def _portion(name: str, rows: int, entry: Entry, where: str) -> Portion:
    path, upsample = ROOT / entry.path if entry.path else None, entry.times or entry.upsample
    if path and rows == ALL:
        file = path.stat()
        rows = upsample * _rows_of(path, file.st_mtime_ns, file.st_size)
        if not rows:
            raise RecipeError("holds no questions", where=shown(path))
    exact = path is not None and entry.weight is None
    return Portion(name, rows, entry.why, where, upsample, entry.seed, path, exact)


@cache
def _rows_of(path: Path, changed: int, size: int) -> int:
    return sum(1 for _ in question_rows(path)[0])


def _portions(merged: dict[str, tuple[Entry, str]], total: int | None, top: YamlFile) -> tuple[Portion, ...]:
    fixed = sum(entry.rows or 0 for entry, _ in merged.values() if not entry.path)
    weights = {name: entry.weight for name, (entry, _) in merged.items() if entry.weight}
    left = (total or 0) - fixed
    if weights and left <= 0:
        raise RecipeError(
            f"weights share what 'rows' leaves after {fixed:,} fixed rows, and rows is {total}",
            where=top.where("rows"),
            way_out=f"set rows: to more than {fixed:,}, or give every dataset rows",
        )
    shared = _shared(weights, {name: entry.cap for name, (entry, _) in merged.items()}, left)
    portions = tuple(
        _portion(name, rows, entry, where)
        for name, (entry, where) in merged.items()
        if (rows := entry.rows if entry.rows is not None else shared[name])
    )
    if not portions:
        raise RecipeError("the blend has no rows", where=top.where("datasets"))
    if not weights and total is not None and total > fixed > 0:
        raise RecipeError(
            f"rows: {total:,} is more than the datasets' {fixed:,} together",
            where=top.where("rows"),
            way_out="give some dataset a weight instead of rows, or ask for fewer",
        )
    return portions if weights else scaled(portions, total)


def _shared(weights: Mapping[str, float], caps: Mapping[str, int | None], rows: int) -> dict[str, int]:
    """``rows`` by weight. What a cap cuts off goes to the others; if all are capped, it goes to nobody."""
    capped: dict[str, int] = {}
    while free := {name: weight for name, weight in weights.items() if name not in capped}:
        counts = apportion(list(free.values()), rows - sum(capped.values()))
        shares = dict(zip(free, counts, strict=True))
        over = {name: cap for name, count in shares.items() if (cap := caps[name]) is not None and count > cap}
        if not over:
            return capped | shares
        capped |= over
    return capped
