"""Synthesis against a local server that answers after 50 ms; beside a plain ``asyncio.gather`` over the openai client.

Each measurement is a process of its own: ``python -m benchmarks.synthesis WHAT FOLDER URL``.
"""

from __future__ import annotations

import asyncio
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.measure import Result
from recipe.environments import python
from recipe.paths import ROOT

REQUESTS, LATENCY, CONCURRENCY = 20_000, 0.05, 8
STORED, PUTS = 500_000, 20_000
LEAST_SHARE, MOST_MIB, MOST_MS, MOST_SECONDS = 0.9, 500, 1.0, 3.0
_DATASET, _SAID = "category_attribute", '{"attribute": "burn time"}'
_SERVER = "tests.dataset_builders.synthesis.server"


def run() -> list[Result]:
    """Wall seconds of each; the ideal is what the latency and the concurrency allow."""
    ideal = REQUESTS * LATENCY / CONCURRENCY
    with tempfile.TemporaryDirectory(dir=ROOT / "data") as name, _server() as url:
        folder = Path(name)
        _measured("seeds", folder, url)
        peer, ours = _measured("peer", folder, url), _measured("ours", folder, url)
        put = _measured("put", folder, url)
        _measured("fill", folder, url)
        restart = _measured("restart", folder, url)
    share, per_put = ideal / ours["seconds"], 1000 * put["seconds"] / PUTS
    return [
        Result(f"synthesis, {REQUESTS:,} requests, {CONCURRENCY} out at once: {share:.1%} of the ideal {ideal:.0f} s",
               ours["seconds"], f"asyncio.gather, {ideal / peer['seconds']:.1%}", peer["seconds"],
               f"{LEAST_SHARE:.0%} of what the concurrency allows", share >= LEAST_SHARE),
        Result(f"its memory grows by {ours['mib']:.0f} MiB (peer {peer['mib']:.0f})", 0.0, "", 0.0,
               f"< {MOST_MIB} MiB", ours["mib"] < MOST_MIB),
        Result(f"{PUTS:,} answers stored, {per_put:.3f} ms each", put["seconds"], "", 0.0, f"< {MOST_MS:.0f} ms",
               per_put < MOST_MS),
        Result(f"restart over {STORED:,} stored answers, to the first request ({restart['imports']:.1f} s of imports)",
               restart["seconds"], "", 0.0, f"< {MOST_SECONDS:.0f} s", restart["seconds"] < MOST_SECONDS),
    ]  # fmt: skip


@contextmanager
def _server() -> Iterator[str]:
    command = [str(python("core")), "-m", _SERVER, str(LATENCY), _SAID]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1"
        process.terminate()


def _measured(what: str, folder: Path, url: str) -> dict[str, float]:
    command = [str(python("core")), "-m", "benchmarks.synthesis", what, str(folder), url]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


# --- in a process of its own ----------------------------------------------------------------------------------------


def _seeds(number: int) -> Iterator[Any]:
    from dataset_builders.synthesis.declare import Seed
    from dataset_builders.task import held_out

    text = "Solid oak, oiled by hand, with a groove along the edge that holds what drips. " * 8
    for count in range(number):
        fields = {"category": "Lanterns", "other_categories": ["Boards", "Kettles", "Blankets"]}
        fields |= {"product": f"Aldwick lantern number {count}", "listing": text}
        if not held_out(f"product:{count}"):
            yield Seed(f"product:{count}", fields, "")


def _work(store: Any, folder: Path, seeds: str, wanted: int) -> Any:
    from dataset_builders.synthesis.declare import load_synthesis
    from dataset_builders.synthesis.plan import SeedFile, rules_digest
    from dataset_builders.synthesis.request import Settings, template_digest
    from dataset_builders.synthesis.run import Work
    from dataset_builders.task import load_task

    synthesis, settings = load_synthesis(_DATASET), Settings()
    head = store.head(_DATASET, template_digest(synthesis), "m", settings.text(synthesis))
    store.judged(head, rules_digest(_DATASET), [])
    return Work.of(synthesis, load_task(_DATASET), head, SeedFile(folder / seeds), wanted, store)


def _synthesize(folder: Path, url: str, store_name: str, seeds: str, wanted: int, limit: int | None) -> None:
    from dataset_builders.synthesis.budget import Budget
    from dataset_builders.synthesis.endpoint import Endpoint
    from dataset_builders.synthesis.pace import Pace
    from dataset_builders.synthesis.request import Settings
    from dataset_builders.synthesis.run import synthesize
    from dataset_builders.synthesis.store import Store

    async def asked(store: Store) -> None:
        endpoint = Endpoint(url, "m", Pace(CONCURRENCY))
        work = _work(store, folder, seeds, wanted)
        found = await synthesize([work], endpoint, store, Settings(), Budget(None), limit)
        await endpoint.close()
        if found.new != (limit or wanted):
            raise SystemExit(f"{found.new} answers were kept, {found.reasons}, {found.failed}")

    with Store(folder / store_name) as store:
        asyncio.run(asked(store))


def seeds(folder: Path, url: str) -> None:
    from dataset_builders.synthesis.plan import write_seeds

    write_seeds(folder / "few.parquet", _seeds(int(1.2 * REQUESTS)))
    write_seeds(folder / "many.parquet", _seeds(int(1.06 * STORED)))


def ours(folder: Path, url: str) -> None:
    _synthesize(folder, url, "ours.sqlite", "few.parquet", REQUESTS, None)


def peer(folder: Path, url: str) -> None:
    """The same requests, answers read and kept in memory."""
    from openai import AsyncOpenAI

    from dataset_builders.choice import unpacked
    from dataset_builders.synthesis import request
    from dataset_builders.synthesis.declare import load_synthesis
    from dataset_builders.synthesis.plan import SeedFile

    synthesis, file = load_synthesis(_DATASET), SeedFile(folder / "few.parquet")

    async def asked() -> None:
        client, gate = AsyncOpenAI(base_url=url, api_key="none", max_retries=0), asyncio.Semaphore(CONCURRENCY)

        async def one(row: bytes) -> str | None:
            async with gate:
                body: dict[str, Any] = {
                    "model": "m",
                    "messages": request.first(synthesis, unpacked(row)),
                    "response_format": request.response_format(synthesis),
                }
                return (await client.chat.completions.create(**body)).choices[0].message.content

        answers = await asyncio.gather(*(one(row) for _, row in file.rows(iter(range(REQUESTS)))))
        if len([answer for answer in answers if answer == _SAID]) != REQUESTS:
            raise SystemExit("not every answer came")

    asyncio.run(asked())


def put(folder: Path, url: str) -> None:
    """As many puts out at once as there are requests."""
    _fill(folder / "put.sqlite", PUTS, CONCURRENCY)


def fill(folder: Path, url: str) -> None:
    _fill(folder / "many.sqlite", STORED, 4096)


def _fill(path: Path, number: int, together: int) -> None:
    from dataset_builders.choice import packed
    from dataset_builders.synthesis.declare import load_synthesis
    from dataset_builders.synthesis.request import Settings, seed_digest, template_digest
    from dataset_builders.synthesis.store import KEPT, Record, Store

    synthesis = load_synthesis(_DATASET)
    waiting = []
    with Store(path) as store:
        head = store.head(_DATASET, template_digest(synthesis), "m", Settings().text(synthesis))
        for _, seed in zip(range(number), _seeds(2 * number), strict=False):
            record = Record(head.id, seed_digest(seed), KEPT, "", packed(seed), _SAID, "", 500, 10, 0.05, 0.0)
            waiting.append(store.put(record))
            if len(waiting) == together:
                for done in waiting:
                    done.result()
                waiting = []


def restart(folder: Path, url: str) -> None:
    """One request beyond all that is stored."""
    _synthesize(folder, url, "many.sqlite", "many.parquet", STORED + 1, 1)


def main(what: str, folder: Path, url: str) -> None:
    """Prints the seconds, those of imports before them, and by how many MiB the process grew."""
    began = time.monotonic()
    import openai  # noqa: F401

    from dataset_builders.synthesis import job  # noqa: F401

    imports = time.monotonic() - began
    before, began = _resident_mib(), time.monotonic()
    {"seeds": seeds, "ours": ours, "peer": peer, "put": put, "fill": fill, "restart": restart}[what](folder, url)
    seconds = time.monotonic() - began
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - before
    print(json.dumps({"seconds": seconds, "imports": imports, "mib": grown, "cpu": time.process_time()}))


def _resident_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3])
