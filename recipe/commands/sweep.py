"""``recipe sweep``."""

from __future__ import annotations

import json
import shutil
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from axolotl_configs.schema import load_tracks
from inference.answering.answer import PREDICTIONS
from inference.answering.questions import read_questions
from inference.evaluate import WORST, Evaluation
from inference.scoring.scores import SCORES
from inference.scoring.sweep import best_weights, within
from inference.scoring.tables import notes, read_scores, tracks_table
from recipe.commands.asking import engine_options, questions_options
from recipe.commands.options import examples, resolve_run, run_options
from recipe.report.pictures import sweeps
from recipe.report.results import curves_of
from recipe.steps.asking import run_in_serve
from recipe.steps.eval import How, held_out, sweep_of
from recipe.steps.merge import parse_alphas, swept_alphas
from recipe.steps.result_names import BEST
from recipe.walk.rows import weights_of
from spine import manifest
from spine.atomic import whole_file, write_text
from spine.environments import python
from spine.lock import locked
from spine.look import house_style, save
from spine.manifest import Step
from spine.paths import shown
from spine.progress import clock
from spine.terminal import console, say, table

_PICTURE = "sweep.png"


@click.command(
    "sweep",
    epilog=examples("recipe sweep v8", "recipe sweep v8 --alphas 0,0.1,0.2,0.3 --questions development.json"),
)
@run_options
@click.option(
    "--alphas",
    envvar="ALPHAS",
    metavar="W,W...",
    help="Weights.  [default: the profile's, and the blend's in tracks.yaml; env: ALPHAS]",
)
@questions_options
@click.option("--beyond-one", is_flag=True, help="Allow weights up to 2.")
@engine_options
def command(
    blend: str, profile: str | None, overrides: str, alphas: str | None, questions: Path | None, limit: int | None,
    beyond_one: bool, **how: Any,
) -> None:  # fmt: skip
    """Score BLEND's adapter with several wise-ft weights through one loaded model, without merging.

    Choose weights on questions that are not those of the contest: the best weight of a small set is partly luck, which
    is why its confidence interval stands beside it.
    """
    began = time.monotonic()
    resolved = resolve_run(blend, profile, overrides)
    python("serve")
    file = questions or held_out(resolved)
    weights = parse_alphas(alphas, beyond_one=beyond_one) if alphas else swept_alphas(resolved)
    count = len(weights) * len(read_questions(file, limit=limit, tell=say))
    evaluations, step = sweep_of(resolved, weights, file, How(**how), count=count, limit=limit)
    with ExitStack() as stack:
        for evaluation in evaluations.values():
            stack.enter_context(locked(Path(evaluation.folder)))
            if not evaluation.step.is_done():
                _borrow(evaluation, resolved.run.folder.parent)
        if all(evaluation.step.is_done() for evaluation in evaluations.values()):
            say("sweep: every weight is scored already")
        else:
            run_in_serve(list(evaluations.values()))
    scores = {alpha: read_scores(Path(evaluation.folder)) for alpha, evaluation in evaluations.items()}
    _show(blend, scores, step)
    click.echo(f"time      {clock(time.monotonic() - began)}")


def _borrow(evaluation: Evaluation, runs: Path) -> None:
    """Weight 0 is what the training started from, the base or another round's model: if that was asked the same among
    ``runs`` already, its answers are taken.
    """
    folder, key = Path(evaluation.folder), evaluation.step.key
    for other in sorted(path.parent for path in runs.glob(f"*/eval/*/{manifest.NAME}")):
        if (manifest.read(other) or {}).get("key") == key and not manifest.damaged(other):
            say(f"sweep: {evaluation.label} was asked already: {shown(other)}")
            for name in (PREDICTIONS, SCORES, WORST, manifest.NAME):
                with whole_file(folder / name) as temporary:
                    shutil.copyfile(other / name, temporary)
            return


def _show(blend: str, scores: dict[float, dict[str, Any]], step: Step) -> None:
    several = list(scores.values())
    console().print(tracks_table(several))
    columns = ("track", "weight", "score", "95% interval", "as good within it")
    made = table("best weight", *columns, right=("weight", "score"))
    best = list(best_weights(scores))
    for track, alpha, part in best:
        others = within(scores, track, alpha, part)
        alike = "every other weight" if len(others) == len(scores) - 1 else ", ".join(f"{one:g}" for one in others)
        interval = f"[{part['low']:.3f}, {part['high']:.3f}]"
        made.add_row(track, f"{alpha:g}", f"{part['score']:.3f}", interval, alike or "none")
    console().print(made)
    if any(len(within(scores, *one)) == len(scores) - 1 for one in best):
        click.echo("beware    where every other weight is as good within the interval, these questions cannot choose")
    for line in notes(several):
        click.echo(line)
    if not step.is_done():
        rows = [{"track": track, "alpha": alpha, **part} for track, alpha, part in best]
        write_text(step.folder / BEST, json.dumps({"best": rows, "weights": list(scores)}, indent=2) + "\n")
        with house_style():
            curves = list(curves_of(blend, scores, rows, weights_of(load_tracks())))
            save(sweeps(curves, [blend]), step.folder / _PICTURE)
        step.finish([BEST, _PICTURE])
    click.echo(f"picture   {shown(step.folder)}/{_PICTURE}, {BEST}")
