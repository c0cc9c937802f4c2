"""From the runs' folders to ``Facts``."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from inference.answering.questions import Question, read_questions
from recipe.report.examples import examples
from recipe.report.facts import DONE, NOT_RUN, OUTDATED, Facts, Loss, StepFact
from recipe.report.results import Reader, blend_fact, curves, exports, losses
from recipe.report.scores import Evaluations, remarks_of, sentence, table
from recipe.report.subject import NAME, Subject, of_stages
from recipe.walk.graph import Stage
from recipe.walk.stages import Stages
from spine import manifest
from spine.code import code_of
from spine.errors import RecipeError
from spine.hardware import this_machine
from spine.manifest import Step, digest
from spine.paths import shown
from spine.published import published_curves, published_scores


def report_step(subject: Subject) -> Step:
    """The step that writes the page."""
    folders = [folder for stage in subject.stages for folder in stage.outputs]
    inputs = {
        # A stage that was done again to the same bytes is no reason for another page, though it took another time.
        "stages": {step.name: vars(step) | {"seconds": None} for step in subject.steps},
        "results": {shown(folder): digest((manifest.read(folder) or {}).get("outputs")) for folder in folders},
        "blends": {name: resolved.yaml for name, resolved in subject.blends.items()},
        "asked": [subject.asked, list(subject.remarks)],
        "chosen": {str(track): weights for track, weights in subject.chosen.items()},
        "published": [published_scores(), published_curves()],
        "code": code_of(__name__, "recipe.report.page"),
    }
    return Step(subject.folder, NAME, inputs)


def whole_walk(stages: Stages) -> list[Stage]:
    """All the recipe's stages, and behind them the report."""
    graph, folder = stages.all(), stages.wanted.report_folder
    command = ("recipe", NAME, *stages.own_options)
    needs = tuple(stage.name for stage in graph)
    return [*graph, Stage(NAME, command, (folder,), needs, lambda: [report_step(of_stages(stages))])]


def collect(subject: Subject) -> Facts:
    """Reads what is there; what is not there yet is left out.

    Raises:
        RecipeError: nothing of it has been run.
    """
    steps = subject.steps
    if all(step.state == NOT_RUN for step in steps):
        raise RecipeError(
            "nothing of it has been run yet", where=shown(subject.folder.parent), way_out=shlex.join(subject.again)
        )
    reader = Reader()
    questions = _questions(subject, reader)
    found = Evaluations(subject, reader)
    rows, gains = table(found)
    told = [sentence(one) for one in gains]
    manifests = [known for stage in subject.stages for folder in stage.outputs if (known := manifest.read(folder))]
    profile = next(iter(subject.blends.values())).profile
    trained, seconds = list(losses(subject, reader)), sum(step.seconds or 0 for step in steps)
    facts = Facts(
        title=subject.title, headline=told[0] if told else _progress(steps, trained), verdicts=told[1:],
        profile=subject.profile, purpose=profile.why, base_model=profile.base_model, data=subject.data,
        machine=str(this_machine()), finished=max((known["finished"] for known in manifests), default=None),
        seconds=seconds, cost=_cost(seconds), versions=_versions(manifests),
        commits=sorted({known["git_commit"] for known in manifests if known.get("git_commit")}),
        again=shlex.join(subject.again), again_report=shlex.join(subject.again_report), folder=shown(subject.folder),
        questions=(f"{subject.asked} of " if subject.asked else "") + _described(questions),
        steps=steps, rows=rows, gains=gains,
        blends=[blend_fact(resolved, reader) for resolved in subject.blends.values()],
        losses=trained, curves=list(curves(subject, reader)),
        exports=list(exports(subject, reader)), examples=examples(found, questions),
        notes=[*subject.remarks, *_unfinished(steps), *reader.notes, *remarks_of(found)], empty={},
    )  # fmt: skip
    return replace(
        facts, empty={name: shlex.join(subject.filled_by.get(name, subject.again)) for name in _empty(facts)}
    )


def _empty(facts: Facts) -> list[str]:
    """The page's sections that have nothing to show yet, by the names of ``page.html.j2``."""
    content: dict[str, Any] = {
        "scores": any(row.cells for row in facts.rows), "gains": facts.gains,
        "blend": any(one.shares for one in facts.blends), "loss": facts.losses, "wiseft": facts.curves,
        "quality": facts.exports, "examples": facts.examples,
    }  # fmt: skip
    return [name for name, there in content.items() if not there]


def _cost(seconds: float) -> str:
    """What the steps took, in the unit that machines are rented by; of this machine, on which they are taken to be."""
    machine = this_machine()
    gpus = len(machine.gpu_names)
    hours = seconds / 3600 * (gpus or machine.cores)
    return f"{hours:,.{2 if hours < 10 else 0}f} {'GPU' if gpus else 'core'} hours"


def _questions(subject: Subject, reader: Reader) -> list[Question]:
    try:
        return read_questions(subject.questions) if subject.questions.exists() else []
    except RecipeError as error:
        reader.notes.append(f"{shown(subject.questions)} cannot be read, examples stand without it: {error.what}")
        return []


def _described(questions: list[Question]) -> str:
    tasks = len({question.task for question in questions})
    return f"{len(questions):,} questions of {tasks} tasks" if questions else "none yet"


def _progress(steps: list[StepFact], trained: list[Loss]) -> str:
    if trained and trained[-1].held_out:
        points = trained[-1].held_out
        return f"Held-out loss {points[0][1]:.2f} → {points[-1][1]:.2f}; there are no two models to compare yet"
    done = sum(step.state == DONE for step in steps)
    return f"{done} of {len(steps)} steps are done; there is nothing to compare yet"


def _unfinished(steps: list[StepFact]) -> list[str]:
    told = {NOT_RUN: "not run yet", OUTDATED: "out of date (the flow tells why)"}
    found = {state: [step.name for step in steps if step.state == state] for state in told}
    return [f"{told[state]}: {', '.join(names)}" for state, names in found.items() if names]


def _versions(manifests: Iterable[dict[str, Any]]) -> dict[str, list[str]]:
    """Of the packages that took part; the environments may hold different ones."""
    found: dict[str, set[str]] = {}
    for known in manifests:
        told = known.get("environment")
        for name, version in {**known.get("versions", {}), **(told if isinstance(told, dict) else {})}.items():
            found.setdefault(name, set()).add(str(version))
    return {name: sorted(versions) for name, versions in sorted(found.items())}
