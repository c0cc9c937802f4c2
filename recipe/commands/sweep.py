"""``recipe sweep``."""

from __future__ import annotations

import json
import shutil
import time
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from inference.answering.evaluate import SCORES, WORST
from inference.answering.job import Job
from inference.answering.questions import read_questions
from inference.answering.sweep import best_weights
from inference.scoring.predictions import PREDICTIONS
from recipe.commands.options import examples, resolve_run, run_options
from recipe.commands.table import read_scores, remarks, tracks_table
from recipe.steps.eval import engine_options, held_out, make_job, run_in_serve, run_target
from recipe.steps.merge import parse_alphas
from recipe.steps.result_names import BEST, SWEEP, results_folder
from spine import manifest
from spine.atomic import whole_file, write_text
from spine.code import code_of
from spine.environments import python
from spine.lock import locked
from spine.manifest import Step
from spine.paths import shown
from spine.progress import clock
from spine.terminal import console, say, table

_FILE = click.Path(path_type=Path)


@click.command(
    "sweep",
    epilog=examples("recipe sweep v8", "recipe sweep v8 --alphas 0,0.1,0.2,0.3 --questions development.json"),
)
@run_options
@click.option(
    "--alphas", default="0,0.25,0.5,0.75,1", show_default=True, envvar="ALPHAS", help="Weights.  [env: ALPHAS]"
)
@click.option("--questions", type=_FILE, envvar="QUESTIONS", metavar="FILE", help="[default: the run's held-out rows]")
@click.option("--limit", type=click.IntRange(min=1), envvar="LIMIT", help="Questions of each task.  [env: LIMIT]")
@click.option("--beyond-one", is_flag=True, help="Allow weights up to 2.")
@engine_options
def command(
    blend: str, profile: str | None, overrides: str, alphas: str, questions: Path | None, limit: int | None,
    beyond_one: bool, engine: str | None, workers: int | None, tensor_parallel: int | None, mode: str | None,
    dtype: str, max_length: int | None,
) -> None:  # fmt: skip
    """Score BLEND's adapter with several wise-ft weights through one loaded model, without merging.

    Choose weights on questions that are not those of the contest: the best weight of a small set is partly luck, which
    is why its confidence interval stands beside it.
    """
    began = time.monotonic()
    resolved = resolve_run(blend, profile, overrides)
    python("serve")
    file = questions or held_out(resolved)
    weights = parse_alphas(alphas, beyond_one=beyond_one)
    count = len(weights) * len(read_questions(file, limit=limit))
    jobs = [
        make_job(
            run_target(resolved, alpha), file, resolved,
            engine=engine, workers=workers, tensor_parallel=tensor_parallel, mode=mode, dtype=dtype,
            max_length=max_length, count=count, limit=limit,
        )
        for alpha in weights
    ]  # fmt: skip
    with ExitStack() as stack:
        for job in jobs:
            stack.enter_context(locked(Path(job.folder)))
            if not job.alpha and not job.step.is_done():
                _borrow(job)
        if all(job.step.is_done() for job in jobs):
            say("sweep: every weight is scored already")
        else:
            run_in_serve("inference.answering.sweep", json.dumps([asdict(job) for job in jobs]), Path(jobs[0].model))
    scores = {job.alpha: read_scores(Path(job.folder)) for job in jobs}
    inputs = {
        "evaluations": {f"{job.alpha:g}": job.step.key for job in jobs},
        "code": code_of("inference.answering.sweep"),
    }
    folder = results_folder(resolved.run.folder, SWEEP, file, mode=jobs[0].mode, limit=limit)
    _show(scores, Step(folder, SWEEP, inputs))
    click.echo(f"time      {clock(time.monotonic() - began)}")


def _borrow(job: Job) -> None:
    """Weight 0 is the base: the answers of another blend's sweep are taken, if one has asked it the same."""
    folder = Path(job.folder)
    for other in sorted(folder.parents[2].glob(f"*/eval/{folder.name}")):
        if other != folder and Step(other, job.step.name, job.inputs).is_done():
            say(f"sweep: weight 0 is the base, which was asked already: {shown(other)}")
            for name in (PREDICTIONS, SCORES, WORST, manifest.NAME):
                with whole_file(folder / name) as temporary:
                    shutil.copyfile(other / name, temporary)
            return


def _show(scores: dict[float, dict[str, Any]], step: Step) -> None:
    console().print(tracks_table(list(scores.values())))
    made = table("best weight", "track", "weight", "score", "95% interval", right=("weight", "score"))
    best = list(best_weights(scores))
    for track, alpha, row in best:
        made.add_row(track, f"{alpha:g}", f"{row['score']:.3f}", f"[{row['low']:.3f}, {row['high']:.3f}]")
    console().print(made)
    for line in remarks(list(scores.values())):
        click.echo(line)
    if not step.is_done():
        rows = [{"track": track, "alpha": alpha, **row} for track, alpha, row in best]
        write_text(step.folder / BEST, json.dumps({"best": rows, "weights": list(scores)}, indent=2) + "\n")
        _draw(scores, step.folder / "sweep.png")
        step.finish([BEST, "sweep.png"])
    click.echo(f"picture   {shown(step.folder)}/sweep.png, {BEST}")


def _draw(scores: dict[float, dict[str, Any]], path: Path) -> None:
    """One line per track over the weights, with 95% intervals as bands."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axes = figure.add_subplot()
    weights = sorted(scores)
    tracks = sorted({track for found in scores.values() for track in found["tracks"]})
    for track in (*tracks, "overall"):
        rows = [scores[w]["overall"] if track == "overall" else scores[w]["tracks"][track] for w in weights]
        if any(row["score"] is None for row in rows):
            continue
        style: dict[str, Any] = {"color": "black", "linewidth": 2.0} if track == "overall" else {}
        name = track if track == "overall" else f"track {track}"
        (line,) = axes.plot(weights, [row["score"] for row in rows], marker="o", label=name, **style)
        low, high = ([row[end] for row in rows] for end in ("low", "high"))
        axes.fill_between(weights, low, high, alpha=0.08, color=line.get_color())
    axes.set(xlabel="wise-ft weight (0: base, 1: fine-tuned)", ylabel="score")
    axes.legend(frameon=False)
    with whole_file(path) as temporary:
        figure.savefig(temporary, format="png", dpi=150)
