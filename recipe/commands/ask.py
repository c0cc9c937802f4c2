"""``recipe ask``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from inference.answering.rules import Mode
from inference.scoring.parsers import parse
from inference.serving.client import URL, Said, ask
from recipe.commands.options import examples
from spine.asked import listed_texts
from spine.errors import RecipeError
from spine.paths import shown
from spine.progress import waiting
from spine.task_types import TaskType
from spine.terminal import say, table

_BAR = 30  # letters
_FILE = click.Path(path_type=Path, dir_okay=False, exists=True, allow_dash=True)


@click.command(
    "ask",
    epilog=examples(
        "recipe ask $'Which one is a fruit?\\n0. a fork\\n1. a fig\\nAnswer:'",
        "recipe ask -f question.txt --multiple-choice",
        "recipe ask 'Describe the product type fork.' --mode free --url http://gpu-1:8000",
        "recipe ask -f question.txt --model base",
        "answer=$(recipe ask -f question.txt 2>/dev/null)",
    ),
)
@click.argument("question", required=False, envvar="Q")
@click.option("-f", "--file", type=_FILE, help="The question, instead of the argument; - is stdin.")
@click.option("--url", default=URL, show_default=True, envvar="URL", help="The server's address.  [env: URL]")
@click.option("--model", help="One of those that the server names.  [default: its main one]")
@click.option(
    "--multiple-choice/--no-multiple-choice", "is_multiple_choice", default=None,
    help="What the contest tells beside a question.  [default: guessed]",
)  # fmt: skip
@click.option("--task-type", type=click.Choice([kind.value for kind in TaskType]), help="[default: found]")
@click.option("--mode", type=click.Choice([mode.value for mode in Mode]), help="[default: the server's]")
@click.option("--timeout", type=click.FloatRange(0, min_open=True), default=600.0, show_default=True, help="Seconds.")
def command(
    question: str | None, file: Path | None, url: str, model: str | None, is_multiple_choice: bool | None,
    task_type: str | None, mode: str | None, timeout: float,
) -> None:  # fmt: skip
    """Ask the model that `recipe serve` serves. The answer goes to stdout; what is known about it to stderr.

    Options stand in lines of their own, each behind its number. Their probabilities are the model's own, before the
    decoding rule. VLLM_API_KEY=... is sent as the key.
    """
    text = _question(question, file)
    given = {"is_multiple_choice": is_multiple_choice, "task_type": task_type, "mode": mode}
    steering = {key: value for key, value in given.items() if value is not None}
    with waiting(f"waiting for {url}, at most {timeout:g} s"):
        said = ask(url, text, model=model, timeout=timeout, probabilities=True, **steering)
    click.echo(said.text)
    say(f"{said.told['task_type']}, mode {said.told['mode']}, {said.model}, {said.seconds:.2f} s")
    if dropped := said.told["dropped_tokens"]:
        say(f"the question was too long for the model: {dropped:,} tokens of its middle were left out")
    _show_items(said, text)


def _question(question: str | None, file: Path | None) -> str:
    if file and question:
        raise click.UsageError("a question or a --file, not both")
    if not file and question is None and sys.stdin.isatty():
        raise click.UsageError("what is the question? As an argument, with -f FILE, or on stdin")
    try:
        if question is None:
            question = file.read_text(encoding="utf-8") if file and str(file) != "-" else sys.stdin.read()
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"cannot be read as text: {error}", where=shown(file) if file else "stdin") from error
    if not question.strip():
        raise RecipeError("the question is empty", where=shown(file) if file else None)
    return question


def _show_items(said: Said, question: str) -> None:
    """The options with their probabilities, or the listed items that were chosen, in the answer's order."""
    console, texts = Console(stderr=True, highlight=False), listed_texts(question)
    chosen = _chosen(said)
    if shares := said.told.get("probabilities"):
        made = table("", "option", "probability", "", "text", right=("option", "probability"))
        for option, share in shares.items():
            style = "bold" if option in chosen else ""
            bar = "█" * round(share * _BAR)
            made.add_row(option, f"{share:.3f}", bar, Text(texts.get(_number(option), "")), style=style)
        console.print(made)
        say(f"they are shares of what the options have; {said.told['outside']:.1%} of the whole lies on other words")
    elif said.told["task_type"] == TaskType.MULTIPLE_CHOICE:
        say("no probabilities: two of the options begin with the same token")
    elif texts and chosen:
        made = table("", "chosen", "text", right=("chosen",))
        for option in chosen:
            made.add_row(option, Text(texts.get(_number(option), "")))
        console.print(made)


def _chosen(said: Said) -> Sequence[str]:
    """The options or numbers of an answer; none of what names no numbers."""
    kind = TaskType(said.told["task_type"])
    if kind is TaskType.MULTIPLE_CHOICE:
        return [said.text]
    if kind not in (TaskType.RETRIEVAL, TaskType.RANKING):
        return []
    found: Any = parse(kind, said.text)
    return [str(number) for number in found]


def _number(option: str) -> int:
    return int(option) if option.isdigit() else -1
