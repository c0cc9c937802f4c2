"""A small invented shop, written in the published raw formats of all sources.

It stands in for the real downloads: in tests, for a first try of the recipe, and at a large ``scale`` for
benchmarks. All of it is invented, and answers follow from the text by rules that a small model can learn.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from dataset_builders.sample_shop import alpaca, amazon_m2, ecinstruct, esci, exam, reviews
from dataset_builders.sample_shop.catalogue import catalogue
from dataset_builders.sample_shop.noise import noisy
from dataset_builders.sample_shop.tables import Shop
from spine.errors import RecipeError

Progress = Callable[[str, int, int], None]


def write(
    folder: Path, *, scale: float = 1.0, seed: int = 2024, noise: bool = False, progress: Progress | None = None
) -> dict[str, int]:
    """Writes the shop into ``folder`` and returns the rows of each file.

    The same ``scale`` and ``seed`` give the same bytes. Scale 1 is 1,000 products and 3,000 reviews; rows
    grow with it, memory does not. The folder appears only when it is complete.

    Args:
        folder: must not exist, or be empty.
        scale: a positive factor; below about 0.2 some files keep a few rows, so that nothing is empty.
        noise: with the faults of real files, as often as they have them.
        progress: called with (file, rows written, rows expected) every 10,000 rows and at a file's end.

    Raises:
        RecipeError: the folder holds something, or the scale is not positive.
    """
    if not scale > 0:
        raise RecipeError(f"the scale of a sample shop must be positive, not {scale}")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise RecipeError("not an empty folder", where=str(folder), way_out="name a new one, or remove it")
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".part", dir=folder.parent))
    try:
        counts = _write_all(part, Shop(catalogue(), seed, scale), noise, progress)
        part.chmod(0o755)  # mkdtemp makes it private
        part.replace(folder)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    return counts


def _write_all(part: Path, shop: Shop, noise: bool, progress: Progress | None) -> dict[str, int]:
    counts = {}
    for source in (amazon_m2, reviews, ecinstruct, esci, exam, alpaca):
        for table in source.tables(shop):

            def report(done: int, name: str = table.name, total: int = table.total) -> None:
                if progress is not None:
                    progress(name, done, total)

            counts[table.name] = (noisy(table, shop.seed) if noise else table).write(part, report)
    return counts


__all__ = ["write"]
