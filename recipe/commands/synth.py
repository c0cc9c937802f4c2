"""``recipe synth``: run, status, export, prune, samples."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click
from rich.table import Table

from dataset_builders.synthesis.budget import Budget, Price, prices
from dataset_builders.synthesis.declare import load_synthesis, synthesis_names
from dataset_builders.synthesis.export import current_heads
from dataset_builders.synthesis.report import export_all, qualities, samples
from dataset_builders.synthesis.request import Settings
from dataset_builders.synthesis.store import AGAIN, KEPT, REJECTED, Head, Store
from dataset_builders.synthesis.work import Estimate, enhanced, estimates
from inference.answering.engines.cluster import RAY
from recipe.commands.options import examples, raw_option, resolve_run, run_options, spread_options
from recipe.commands.synth_demo import demo
from recipe.steps.synth import Asked, asked_for, judging, plan_of, run_it
from spine.errors import RecipeError
from spine.paths import SYNTHESIS, shown
from spine.progress import timed
from spine.terminal import console, say, table

F = TypeVar("F", bound=Callable[..., Any])
_FIRST = "make synth-v8 ENDPOINT=http://HOST:PORT/v1 asks for some, make synth-demo a small model here"
_STATES = {"kept": KEPT, "rejected": REJECTED, "open": AGAIN}


def store_path() -> Path:
    """Where all answers are."""
    return SYNTHESIS / "store.sqlite"


@click.group(
    "synth",
    epilog=examples(
        "recipe synth run v8 --endpoint http://localhost:8000/v1 --dry-run",
        "recipe synth status",
        "recipe synth samples --task query_entities --only rejected",
    ),
)
def command() -> None:
    """Let an LLM construct, enrich and reword training data.

    Every answer is checked and kept in data/synthesis/store.sqlite; `recipe data` uses what was made.
    """


def _datasets(function: F) -> F:
    return click.option("--task", "tasks", multiple=True, metavar="DATASET", help="This dataset only; more than once.")(
        function
    )


def endpoint_options(function: F) -> F:
    """Where to ask, whom, and what it may cost."""
    for option in (
        click.option("--temperature", type=click.FloatRange(0, 2), default=0.7, show_default=True),
        click.option("--reasoning", type=click.IntRange(0), default=0, show_default=True, metavar="TOKENS",
                     help="That a model which reasons may think, beside its answer."),
        click.option("--timeout", type=click.FloatRange(1), default=120.0, show_default=True, help="Seconds a try."),
        click.option("--concurrency", type=click.IntRange(1, 2048), default=64, show_default=True,
                     help="Requests out at once, at most, at each worker of Ray; how many is found out."),
        click.option("--price", metavar="IN,OUT", envvar="PRICE",
                     help="US dollars per million tokens asked, answered.  [env: PRICE]"),
        click.option("--budget", metavar="AMOUNT", envvar="BUDGET",
                     help="2Mtokens or 5usd: nothing is sent beyond it.  [env: BUDGET]"),
        click.option("--limit", type=click.IntRange(1), envvar="LIMIT", help="Requests at most.  [env: LIMIT]"),
        click.option("--model", envvar="MODEL",
                     help="The endpoint's only model if none is named; on Ray, a folder or a hub name.  [env: MODEL]"),
        click.option("--engine", type=click.Choice([RAY]),
                     help="Instead of an endpoint: vLLM in workers of Ray, here or on the cluster of RAY_ADDRESS."),
        click.option("--endpoint", envvar="ENDPOINT", metavar="URL",
                     help="OpenAI-compatible, ends in /v1. Key: SYNTH_API_KEY or OPENAI_API_KEY.  [env: ENDPOINT]"),
    ):  # fmt: skip
        function = option(function)
    return spread_options(function)


@command.command(
    "run",
    epilog=examples(
        "recipe synth run v8 --endpoint http://localhost:8000/v1 --dry-run",
        "recipe synth run v8 --endpoint https://api.openai.com/v1 --model gpt-4o-mini --budget 5usd",
        "recipe synth run v8 --endpoint http://localhost:8000/v1 --task review_rating --limit 100",
        "RAY_ADDRESS=head:6379 recipe synth run v8 --engine ray --model Qwen/Qwen2-72B-Instruct --tensor-parallel 4",
    ),
)
@run_options
@raw_option
@endpoint_options
@_datasets
@click.option("--dry-run", is_flag=True, help="Only tell the requests, tokens and cost.")
def run(
    blend: str, profile: str | None, overrides: str, data: Path | None, endpoint: str | None,
    engine: str | None, model: str | None, workers: int | None, tensor_parallel: int | None, limit: int | None,
    budget: str | None, price: str | None, concurrency: int, timeout: float, temperature: float,
    reasoning: int, tasks: tuple[str, ...], dry_run: bool,
) -> None:  # fmt: skip
    """Ask an LLM until BLEND's datasets have the rows they want; what is stored is never asked again.

    May be stopped at any time and run again, also by several processes at once.
    """
    resolved, settings = resolve_run(blend, profile, overrides), Settings(temperature, reasoning)
    names = enhanced([portion.name for portion in resolved.portions], tasks)
    if engine and not endpoint and model:
        plan = plan_of(resolved, model, workers, tensor_parallel, settings)
        asked = Asked("", plan.name, settings, concurrency, timeout, plan)
    elif endpoint and not engine:
        asked = asked_for(endpoint, model, settings, concurrency, timeout)
    else:
        raise click.UsageError("name an --endpoint, or --engine ray and a --model")
    spending = Budget.parse(budget, asked.model, Price.parse(price) if price else None)
    with Store(store_path()) as store:
        works = run_it(resolved, names, data, asked, store)
        console().print(estimate_table(asked, estimates(works, store, settings), spending.price))
        if spending.price and not price:
            click.echo(f"prices as of {prices().as_of}, {prices().source}; --price says what holds today")
        if dry_run:
            return
        try:
            asked.synthesize(works, store, spending, limit)
        except (RecipeError, KeyboardInterrupt):
            say(f"what was answered is kept; for `recipe data {blend}` to use it as it is: recipe synth export")
            raise
        made = sum(exported(store).values())
    click.echo(f"questions {shown(SYNTHESIS)}/questions  ({made:,}; recipe data {blend} uses them)")
    click.echo(f"report    {shown(SYNTHESIS)}/report.md, report.png  (recipe synth samples)")


def estimate_table(asked: Asked, rows: list[Estimate], price: Price | None) -> Table:
    """What a run may take; of tokens and cost what they come to if each seed row is asked about once."""
    numbers = ("wanted", "kept", "requests", "tokens asked", "answered", "USD")
    made = table(f"{asked.model} at {asked.url or 'workers of Ray'}", "dataset", "way", *numbers, right=numbers)
    for row in rows:
        cost = f"{row.dollars(price):.2f}" if price else "?"
        made.add_row(
            row.name, row.way, f"{row.wanted:,}", f"{row.kept:,}", f"{row.requests:,}", f"~{row.asked:,}",
            f"~{row.answered:,}", cost,
        )  # fmt: skip
    made.add_section()
    asked_tokens, answered = sum(row.asked for row in rows), sum(row.answered for row in rows)
    made.add_row(
        f"{len(rows)} datasets", "", f"{sum(row.wanted for row in rows):,}", f"{sum(row.kept for row in rows):,}",
        f"{sum(row.requests for row in rows):,}", f"~{asked_tokens:,}", f"~{answered:,}",
        f"{price.of(asked_tokens, answered):.2f}" if price else "? (--price)",
    )  # fmt: skip
    return made


command.add_command(demo)


@command.command("status", epilog=examples("recipe synth status"))
def status() -> None:
    """What the store holds: kept and rejected answers by dataset and model, tokens, reasons."""
    if not store_path().exists():
        click.echo(f"no answers yet in {shown(store_path())}; {_FIRST}")
        return
    numbers = ("judged", "kept", "", "2nd try", "open", "near dup.", "tokens", "s a row")
    made = table(shown(store_path()), "dataset", "model", *numbers, "rejected because", right=numbers)
    with opened() as store:
        with judging() as tell:
            measured = qualities(store, tell)
        for each in measured:
            reasons = ", ".join(f"{reason} {count:,}" for reason, count in list(each.reasons.items())[:4]) or "-"
            made.add_row(
                each.dataset, each.model, f"{each.judged:,}", f"{each.kept:,}", f"{each.acceptance:.0%}",
                f"{each.second:,}", f"{each.open:,}", f"{each.near_duplicates / max(1, each.questions):.1%}",
                f"{each.asked + each.answered:,}", f"{each.seconds:.2f}", reasons,
            )  # fmt: skip
        console().print(made)
        stale = _stale(store)
        total = _answers(store, stale)
    if stale:
        click.echo(f"{total:,} answers to {len(stale)} templates that have changed since  (recipe synth prune --stale)")


@command.command("export", epilog=examples("recipe synth export", "recipe synth export --model gpt-4o-mini"))
@click.option("--model", help="Answers of this model only.")
def export(model: str | None) -> None:
    """Write the kept questions as Parquet, one file a dataset, and the report beside them."""
    with opened() as store:
        counts = exported(store, model)
    for name, count in counts.items():
        if count:
            click.echo(f"{count:9,}  {shown(SYNTHESIS)}/questions/{name}.parquet")
    click.echo(f"report     {shown(SYNTHESIS)}/report.md, report.png, report.json")


@command.command(
    "prune",
    epilog=examples("recipe synth prune --stale", "recipe synth prune --model SmolLM2-135M --task query_entities"),
)
@_datasets
@click.option("--model", help="Answers of this model.")
@click.option("--stale", is_flag=True, help="Answers to templates that have changed since.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def prune(tasks: tuple[str, ...], model: str | None, stale: bool, yes: bool) -> None:
    """Remove answers from the store for good, and their questions from what `recipe data` uses."""
    datasets = {load_synthesis(name).name for name in tasks}
    if not (tasks or model or stale):
        raise RecipeError("this would remove every answer", way_out="say which: --stale, --model NAME, --task DATASET")
    with opened() as store:
        heads = [
            head
            for head in (_stale(store) if stale else store.heads())
            if (not datasets or head.dataset in datasets) and model in (None, head.model)
        ]
        total = _answers(store, heads)
        if total and not yes:
            click.confirm(f"remove {total:,} answers of {len(heads)} datasets and models?", abort=True)
        if total:
            with timed(f"removing {total:,} answers"):
                store.prune(heads)
            exported(store)
        click.echo(f"{total:,} answers removed")


@command.command(
    "samples",
    epilog=examples("recipe synth samples", "recipe synth samples --task product_fact_question --only rejected -n 20"),
)
@_datasets
@click.option("--only", type=click.Choice(list(_STATES)), help="Those that were kept, rejected, or sent back.")
@click.option("-n", "number", default=3, show_default=True, type=click.IntRange(min=1), help="Of each dataset.")
def show_samples(tasks: tuple[str, ...], only: str | None, number: int) -> None:
    """Show seed rows, the answers to them, and the questions they became or why they did not."""
    known = [load_synthesis(name).name for name in tasks or synthesis_names()]
    with opened() as store:
        for name in known:
            for count, (head, record, questions) in enumerate(samples(store, name, _STATES.get(only or ""))):
                if count == number:
                    break
                verdict = {KEPT: "kept", AGAIN: "sent back", REJECTED: "rejected"}[record.state]
                colour = "green" if record.state == KEPT else "red"
                click.secho(f"--- {name}  {head.model}  {verdict}  {record.reason}", fg=colour, bold=True)
                click.secho(_pretty(json.loads(record.row)[0]), dim=True)
                for said in filter(None, (record.first, record.second)):
                    click.echo(f"answer: {said[:1500]}")
                for question in questions:
                    click.secho(f"{_pretty(question.fields)}\n-> {question.truth}", fg="green")
                click.echo()


def exported(store: Store, model: str | None = None) -> Mapping[str, int]:
    """Questions of each dataset that `recipe data` uses now."""
    with judging() as tell:
        return export_all(store, SYNTHESIS, synthesis_names(), model, tell)


def opened() -> Store:
    """The store, if there is one."""
    if not store_path().exists():
        raise RecipeError("no answers yet", where=shown(store_path()), way_out=_FIRST)
    return Store(store_path())


def _answers(store: Store, heads: Sequence[Head]) -> int:
    return sum(sum(store.tally(head).values()) for head in heads)


def _stale(store: Store) -> list[Head]:
    current = {head for name in synthesis_names() for head in current_heads(store, load_synthesis(name))}
    return [head for head in store.heads() if head not in current]


def _pretty(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1)
