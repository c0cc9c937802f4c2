"""Merge and padding of a Qwen2-shaped checkpoint of 3 GB, whole processes, beside `cp -r`, PEFT and axolotl."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ruamel.yaml import YAML

from benchmarks.measure import MODEL, RECIPE, Cost, Result, beside, cost, in_turn, middle, quickest, workshop
from spine.environments import python, variables
from spine.paths import ROOT

LAYERS, LARGE = 28, 120  # 2.9 and 12 GB
TIMES_CP, OF_PEERS, GIB, THREE, MIXED = 2.2, 0.25, 1.2e9 / 2**30, 2.6, 1.3
ADAPTERS = ("adapter", "adapter-2", "adapter-3")  # the same one thrice
ROUNDS = 7
BYTES, BYTES_72B = 2.9e9, 145.4e9  # of our checkpoint and of Qwen2-72B in bf16, to be read and to be written


def run() -> list[Result]:
    """Wall seconds, the quickest of rounds in turn: the base in memory already, the base on the disk as a large one is,
    and everything in memory, where no disk is the limit."""
    cost([RECIPE, "model"])
    unbound = _in_memory()
    with workshop() as folder:
        _files(folder, LAYERS)
        warm = _rounds(folder, cold=False)
        cold = _rounds(folder, cold=True) if _forget() else None
        one = quickest(warm["one"])
        held = _merge(folder, "0.5625", memory=True)
        peft = _emptied(
            folder, [str(python("train")), "-m", "benchmarks.merge_peer", "peft", "base", "adapter", "peft"]
        )
        axolotl = _axolotl(folder)
        _files(folder, LARGE)
        large = _merge(folder, "0.5625", memory=True)
    return [
        *_beside_cp("base in memory, result to the disk", warm),
        *(_beside_cp("base and result on the disk", cold) if cold else []),
        *(_in_memory_beside_cp(unbound) if unbound else []),
        beside("merge + pad, 3 GB", one.wall, "PEFT merge_and_unload + save", peft.wall, OF_PEERS),
        beside("merge + pad, 3 GB", one.wall, "axolotl merge-lora", axolotl.wall, OF_PEERS),
        Result(f"memory: 3 GB {held.peak_gib:.2f} GiB, 12 GB {large.peak_gib:.2f} GiB", large.wall, "the 3 GB one",
               held.wall, "< 1.2 GB", max(held.peak_gib, large.peak_gib) < GIB),
        *_projected(one),
    ]  # fmt: skip


def _in_memory() -> dict[str, list[Cost]] | None:
    """The same in a file system without a disk; None where there is no room for it and for the work."""
    place = Path("/dev/shm")
    if not place.is_dir() or shutil.disk_usage(place).free < 6 * BYTES:
        return None
    with tempfile.TemporaryDirectory(dir=place) as name:
        _files(Path(name), LAYERS)
        return _rounds(Path(name), cold=False)


def _rounds(folder: Path, *, cold: bool) -> dict[str, list[Cost]]:
    """Copying, one weight and three, and one model of three adapters."""
    measured = {
        "cp": lambda: _emptied(folder, ["cp", "-r", "base", "copy"], cold=cold),
        "one": lambda: _merge(folder, "0.5625", cold=cold),
        "three": lambda: _merge(folder, "0.25,0.5,0.75", cold=cold),
        "mixed": lambda: _merge(folder, "0.5625", ADAPTERS, cold=cold),
    }
    return in_turn(measured, ROUNDS)


def _beside_cp(where: str, found: Mapping[str, list[Cost]]) -> list[Result]:
    """The quickest rounds; the medians are told beside them."""
    copied, one, three, mixed = (quickest(found[name]).wall for name in ("cp", "one", "three", "mixed"))
    usual = {name: f"{middle(costs).wall:.2f}" for name, costs in found.items()}
    rate = 3 * BYTES / 1e9 / three
    return [
        beside(f"merge + pad, 3 GB, {where}; medians {usual['one']} and {usual['cp']}", one, "cp -r", copied, TIMES_CP),
        beside(
            f"three weights in one pass, {where}; {rate:.1f} GB/s are written; median {usual['three']}", three, "one",
            one, THREE,
        ),
        beside(f"three adapters in one model, {where}; median {usual['mixed']}", mixed, "one", one, MIXED),
    ]  # fmt: skip


def _in_memory_beside_cp(found: Mapping[str, list[Cost]]) -> list[Result]:
    """Three models of it are shown without an aim: they are 9 GB of new memory, and a virtual machine waits for that
    longer than for a disk."""
    one, three, mixed = _beside_cp("base and result in memory", found)
    return [one, replace(three, aim="-", met=True), mixed]


def _forget() -> bool:
    """Has the operating system forget what it has read of files; whether it does so for us (for root alone)."""
    try:
        Path("/proc/sys/vm/drop_caches").write_text("1")
    except OSError:
        return False
    return True


def _projected(one: Cost) -> list[Result]:
    """72B from the measured CPU seconds or the disk's rate, whichever takes longer."""
    cores = len(os.sched_getaffinity(0))
    on_cores = one.cpu * BYTES_72B / BYTES / cores
    found = []
    for rate in (1, 3):
        on_disk = 2 * BYTES_72B / (rate * 1e9)
        bound = "the disk" if on_disk > on_cores else f"{cores} cores"
        what = f"72B projected, disk of {rate} GB/s: {max(on_disk, on_cores) / 60:.1f} min, bound by {bound}"
        found.append(Result(what, max(on_disk, on_cores), "", 0.0, "-", True))
    return found


def _files(folder: Path, layers: int) -> None:
    command = [str(python("train")), "-m", "benchmarks.merge_peer", "files", str(layers), MODEL]
    cost([*command, str(folder / "base"), str(folder / "adapter")], variables("train", offline=True))
    for name in ADAPTERS[1:]:
        shutil.copytree(folder / "adapter", folder / name, dirs_exist_ok=True)


def _merge(
    folder: Path, alpha: str, adapters: Sequence[str] = ADAPTERS[:1], *, memory: bool = False, cold: bool = False
) -> Cost:
    added = [word for name in adapters for word in ("--add", str(folder / name))]
    named = ["--base", str(folder / "base"), *added, "--out", str(folder / "out")]
    return _emptied(folder, [RECIPE, "merge", *named, "--alpha", alpha, "--pad"], memory=memory, cold=cold)


def _emptied(folder: Path, command: Sequence[str], *, memory: bool = False, cold: bool = False) -> Cost:
    """Runs a command once the results of the last one are gone and everything written lies on the disk.

    A copy is made and removed before each: a virtual machine gives freed memory back to its host, and what it gets
    again is filled at 0.5 GB/s instead of 5. Some of it is gone again when the command comes to it, hence the quickest
    round.
    """
    _remove_results(folder)
    os.sync()
    shutil.copytree(folder / "base", folder / "throwaway")
    if cold:
        _forget()
    else:
        for path in (folder / "base").iterdir():
            subprocess.run(["cat", str(path)], stdout=subprocess.DEVNULL, check=True)
    _remove_results(folder)
    environment = variables("train", offline=True) | {"PYTHONPATH": str(ROOT)}
    return cost(command, environment, memory=memory, folder=folder)


def _remove_results(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir() and path.name not in ("base", *ADAPTERS):
            shutil.rmtree(path)


def _axolotl(folder: Path) -> Cost:
    settings = {
        "base_model": str(folder / "base"), "adapter": "lora", "lora_model_dir": str(folder / "adapter"),
        "output_dir": str(folder / "axolotl"), "bf16": True, "sequence_len": 512, "micro_batch_size": 1,
        "gradient_accumulation_steps": 1, "num_epochs": 1, "learning_rate": 1e-4, "lora_r": 64, "lora_alpha": 32,
        "optimizer": "adamw_torch", "datasets": [{"path": "none", "type": "chat_template"}],
    }  # fmt: skip
    YAML().dump(settings, folder / "merge.yaml")
    return _emptied(folder, [str(python("train").parent / "axolotl"), "merge-lora", "merge.yaml"])
