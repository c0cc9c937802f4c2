"""Synthesis against a local server that answers after 50 ms; beside a plain ``asyncio.gather`` over the openai client.

Each measurement is a process of its own (see ``spine.child_job``).
"""

from __future__ import annotations

import asyncio
import json
import resource
import subprocess
import sys
import time
import urllib.request
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.measure import Result, within, workshop
from benchmarks.restart import DATASET, MODEL, SAID, fill_store, first_request, seed_rows
from spine import child_job
from spine.child_job import Teller, serve
from spine.environments import python
from spine.paths import ROOT

REQUESTS, LATENCY, CONCURRENCY = 20_000, 0.05, 8
STORED, PUTS = 500_000, 20_000
LEAST_SHARE, MOST_MIB, MOST_MS, MOST_SECONDS = 0.9, 500, 1.0, 3.0
_ROUNDS = 3  # of a restart
_SERVER = "tests.dataset_builders.synthesis.server"


def run() -> list[Result]:
    """Wall seconds of each; the ideal is what the latency and the concurrency allow."""
    ideal = REQUESTS * LATENCY / CONCURRENCY
    with workshop() as folder:
        _measured("seeds", folder, "")
        peer, ours = (_served(what, folder) for what in ("peer", "ours"))
        put = _measured("put", folder, "")
        restart = median(first_request(folder, STORED, _ROUNDS))
    share, per_put = ideal / ours["seconds"], 1000 * put["seconds"] / PUTS
    return [
        Result(f"synthesis, {REQUESTS:,} requests, {CONCURRENCY} out at once: {share:.1%} of the ideal {ideal:.0f} s",
               ours["seconds"], f"asyncio.gather, {ideal / peer['seconds']:.1%}", peer["seconds"],
               f"{LEAST_SHARE:.0%} of what the concurrency allows", share >= LEAST_SHARE),
        Result(f"its memory grows by {ours['mib']:.0f} MiB (peer {peer['mib']:.0f})", 0.0, "", 0.0,
               f"< {MOST_MIB} MiB", ours["mib"] < MOST_MIB),
        Result(f"{PUTS:,} answers stored, {per_put:.3f} ms each", put["seconds"], "", 0.0, f"< {MOST_MS:.0f} ms",
               per_put < MOST_MS),
        within(f"recipe synth run over {STORED:,} stored answers, start to first request", restart, MOST_SECONDS),
    ]  # fmt: skip


def _served(what: str, folder: Path) -> dict[str, float]:
    """Against a server of its own, which vouches for its latency and for how many requests it had at once."""
    command = [str(python("core")), "-m", _SERVER, str(LATENCY), SAID]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = f"http://127.0.0.1:{int(process.stdout.readline())}/v1"
        found = _measured(what, folder, url)
        with urllib.request.urlopen(url) as response:
            seen = json.load(response)
        process.terminate()
    took = seen["seconds"] / seen["answered"]
    if seen["answered"] != REQUESTS or seen["most_out"] > CONCURRENCY or took < LATENCY:
        raise SystemExit(f"{what}: the server saw {seen}")
    print(f"{what}: {seen['most_out']} out at once, {1000 * took:.2f} ms each at the server", file=sys.stderr)
    return found


def _measured(what: str, folder: Path, url: str) -> dict[str, float]:
    job = {"what": what, "folder": folder, "url": url}
    found: dict[str, float] = child_job.run("core", "benchmarks.synthesis", job)
    return found


# --- in a process of its own ----------------------------------------------------------------------------------------


def seeds(folder: Path, url: str) -> None:
    from dataset_builders.synthesis.seeds import write_seeds

    write_seeds(folder / "few.parquet", islice(seed_rows(), int(1.2 * REQUESTS)))


def ours(folder: Path, url: str) -> None:
    from dataset_builders.synthesis.answers import rules_digest
    from dataset_builders.synthesis.budget import Budget
    from dataset_builders.synthesis.declare import load_synthesis
    from dataset_builders.synthesis.endpoint import Endpoint
    from dataset_builders.synthesis.pace import Pace
    from dataset_builders.synthesis.request import Settings, template_digest
    from dataset_builders.synthesis.run import synthesize
    from dataset_builders.synthesis.seeds import SeedFile
    from dataset_builders.synthesis.store import Store
    from dataset_builders.synthesis.work import Work

    async def asked(store: Store) -> None:
        synthesis, settings = load_synthesis(DATASET), Settings()
        head = store.head(DATASET, template_digest(synthesis), MODEL, settings.text(synthesis))
        store.judged(head, rules_digest(synthesis), [])
        work = Work.of(synthesis, head, SeedFile(folder / "few.parquet"), REQUESTS, store)
        endpoint = Endpoint(url, MODEL, Pace(CONCURRENCY))
        found = await synthesize([work], endpoint, store, settings, Budget(None))
        await endpoint.close()
        if found.new != REQUESTS:
            raise SystemExit(f"{found.new} answers were kept, {found.reasons}, {found.failed}")

    with Store(folder / "ours.sqlite") as store:
        asyncio.run(asked(store))


def peer(folder: Path, url: str) -> None:
    """The same requests, answers read and kept in memory."""
    from openai import AsyncOpenAI

    from dataset_builders.pools.choice import unpacked
    from dataset_builders.synthesis import request
    from dataset_builders.synthesis.declare import load_synthesis
    from dataset_builders.synthesis.seeds import SeedFile

    synthesis, file = load_synthesis(DATASET), SeedFile(folder / "few.parquet")

    async def asked() -> None:
        client, gate = AsyncOpenAI(base_url=url, api_key="none", max_retries=0), asyncio.Semaphore(CONCURRENCY)

        async def one(row: bytes) -> str | None:
            async with gate:
                body: dict[str, Any] = {
                    "model": MODEL,
                    "messages": request.first(synthesis, unpacked(row)),
                    "response_format": request.response_format(synthesis),
                }
                return (await client.chat.completions.create(**body)).choices[0].message.content

        answers = await asyncio.gather(*(one(row) for _, row in file.rows(iter(range(REQUESTS)))))
        if len([answer for answer in answers if answer == SAID]) != REQUESTS:
            raise SystemExit("not every answer came")

    asyncio.run(asked())


def put(folder: Path, url: str) -> None:
    """As many at once as there are requests."""
    fill_store(folder / "put.sqlite", PUTS, CONCURRENCY)


def work(job: dict[str, str], tell: Teller) -> dict[str, float]:
    """The seconds, imports left out, and by how many MiB the process grew."""
    import openai  # noqa: F401

    from dataset_builders.synthesis import work as imported  # noqa: F401

    before, began = _resident_mib(), time.monotonic()
    {"seeds": seeds, "ours": ours, "peer": peer, "put": put}[job["what"]](Path(job["folder"]), job["url"])
    seconds = time.monotonic() - began
    return {"seconds": seconds, "mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - before}


def _resident_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


if __name__ == "__main__":
    serve(work)
