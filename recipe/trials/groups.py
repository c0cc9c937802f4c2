"""Groups of a blend's datasets, and the blends that tell what each brings: without it, it alone, with twice of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum

from ruamel.yaml.comments import CommentedMap

from axolotl_configs.blend import Portion, ResolvedBlend
from dataset_builders.task import load_task
from inference.scoring.compare import Comparison, Difference, Verdict
from spine.atomic import write_text
from spine.errors import RecipeError, did_you_mean
from spine.published import published_blend
from spine.runs import made_blends
from spine.yamlfile import dump


class How(StrEnum):
    """What is done with a group."""

    WITHOUT = "without"
    ONLY = "only"
    DOUBLE = "double"


_TURNED = {Verdict.BETTER: Verdict.WORSE, Verdict.WORSE: Verdict.BETTER, Verdict.NONE: Verdict.NONE}


def _track(name: str) -> str:
    track = load_task(name).track
    return f"track-{track}" if track else "general"


def _line(name: str) -> str:
    line = published_blend().get(name)
    return f"line-{line.number}" if line else "unlisted"


# By what datasets that builders make are grouped.
BY: Mapping[str, Callable[[str], str]] = {
    "source": lambda name: load_task(name).source,
    "track": _track,
    "type": lambda name: load_task(name).type.short,
    "dataset": lambda name: name,
    "line": _line,
}


def groups_of(blend: ResolvedBlend, by: str) -> dict[str, list[Portion]]:
    """The blend's datasets by group, in the blend's order. A file of the user's own stands for itself."""
    found: dict[str, list[Portion]] = {}
    for part in blend.portions:
        found.setdefault(part.name if part.path else BY[by](part.name), []).append(part)
    return found


def derive(blend: ResolvedBlend, by: str, how: How, wanted: Sequence[str] = ()) -> dict[str, str]:
    """Writes a blend for each group beside the runs; their names, by group.

    Args:
        wanted: only these groups.

    Raises:
        RecipeError: there is no such group; or leaving it out leaves nothing, or there is nothing else.
    """
    groups = groups_of(blend, by)
    if unknown := [name for name in wanted if name not in groups]:
        raise RecipeError(f"{blend.name} has no {by} '{unknown[0]}'", way_out=did_you_mean(unknown[0], groups))
    if len(groups) == 1:
        raise RecipeError(
            f"all of {blend.name} is of one {by}, {next(iter(groups))}: without it nothing is left",
            where=blend.files[0].where("datasets"), way_out="another --by: " + ", ".join(BY),
        )  # fmt: skip
    return {
        group: _write(blend, by, how, group, parts) for group, parts in groups.items() if group in (wanted or groups)
    }


def _write(blend: ResolvedBlend, by: str, how: How, group: str, parts: Sequence[Portion]) -> str:
    name = f"{blend.name}-{how}-{group}"
    rows = {part.name: part.rows for part in blend.portions}
    inside = {part.name for part in parts}
    match how:
        case How.WITHOUT:
            rows |= dict.fromkeys(inside, 0)
        case How.ONLY:
            rows |= dict.fromkeys(rows.keys() - inside, 0)
        case How.DOUBLE:
            rows |= {name: 2 * rows[name] for name in inside}
    scaled = any("rows" in file.data for file in blend.files)  # then the others' rows are not those of their entries
    entries = {
        part.name: _entry(part, rows[part.name]) for part in blend.portions if scaled or rows[part.name] != part.rows
    }
    why = f"what does {by} {group} bring to {blend.name}? {how} it"
    total = sum(rows[part.name] for part in blend.portions if not part.exact)  # files of one's own come on top
    content = {"why": why, "include": blend.name, **({"rows": total} if total else {}), "datasets": entries}
    head = f"# Made by `recipe ablate {blend.name} --by {by}`.\n"
    write_text(made_blends() / f"{name}.yaml", head + dump(CommentedMap(content)))
    return name


def _entry(part: Portion, rows: int) -> dict[str, int | None]:
    more = {"upsample": 2 * part.upsample} if rows > part.rows else {}
    return {"rows": rows, **more, **({"times": None} if part.path else {})}


def brings(how: How, compared: Mapping[str, Comparison]) -> dict[str, Comparison]:
    """By group: what it brings, so that more is better. ``compared``: its blend beside the whole one."""
    return {group: _turned(one) if how is How.WITHOUT else one for group, one in compared.items()}


def _turned(one: Comparison) -> Comparison:
    def turn(row: Difference) -> Difference:
        return Difference(
            row.name, row.questions, row.b, row.a, -row.difference, -row.high, -row.low, row.p, _TURNED[row.verdict],
            row.metric, row.track, row.question_error, row.seed_error,
        )  # fmt: skip

    tasks, types, tracks = ([turn(row) for row in rows] for rows in (one.tasks, one.types, one.tracks))
    return Comparison(one.questions, tasks, types, tracks, one.overall and turn(one.overall), one.left_out)
