"""``recipe merge``."""

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
from recipe.steps.merge import (
    alphas_of,
    carry_out,
    parse_alpha,
    parse_alphas,
    parse_checkpoints,
    profile_padding,
    run_job,
)
from spine.models import local_folder


@click.command(
    "merge",
    epilog=examples(
        "recipe merge v8",
        "recipe merge v8 --alpha 0.25,0.5,0.75",
        "recipe merge v8 --alpha 0.56 --pad --dry-run",
        "recipe merge v8 --checkpoints 150,192 --alpha 0.25",
        "recipe merge --base Qwen/Qwen2-72B-Instruct --add step-150=0.5 --add step-192=0.5 --alpha 0.25 --out new",
        "recipe merge --base BASE --add FINETUNED_MODEL --alpha 0.5 --out merged",
    ),
)
@click.argument("blend", required=False)
@profile_option
@set_option
@alpha_option
@click.option(
    "--checkpoints", envvar="CHECKPOINTS", metavar="N,N...",
    help="Average these checkpoints of BLEND's training (steps) instead of its last state.  [env: CHECKPOINTS]",
)  # fmt: skip
@click.option("--base", metavar="MODEL", help="Folder or hub name of a base, instead of BLEND's.")
@click.option(
    "--add",
    "sources",
    multiple=True,
    metavar="FOLDER[=W]",
    help="With --base: an adapter or a whole model, and its share (1); more than once.",
)
@click.option("--out", type=FOLDER, help="With --base: folder of the result; with several weights, -W is appended.")
@click.option("--pad/--no-pad", default=False, help="Widen the MLPs in the same pass (see `recipe pad`).")
@click.option(
    "--nf4-round-trip",
    "round_trip",
    is_flag=True,
    help="First round the base's linear layers to NF4 and back, as QLoRA's training saw them: the merged model is "
    "nearer to the one that was trained, and farther from the base.",
)
@click.option("--beyond-one", is_flag=True, help="Allow weights up to 2.")
@dry_run_option
def command(
    blend: str | None, profile: str | None, overrides: str, alpha: str | None, checkpoints: str | None,
    base: str | None, sources: tuple[str, ...], out: Path | None, pad: bool, round_trip: bool, beyond_one: bool,
    dry_run: bool,
) -> None:  # fmt: skip
    """Merge BLEND's adapter into its base: W + alpha * scale * B A, in fp32, rounded once.

    Streams shard by shard: memory does not grow with the model. Stopped or killed, the same command goes on after the
    last finished shard; the result's folder is there only when it is complete.
    """
    began = time.monotonic()
    if (blend is None) == (base is None):
        raise click.UsageError("name a BLEND, or give --base and --out")
    if base and checkpoints:
        raise click.UsageError("--checkpoints are a BLEND's; with --base, --add each of them with its share")
    if blend:
        resolved = resolve_run(blend, profile, overrides)
        alphas = alphas_of(blend, alpha, beyond_one=beyond_one)
        padding = profile_padding(resolved) if pad else None
        steps = parse_checkpoints(checkpoints) if checkpoints else []
        job = run_job(resolved, alphas, padding, round_trip=round_trip, checkpoints=steps)
        place: Path | None = resolved.run.folder
    else:
        if out is None:
            raise click.UsageError("--base needs --out")
        alphas = parse_alphas(alpha or "1", beyond_one=beyond_one)
        job = _own_job(str(base), sources, alphas, out.absolute(), Padding() if pad else None, round_trip, beyond_one)
        place = None
    carry_out(job, place, dry_run=dry_run, began=began)


def _own_job(
    base: str,
    given: tuple[str, ...],
    alphas: list[float],
    out: Path,
    padding: Padding | None,
    round_trip: bool,
    beyond_one: bool,
) -> MergeJob:
    """Shares multiply the weight: two checkpoints at 0.5 are their average, then weighed."""
    folders, shares = [], []
    for text in given:
        # A run's own folder may hold a "=": runs/cpu/v8+lora_r=32/train.
        folder, _, share = text.rpartition("=") if "=" in text and not Path(text).exists() else (text, "", "1")
        shares.append(parse_alpha(share, f"--add {text}", beyond_one=beyond_one))
        folders.append(str(Path(folder).absolute()))
    outs = [str(out if len(alphas) == 1 else out.with_name(f"{out.name}-{alpha:g}")) for alpha in alphas]
    weights = [[alpha * share for share in shares] for alpha in alphas]
    return MergeJob(str(local_folder(base)), outs, folders, weights, padding, round_trip)
