"""A run of one blend as the subject of a report: whatever lies in its folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from axolotl_configs.render import Resolved
from inference.answering.evaluate import SCORES
from inference.answering.questions import question_files
from recipe.commands.table import read_scores
from recipe.report.subject import NAME, Line, Subject
from recipe.steps.result_names import SWEEP, adapter_name, results_name
from recipe.walk.graph import Stage
from recipe.walk.rows import ALL_AROUND
from spine import manifest
from spine.manifest import file_digest
from spine.paths import shown

_EXPORTS = {"merge": ("merged-*", "padded-[0-9]*"), "awq": ("awq-[0-9]*", "padded-awq-*")}


def of_run(resolved: Resolved, questions: Path | None, options: tuple[str, ...]) -> Subject:
    """The run of ``resolved``, with what it was asked of ``questions`` (None: its own held-out rows).

    Args:
        options: the run's, as they are typed behind its commands.
    """
    run, name = resolved.run, resolved.blend.name
    file = questions or run.data / "val.parquet"
    lines = list(_lines(resolved, file))
    asked = f"{NAME}@{file.stem}" if questions else NAME
    return Subject(
        title=f"blend {name}",
        folder=run.folder / asked,
        profile=run.profile,
        blends={name: resolved},
        stages=list(_stages(resolved, file, options, [line.folders[ALL_AROUND] for line in lines])),
        lines=lines,
        pairs=[(lines[0].name, line.name) for line in lines[1:]],
        chosen={},
        questions=file,
        again=("recipe", "train", name, *options),
        again_report=("recipe", NAME, name, *options),
        data="what `recipe data` was given",
    )


def _lines(resolved: Resolved, questions: Path) -> Iterator[Line]:
    """The finished evaluations on exactly these questions: the base, then the weights, then what else was asked."""
    if not questions.exists():
        return
    wanted = {name: file_digest(file) for file, name in question_files(questions).items()}
    found = []
    for path in sorted((resolved.run.folder / "eval").glob(f"*/{SCORES}")):
        asked = _asked(path.parent)
        if asked.get("questions") == wanted and asked.get("selection") == [None, [], []]:
            found.append((_order(asked, path.parent.name), path.parent))
    for _, folder in sorted(found):
        label = read_scores(folder)["model"]
        tracks = range(1, ALL_AROUND + 1)
        yield Line(label, dict.fromkeys(tracks, folder), dict.fromkeys(tracks, label))


def _asked(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = (manifest.read(folder) or {}).get("inputs", {}).get("answers", {})
    return found


def _order(asked: dict[str, Any], name: str) -> tuple[int, float, str]:
    if name.startswith((adapter_name(0), "base")) and not asked.get("adapter"):
        return 0, 0.0, name
    return (1, float(asked["alpha"]), name) if asked.get("alpha") is not None else (2, 0.0, name)


def _stages(resolved: Resolved, questions: Path, options: tuple[str, ...], answered: list[Path]) -> Iterator[Stage]:
    """Data and training, done or not; of the rest, what is there."""
    run, name = resolved.run, resolved.blend.name
    file = () if questions.parent == run.data else ("--questions", shown(questions))

    def stage(kind: str, folder: Path, *more: str, needs: tuple[str, ...]) -> Stage:
        title = f"{kind} {folder.name}" if kind in ("eval", *_EXPORTS) else f"{kind} {name}"
        return Stage(title, ("recipe", kind, name, *options, *more), (folder,), needs, about=name)

    yield stage("data", run.data, needs=())
    yield stage("train", run.train, needs=(f"data {name}",))
    sweep = run.folder / "eval" / results_name(SWEEP, questions, run.folder)
    if manifest.read(sweep):
        yield stage(SWEEP, sweep, *file, needs=(f"train {name}",))
    for kind, patterns in _EXPORTS.items():
        for folder in sorted(path for pattern in patterns for path in run.folder.glob(pattern)):
            if manifest.read(folder):
                yield stage(kind, folder, "--alpha", folder.name.rpartition("-")[2], needs=(f"train {name}",))
    for folder in answered:
        target = folder.name.partition("@")[0]
        weight = target.removeprefix(adapter_name(0).removesuffix("0"))
        model = ("--model", target) if weight == target else ("--alpha", weight)
        yield stage("eval", folder, *model, *file, needs=(f"train {name}",))
