"""The server under requests that no honest client sends, some hundreds at once: none ends it, or stops it for long.

make fuzz-server                                              10,000 of them, and 200 slow ones
HOSTILE=1000 .venvs/serve/bin/python -m pytest -s tests/serve_env/test_hostile.py
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from spine.mixture import Mixture
from tests.serve_env.attacks import Attack, attacks
from tests.serve_env.test_server import SECRET, Served, _up, free_port, start

pytestmark = pytest.mark.slow  # vLLM loads for half a minute
REQUESTS = int(os.environ.get("HOSTILE") or 100)
SLOW, AT_ONCE, PATIENCE = REQUESTS // 50, 16, 120.0
NEVER = 599  # a status of ours: no answer in that time


@pytest.fixture(scope="module")
def served(model: Path, adapter: Mixture, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    port = free_port()
    options = ["--adapter", adapter.parts[0].folder, "--port", str(port)]
    yield from _up(start(model, tmp_path_factory.mktemp("runs"), *options), port)


async def said(url: str, attack: Attack) -> int:
    """The status that a request is answered with; 0 where the server closes without a word, or is not waited for."""
    where = urlsplit(url)
    reader, writer = await asyncio.open_connection(where.hostname, where.port)
    try:
        with suppress(ConnectionError):
            writer.write(attack.raw())
            await writer.drain()
        if attack.leaves:
            return 0
        with suppress(ConnectionError):
            line = await asyncio.wait_for(reader.readline(), PATIENCE)
            await reader.read()
            return int(line.split()[1]) if line else 0
        return 0
    except TimeoutError:
        return NEVER
    finally:
        writer.close()


async def slowly(url: str, attack: Attack, at_once: int, until: asyncio.Event) -> None:
    """A letter a second after the first ones, again and again: the server has enough of it at some time."""
    where, request = urlsplit(url), attack.raw()
    while not until.is_set():
        _, writer = await asyncio.open_connection(where.hostname, where.port)
        with suppress(ConnectionError):
            writer.write(request[:at_once])
            for letter in request[at_once:]:
                if until.is_set():
                    break
                writer.write(bytes([letter]))
                await writer.drain()
                await asyncio.sleep(1)
        writer.close()


async def health(url: str, until: asyncio.Event) -> list[float]:
    """How long each look at the server's health took, in seconds."""
    took = []
    while not until.is_set():
        begin = time.monotonic()
        assert await said(url, Attack("", b"", "/health", "GET")) == 200
        took.append(time.monotonic() - begin)
        await asyncio.sleep(0.2)
    return took


async def storm(url: str) -> tuple[Counter[int], list[tuple[int, str]], list[float]]:
    """Of all requests, statuses; of those that the server calls its own fault, names; of looks at health, seconds."""
    until, gate = asyncio.Event(), asyncio.Semaphore(AT_ONCE)
    slow = Attack("slow", b'{"messages": []}' + b" " * 10_000, key=SECRET)

    async def one(attack: Attack) -> tuple[int, str]:
        async with gate:
            return await said(url, attack), attack.name

    async with asyncio.TaskGroup() as beside:
        looks = beside.create_task(health(url, until))
        for number in range(SLOW):
            beside.create_task(slowly(url, slow, [4, 9_000][number % 2], until))  # its head, or its body
        answers = await asyncio.gather(*map(one, attacks(7, SECRET, REQUESTS)))
        until.set()
    statuses = Counter(status for status, _ in answers)
    return statuses, [answer for answer in answers if answer[0] >= 500], looks.result()


def test_the_server_survives_and_answers_honest_clients(served: Served) -> None:
    before = served.says("Which is a fruit?\n0. fig\n1. fork\nAnswer:").choices[0].message.content
    statuses, faults, looks = asyncio.run(storm(served.url))
    print(
        f"\n{REQUESTS:,} requests: {dict(sorted(statuses.items()))}; {len(looks)} looks at health: {max(looks):.2f} s"
    )
    for fault, count in Counter(faults).most_common(40):
        print(f"  {count} x {fault}")
    assert served.process.poll() is None
    assert served.says("Which is a fruit?\n0. fig\n1. fork\nAnswer:").choices[0].message.content == before
    assert not faults
