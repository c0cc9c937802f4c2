"""``recipe pad``."""

from __future__ import annotations

import time
from pathlib import Path

import click

from postprocess.merge.plan import MergeJob, Padding
from recipe.commands.options import (
    FOLDER,
    alpha_option,
    dry_run_option,
    examples,
    profile_option,
    resolve_run,
    set_option,
)
from recipe.steps.merge import alphas_of, carry_out, profile_padding, run_job
from spine.models import local_folder


@click.command(
    "pad",
    epilog=examples(
        "recipe pad v8",
        "recipe pad v8 --alpha 0.5625 --by 128",
        "recipe pad --model runs/8xa100/v8/awq-0.5625 --out awq-tp4 --tp 4 --group 128",
        "recipe pad --model merged --out padded --by 128 --dry-run",
    ),
)
@click.argument("blend", required=False)
@profile_option
@set_option
@alpha_option
@click.option("--model", metavar="MODEL", help="Any model's folder, dense or AWQ, instead of a BLEND.")
@click.option("--out", type=FOLDER, help="With --model: folder of the result.")
@click.option(
    "--by", type=click.IntRange(min=1), help="Columns to add, instead of as many as --tp and --group ask for."
)
@click.option(
    "--tp", type=click.IntRange(min=1), help="GPUs that share the model.  [default: the profile's; 4 for --model]"
)
@click.option(
    "--group", type=click.IntRange(min=1), help="Quantisation group.  [default: the profile's; 128 for --model]"
)
@dry_run_option
def command(
    blend: str | None, profile: str | None, overrides: str, alpha: str | None, model: str | None, out: Path | None,
    by: int | None, tp: int | None, group: int | None, dry_run: bool,
) -> None:  # fmt: skip
    """Widen the MLPs of BLEND's merged model with zeros, so that GPUs and quantisation groups divide them.

    The model answers as before. A BLEND is merged and padded in one pass; a --model is copied.
    """
    began = time.monotonic()
    if (blend is None) == (model is None):
        raise click.UsageError("name a BLEND, or give --model and --out")
    if blend:
        resolved = resolve_run(blend, profile, overrides)
        alphas = alphas_of(blend, alpha)
        default = profile_padding(resolved)
        job = run_job(resolved, alphas, Padding(by, tp or default.tp, group or default.group))
        place: Path | None = resolved.run.folder
    else:
        if out is None:
            raise click.UsageError("--model needs --out")
        job = MergeJob(str(local_folder(str(model))), [str(out.absolute())], padding=Padding(by, tp or 4, group or 128))
        place = None
    carry_out(job, place, dry_run=dry_run, began=began)
