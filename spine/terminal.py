"""How steps speak to the person who started them: a line on stderr, a table on stdout."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table


def say(line: str) -> None:
    """One line about a step, on stderr beside the progress."""
    click.echo(line, err=True)


def console() -> Console:
    """Where tables go; wide enough for them when the output is a file or a pipe."""
    return Console(width=None if sys.stdout.isatty() else 170, highlight=False)


def table(title: str, *columns: str, right: Sequence[str] = ()) -> Table:
    """A table in the house style; columns named in ``right`` hold numbers. The last column may wrap."""
    made = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD, pad_edge=False)
    for name in columns:
        made.add_column(name, justify="right" if name in right else "left", no_wrap=name != columns[-1])
    return made


def fits(made: Table) -> bool:
    """Whether no column has to be cut or folded where tables go."""
    there = console()
    return there.measure(made, options=there.options.update(max_width=10_000)).maximum <= there.width
