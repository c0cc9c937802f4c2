"""What is known without asking anyone: GPUs, lengths of rows, environments, from ``known/*.yaml``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from axolotl_configs.blend import Portion
from axolotl_configs.costs.batches import Lengths
from axolotl_configs.costs.duration import Gpu
from axolotl_configs.schema import Strict, load
from spine.errors import RecipeError, did_you_mean
from spine.paths import CONFIGS
from spine.yamlfile import read_yaml

Pair = Annotated[list[float], Field(min_length=2, max_length=2)]
_LARGE_VOCABULARY = 100_000  # Qwen2's has 152,000 entries, SmolLM2's 49,152: the columns of lengths.yaml


def gpu(name: str | None, where: str) -> Gpu:
    """A GPU by name; ``where``: who asks for it.

    Raises:
        RecipeError: none is named, or it is not in ``known/gpus.yaml``.
    """
    file = read_yaml(CONFIGS / "known" / "gpus.yaml")
    if name is None:
        way_out = f"`hardware: {{card: NAME}}` in the profile, or --gpu NAME; {did_you_mean('', file.data)}"
        raise RecipeError("the profile does not say which GPUs it is for", where=where, way_out=way_out)
    if name not in file.data:
        raise RecipeError(
            f"no GPU '{name}' in axolotl_configs/known/gpus.yaml", where=where, way_out=did_you_mean(name, file.data)
        )
    facts = file.data[name]
    try:
        return Gpu(name, float(facts["tflops"]) * 1e12, float(facts["bandwidth"]) * 1e9, float(facts["link"]) * 1e9)
    except (KeyError, TypeError, ValueError) as error:
        raise RecipeError(f"'{name}' needs tflops, bandwidth and link ({error!r})", where=file.where(name)) from error


def usual_memory(name: str) -> float | None:
    """GiB that a machine has for each of its GPUs of this name, where ``known/gpus.yaml`` says so."""
    host = read_yaml(CONFIGS / "known" / "gpus.yaml").data[name].get("host")
    return None if host is None else float(host)


class Environments(Strict):
    """What must be there and what is fetched (``known/environments.yaml``).

    Attributes:
        torch, cuda: versions.
        driver: NVIDIA's oldest that runs it; ``capability``: of the oldest GPU.
        gpu, cpu, cpu_from_pypi: GB to fetch and GB installed, of each environment.
    """

    torch: str
    cuda: str
    driver: int
    capability: float
    gpu: dict[str, Pair]
    cpu: dict[str, Pair]
    cpu_from_pypi: dict[str, Pair]

    def sizes(self, *, gpu: bool) -> dict[str, Pair]:
        """On a machine with an NVIDIA GPU, or without."""
        return self.gpu if gpu else self.cpu


def environments() -> Environments:
    """
    Raises:
        RecipeError: the file is not as it should be.
    """
    return load(Environments, read_yaml(CONFIGS / "known" / "environments.yaml"))


def expected_lengths(portions: Iterable[Portion], vocabulary: int) -> Lengths:
    """Of a blend whose data are not built: the sample shop's. A dataset that is not listed counts as their mean."""
    found = read_yaml(CONFIGS / "known" / "lengths.yaml").data
    column = 1 if vocabulary > _LARGE_VOCABULARY else 0
    means = {name: columns[column] for name, columns in found["datasets"].items()}
    usual = sum(means.values()) / len(means)
    weighed = [(portion.rows, means.get(portion.name, usual)) for portion in portions]
    rows = sum(count for count, _ in weighed)
    return Lengths(sum(count * mean for count, mean in weighed) / max(1, rows), found["spread"])


def measured_lengths(stats: Mapping[str, Any]) -> Lengths:
    """Of data that are built, from their ``stats.json``."""
    totals, bars = stats["totals"], stats["lengths"]
    middles = (np.array(bars["edges"][:-1]) + np.array(bars["edges"][1:])) / 2
    lengths = np.repeat(middles, bars["rows"])
    parts = [part.mean() for part in np.array_split(lengths, min(20, len(lengths)))]
    return Lengths(totals["tokens"] / totals["kept"], (np.array(parts) / lengths.mean()).tolist())
