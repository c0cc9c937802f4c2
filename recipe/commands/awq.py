"""``recipe awq``."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from axolotl_configs.render import Resolved
from axolotl_configs.schema import Quantize
from postprocess.awq import export, gate
from postprocess.awq.export import ExportJob
from recipe.commands.options import FOLDER, alpha_option, examples, profile_option, resolve_run, set_option
from recipe.steps.export import FIRST, LAST, export_jobs, texts_of
from recipe.steps.merge import alphas_of, ensure_produced
from spine.errors import RecipeError
from spine.lock import locked
from spine.paths import shown
from spine.progress import Meter, clock
from spine.terminal import console, say, table

_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.command(
    "awq",
    epilog=examples(
        "recipe awq v8",
        "recipe awq v8 --alpha 0.25 --calibration development.json",
        "recipe awq v8 --backend autoawq --order pad-then-awq",
        "recipe awq --model models/SmolLM2-135M-Instruct --out /big/disk/awq --group 64 --calibration questions.json",
    ),
)
@click.argument("blend", required=False)
@profile_option
@set_option
@alpha_option
@click.option("--model", type=FOLDER, help="Any model's folder instead of a BLEND's merged model.")
@click.option("--out", type=FOLDER, help="With --model: folder of the export.")
@click.option("--backend", type=click.Choice(list(export.ENVIRONMENTS)), help="[default: the profile's]")
@click.option("--format", "form", default="awq", show_default=True, type=click.Choice(export.FORMATS), help="Layout.")
@click.option("--group", type=click.Choice([str(size) for size in export.GROUPS]), help="[default: the profile's]")
@click.option(
    "--order", default=LAST, show_default=True, type=click.Choice((LAST, FIRST)), help="Padding last or first."
)
@click.option(
    "--calibration", envvar="CALIBRATION", type=_FILE,
    help="Question-answer pairs in ShopBench's form, or rows as Parquet, instead of the BLEND's rows.  "
    "[env: CALIBRATION]",
)  # fmt: skip
@click.option("--max-tokens", default=512, show_default=True, type=click.IntRange(min=16), help="Longest text used.")
def command(
    blend: str | None, profile: str | None, overrides: str, alpha: str | None, model: Path | None, out: Path | None,
    backend: str | None, form: str, group: str | None, order: str, calibration: Path | None, max_tokens: int,
) -> None:  # fmt: skip
    """Export BLEND's merged model, or the --model folder, to 4 bit; measure it against the original and plain rounding.

    An export that is no better than plain rounding, or whose norms are off, is refused; its report stays. A BLEND is
    merged first where that is needed, and padded for the profile's GPUs: after quantising, which is exact, or before.
    """
    began = time.monotonic()
    if (model is None) != (out is None):
        raise click.UsageError("--model and --out go together")
    if blend is None and (model is None or calibration is None):
        raise click.UsageError("name a BLEND, or give --model, --out and --calibration")
    resolved = resolve_run(blend, profile, overrides) if blend else None
    chosen = resolved.profile.quantize if resolved else Quantize()
    if form == "gptq" and order == LAST and resolved and not model and chosen.tensor_parallel > 1:
        raise RecipeError("packed GPTQ weights are not padded here", way_out=f"--order {FIRST}")
    export.require_environments(backend or chosen.backend)  # before minutes of merging
    place = (out or Path()).absolute()
    texts = {**({"pairs": calibration} if calibration else {}), **(texts_of(resolved) if resolved else {})}
    wanted = ExportJob(place, place, backend or chosen.backend, form, int(group or chosen.group), texts, max_tokens)
    with locked(resolved.run.folder if resolved else place.parent):
        if model:
            _exported(replace(wanted, model=model.absolute()))
        elif resolved:
            for weight in alphas_of(resolved.blend.name, alpha):
                _exported_run(resolved, weight, wanted, order)
    click.echo(f"time      {clock(time.monotonic() - began)}")


def _exported_run(resolved: Resolved, alpha: float, wanted: ExportJob, order: str) -> None:
    """Merged, then quantised and padded in the order asked for."""
    merged, job, widened = export_jobs(resolved, alpha, wanted, order)
    ensure_produced(merged)
    _exported(job)
    if widened and widened.padding:
        ensure_produced(widened)
        click.echo(f"padded    {shown(Path(widened.outs[0]))}  (for {widened.padding.tp} GPUs)")


def _exported(job: ExportJob) -> None:
    """The step itself; skipped when it is done."""
    if export.step(job).is_done():
        say(f"awq: {shown(job.out)} is done and up to date, nothing to do")
        report = export.read_report(job.out)
    else:
        with Meters() as meters:
            report = export.export(job, meters)
    _show(report)
    click.echo(f"export    {shown(job.out)}  ({job.format}, groups of {job.group}, {report['backend']})")


def _show(report: dict[str, Any]) -> None:
    columns = ("original", f"{report['format']} export", "plain rounding")
    compared = table(f"{report['texts']} held-out texts, {report['tokens']:,} tokens", "", *columns, right=columns)
    for row in gate.summary(report):
        compared.add_row(*row)
    console().print(compared)
    click.echo(f"texts     {report['calibration']}")
    if report["converted"]:
        click.echo(f"weights   converted for quantising: {report['converted']}")
    if report["scales"]["subnormal"]:
        share = report["scales"]["subnormal"] / report["scales"]["all"]
        click.echo(f"scales    {share:.2%} are subnormal in fp16; padded channels have such")


class Meters:
    """One line of progress after the other: quantising, then measuring."""

    def __init__(self) -> None:
        self._what = ""
        self._meter: Meter | None = None

    def __call__(self, what: str, done: int, total: int) -> None:
        if what != self._what or self._meter is None:
            self.__exit__()
            self._what, self._meter = what, Meter(what, "layer")
            self._meter.__enter__()
        self._meter.update(done, total)

    def __enter__(self) -> Meters:
        return self

    def __exit__(self, *error: object) -> None:
        if self._meter:
            self._meter.__exit__()
