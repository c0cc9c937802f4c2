"""Pools and blends of a few datasets of the sample shop, for tests of either."""

from __future__ import annotations

from pathlib import Path

from dataset_builders.blend.choose import Counts, Limits, choose
from dataset_builders.blend.mix import mix
from dataset_builders.pools.build import Pool
from dataset_builders.pools.cache import ensure_pools

ROOMY = Limits(sequence_len=4096, max_dropped=0.0)
SOME = (
    "alpaca_instructions",
    "multilingual_title",
    "mmlu_auxiliary",
    "query_product_ranking",
    "review_helpfulness_ranking",
)


def pools_of(shop: Path, model: Path, names: tuple[str, ...] = SOME, rows: int = 12, seed: int = 1) -> list[Pool]:
    return [Pool(name, shop, str(model), seed, rows, 5) for name in names]


def ensure(pools: list[Pool], cache: Path, workers: int = 1) -> dict[str, Path]:
    return ensure_pools(pools, cache, "tokenizer", lambda *told: None, workers)


def build(pools: list[Pool], cache: Path, out: Path, limits: Limits = ROOMY, seed: int = 1) -> dict[str, Counts]:
    out.mkdir()
    wanted = {one.name: (one.train, one.val) for one in pools}
    folders = ensure(pools, cache)
    chosen = choose(folders, wanted, limits)
    mix(folders, chosen, out, seed=seed, limits=limits)
    return chosen.counts
