"""``python -m benchmarks [NAME ...]``: runs the benchmarks, prints one table, writes ``benchmarks/results/``."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from benchmarks import answering, blend, cli, gain, merging, synthesis, training
from benchmarks.measure import Result
from spine.hardware import this_machine

BENCHMARKS = {
    "cli": cli.run,
    "blend": blend.run,
    "synthesis": synthesis.run,
    "training": training.run,
    "merging": merging.run,
    "answering": answering.run,
    "gain": gain.run,
}
RESULTS = Path(__file__).parent / "results"


def main(wanted: list[str]) -> None:
    """Runs ``wanted`` or all; a benchmark that misses its aim is shown, not hidden, and sets the exit code."""
    results: list[Result] = []
    for name in wanted or BENCHMARKS:
        print(f"benchmark {name} ...", file=sys.stderr, flush=True)
        results += BENCHMARKS[name]()
    table = Table("what", "ours", "peer", "ratio", "aim", "", title=str(this_machine()), box=SIMPLE_HEAD)
    for result in results:
        table.add_row(*result.cells())
    Console(width=150).print(table)
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{time.strftime('%Y%m%d-%H%M%S')}.json"
    machine = str(this_machine())
    path.write_text(json.dumps({"machine": machine, "results": [vars(result) for result in results]}, indent=1) + "\n")
    print(path, file=sys.stderr)
    sys.exit(not all(result.met for result in results))


if __name__ == "__main__":
    main(sys.argv[1:])
