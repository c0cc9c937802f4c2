"""How an endpoint is addressed: waits that it asks for, its only model, the pace."""

from __future__ import annotations

import asyncio

import pytest

from dataset_builders.synthesis.endpoint import _retry_after, only_model
from dataset_builders.synthesis.pace import Pace
from spine.errors import RecipeError
from tests.dataset_builders.synthesis.server import Reply, refused, serving


def test_retry_after_in_all_its_forms() -> None:
    assert _retry_after({"retry-after": "3"}) == 3.0
    assert _retry_after({"retry-after-ms": "250", "retry-after": "9"}) == 0.25
    assert _retry_after({"retry-after": "Sun, 22 Nov 2020 00:00:00 GMT"}) == 0.0
    assert _retry_after({"retry-after": "soon"}) is None and _retry_after({}) is None


def test_the_only_model_of_an_endpoint() -> None:
    one = b'{"object": "list", "data": [{"id": "tiny", "object": "model", "created": 0, "owned_by": "-"}]}'
    with serving(lambda request, number: Reply(one)) as server:
        assert only_model(server.url, {}) == "tiny"
        server.script = lambda request, number: Reply(b'{"object": "list", "data": []}')
        with pytest.raises(RecipeError, match="serves 0 models"):
            only_model(server.url, {})
        server.script = lambda request, number: refused(401, "key sk-secret")
        with pytest.raises(RecipeError, match="answers 401") as caught:
            only_model(server.url, {"OPENAI_API_KEY": "sk-secret"})
        assert "secret" not in str(caught.value)
        server.script = lambda request, number: Reply(b"<html>", type="text/html")
        with pytest.raises(RecipeError, match="--model"):
            only_model(server.url, {})


async def _serve(pace: Pace, requests: int, capacity: int, refuse_above: int) -> int:
    """A server of ``capacity``: beyond it answers take longer; above ``refuse_above`` it says 429. The refused."""
    refused_ones = 0

    async def one() -> None:
        nonlocal refused_ones
        async with pace.place() as epoch:
            assert pace.out <= pace.most
            if pace.out > refuse_above:
                await asyncio.sleep(0.001)
                refused_ones += 1
                pace.refused(epoch, 0.0)
            else:
                seconds = 0.003 * max(1.0, pace.out / capacity)
                await asyncio.sleep(seconds)
                pace.answered(seconds)

    async with asyncio.TaskGroup() as group:
        for _ in range(requests):
            group.create_task(one())
    assert pace.out == 0
    return refused_ones


def test_the_pace_grows_to_what_is_allowed() -> None:
    pace = Pace(48)
    asyncio.run(_serve(pace, 1000, 1000, 1000))
    assert pace.limit == 48


def test_the_pace_falls_at_a_429_and_stays_near_the_bound() -> None:
    pace = Pace(64)
    refused_ones = asyncio.run(_serve(pace, 1000, 1000, 20))
    assert refused_ones < 100 and pace.limit < 40


def test_a_429_cuts_once_for_all_that_were_out() -> None:
    async def refuse(pace: Pace, group: asyncio.TaskGroup) -> None:
        async def one() -> None:
            async with pace.place() as epoch:
                await asyncio.sleep(0)
                pace.refused(epoch, 0.0)

        for _ in range(30):
            group.create_task(one())

    async def all_of_it() -> Pace:
        pace = Pace(64, start=64)
        async with asyncio.TaskGroup() as group:
            await refuse(pace, group)
        return pace

    assert asyncio.run(all_of_it()).limit == 32
