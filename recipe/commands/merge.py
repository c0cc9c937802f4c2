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
    ensure_one_adapter,
    held,
    parse_alphas,
    parse_checkpoints,
    parse_parts,
    profile_padding,
    run_results,
)
from spine import manifest
from spine.errors import RecipeError
from spine.mixture import Mixture
from spine.models import local_folder
from spine.paths import shown


@click.command(
    "merge",
    epilog=examples(
        "recipe merge v8",
        "recipe merge v8 --alpha 0.25,0.5,0.75",
        "recipe merge v8 --alpha 0.5625 --pad --dry-run",
        "recipe merge v8 --checkpoints -2,-1 --alpha 0.25",
        "recipe merge v9b --alpha 0.25 --as-adapter",
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
    help="Average these checkpoints of BLEND's training instead of its last state: steps, or -1 for the last one, -2 "
    "for the one before it.  [env: CHECKPOINTS]",
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
@click.option(
    "--as-adapter", is_flag=True,
    help="Write the sum as one adapter (rank r1 + r2, exact) instead of a whole model: for engines that take one.",
)  # fmt: skip
@click.option("--beyond-one", is_flag=True, help="Allow weights up to 2.")
@dry_run_option
def command(
    blend: str | None, profile: str | None, overrides: str, alpha: str | None, checkpoints: str | None,
    base: str | None, sources: tuple[str, ...], out: Path | None, pad: bool, round_trip: bool,
    as_adapter: bool, beyond_one: bool, dry_run: bool,
) -> None:  # fmt: skip
    """Merge BLEND's adapters into its base: W + the sum of share * scale * B A, in fp32, rounded once.

    Streams shard by shard: memory does not grow with the model. Stopped or killed, the same command goes on after the
    last finished shard; the result's folder is there only when it is complete.
    """
    began = time.monotonic()
    if (blend is None) == (base is None):
        raise click.UsageError("name a BLEND, or give --base and --out")
    if base and checkpoints:
        raise click.UsageError("--checkpoints are a BLEND's; with --base, --add each of them with its share")
    if as_adapter and (pad or round_trip or dry_run):
        raise click.UsageError("--as-adapter goes without --pad, --nf4-round-trip and --dry-run")
    if blend:
        resolved = resolve_run(blend, profile, overrides)
        alphas = alphas_of(blend, alpha, beyond_one=beyond_one)
        steps = parse_checkpoints(checkpoints, resolved) if checkpoints else []
        results = run_results(resolved, alphas, "adapter" if as_adapter else "padded" if pad else "merged", steps)
        model, padding, place = resolved.profile.base_model, profile_padding(resolved), resolved.run.folder
    else:
        if out is None:
            raise click.UsageError("--base needs --out")
        alphas = parse_alphas(alpha or "1", beyond_one=beyond_one)
        results = _results(parse_parts(sources, "--add", beyond_one=beyond_one), alphas, out.absolute())
        model, padding, place = str(base), Padding(), None
    if as_adapter:
        with held(next(iter(results)), place):
            for folder, mixture in results.items():
                ensure_one_adapter(mixture, folder)
                click.echo(f"adapter   {shown(folder)}  ({mixture})")
        return
    job = MergeJob.mixing(local_folder(model), results, padding if pad else None, round_trip)
    carry_out(job, place, dry_run=dry_run, began=began)


def _results(added: Mixture, alphas: list[float], out: Path) -> dict[Path, Mixture]:
    """Shares multiply the weight: two checkpoints at 0.5 are their average, then weighed.

    Raises:
        RecipeError: a folder of that name holds another mixture.
    """
    several = len(alphas) > 1
    found = {out.with_name(f"{out.name}-{alpha:g}") if several else out: added * alpha for alpha in alphas}
    for folder, mixture in found.items():
        known = (manifest.read(folder) or {}).get("inputs", {}).get("mixture")
        if known is not None and known != mixture.stamps():
            shares = " and ".join(f"{share:g}" for _, share in known) or "none"
            raise RecipeError(
                f"holds another mixture (shares: {shares})", where=shown(folder), way_out="choose another --out"
            )
    return found
