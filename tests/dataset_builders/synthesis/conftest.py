"""A small plan of invented reviews, and a model that quotes them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dataset_builders import sample_shop
from dataset_builders.held_out import held_out
from dataset_builders.synthesis.budget import Budget
from dataset_builders.synthesis.declare import Seed, load_synthesis, synthesis_names
from dataset_builders.synthesis.endpoint import Endpoint
from dataset_builders.synthesis.pace import Pace
from dataset_builders.synthesis.request import Settings, template_digest
from dataset_builders.synthesis.run import Progress, synthesize
from dataset_builders.synthesis.seeds import SeedFile, SeedRequest, ensure_seeds, write_seeds
from dataset_builders.synthesis.store import Store
from dataset_builders.synthesis.work import Work
from tests.dataset_builders.synthesis.server import Reply, completion

DATASET = "review_aspect_keyphrase"
PRAISE = ["burns for ages", "folds up flat", "smells of paint", "rattles a bit", "looks lovely indoors"]


def reviews(number: int) -> Iterator[Seed]:
    """Of training products alone."""
    names = (f"product:B{count}" for count in range(10 * number))
    for count, name in zip(range(number), (name for name in names if not held_out(name)), strict=False):
        text = f"Bought as present number {count}. It {PRAISE[count % len(PRAISE)]}, and the post was quick."
        yield Seed(name, {"product_type": "Lanterns", "review": text}, "", key=f"user:{count}")


def given(request: dict[str, Any]) -> dict[str, Any]:
    """The seed row of a request, as the model reads it."""
    text = next(turn["content"] for turn in request["messages"] if turn["role"] == "user")
    found: dict[str, Any] = json.loads(text.partition("<seed>")[2].partition("</seed>")[0])
    return found


def quoting(request: dict[str, Any], number: int) -> Reply:
    """A model that does as it is told."""
    phrase = next(phrase for phrase in PRAISE if phrase in given(request)["review"])
    return completion(json.dumps({"aspect": "behaviour", "keyphrase": phrase}))


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The raw files of a small sample shop."""
    raw = tmp_path_factory.mktemp("shop")
    sample_shop.write(raw, scale=0.3, seed=2024)
    return raw


@pytest.fixture(scope="session")
def cache(shop: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With the seed rows of every dataset: all that want up to 32 have the same. One by one, since workers take longer
    to start than this does."""
    folder = tmp_path_factory.mktemp("cache")
    for name in synthesis_names():
        ensure_seeds([SeedRequest(name, 32, shop)], folder, lambda *told: None)
    return folder


@pytest.fixture
def plan(tmp_path: Path) -> SeedFile:
    """Forty reviews."""
    write_seeds(tmp_path / "seeds.parquet", reviews(40))
    return SeedFile(tmp_path / "seeds.parquet")


Run = Callable[..., Progress]


@pytest.fixture
def run(tmp_path: Path, plan: SeedFile, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Asks the server at ``url`` about the plan; everything else has a default that suits tests."""
    monkeypatch.setattr("openai._base_client.INITIAL_RETRY_DELAY", 0.001)  # seconds

    def run(
        url: str,
        *,
        wanted: int = 40,
        seeds: SeedFile = plan,
        budget: Budget | None = None,
        limit: int | None = None,
        most: int = 8,
        max_bytes: int | None = None,
        **endpoint: Any,
    ) -> Progress:
        synthesis = load_synthesis(DATASET)
        options = {"timeout": 1.0, "environment": {}} | endpoint

        async def all_of_it(store: Store) -> Progress:
            head = store.head(DATASET, template_digest(synthesis), "tiny", Settings().text(synthesis))
            work = Work.of(synthesis, head, seeds, wanted, store)
            client = Endpoint(url, "tiny", Pace(most), **options)
            try:
                return await synthesize([work], client, store, Settings(), budget or Budget(None), limit)
            finally:
                await client.close()

        with Store(tmp_path / "store.sqlite", max_bytes) as store:
            return asyncio.run(all_of_it(store))

    return run
