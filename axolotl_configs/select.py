"""Which profile a machine gets when nobody names one, what it lacks for one that is named, and its GPUs to train on."""

from __future__ import annotations

import re
from collections.abc import Sequence

from axolotl_configs.schema import Hardware, find, load_profile, names
from spine.errors import RecipeError
from spine.hardware import Device, Machine

# What PyPI's torch 2.13 is built for: CUDA 13.0, which has dropped the GPUs before Turing (capability 7.5) and needs
# driver 580 (NVIDIA, release notes of CUDA Toolkit 13.0).
CUDA, DRIVER, OLDEST = 13.0, 580, 7.5


def choose(machine: Machine, wanted: str | None) -> tuple[str, str]:
    """The profile's name and, in words, why it: the one asked for, or the most demanding one that fits.

    Raises:
        RecipeError: no such profile; or none was asked for, and the GPUs are large enough for one, but too old.
    """
    if wanted:
        find("profiles", wanted, "PROFILE")
        return wanted, "asked for"
    profiles = {name: load_profile(name)[0] for name in names("profiles")}
    # The larger card first: it takes the larger model, on however many of them. Of equals, the profile that includes no
    # other: a variant is taken only where it is asked for.
    rank = {
        name: (p.hardware.gpu_memory_gib, p.hardware.capability, p.hardware.gpus, p.include is None)
        for name, p in profiles.items()
        if fits(machine, p.hardware)
    }
    name = max(rank, key=lambda known: rank[known])
    why = f"chosen for this machine: {machine}"
    if machine.gpus and not profiles[name].hardware.gpus:
        smallest = min(p.hardware.gpu_memory_gib for p in profiles.values() if p.hardware.gpus)
        _require_young(machine, smallest, f"PROFILE={name} trains on the CPU")
        why += ", whose GPUs are for no profile of `recipe list`"
    return name, f"{why}; PROFILE=... overrides"


def require_gpus(machine: Machine, name: str, needed: Hardware) -> None:
    """Refuses to train on a machine without what the profile cannot do without; one message, with the way out.

    Fewer GPUs than the profile names are enough: each takes more rows then (``render.resolve``).

    Raises:
        RecipeError: no GPU, a driver or GPUs that are too old, or GPUs that are too small.
    """
    if not needed.gpus:
        return
    if machine.gpus:
        require_driver(machine)
        _require_young(machine, 0, "PROFILE=cpu trains a small model on the CPU")
        if fitting(machine, needed):
            return
    large = [gpu for gpu in machine.gpus if gpu.memory_gib >= needed.gpu_memory_gib]
    if large:
        best = max(gpu.capability for gpu in large)
        what = f"profile {name} needs GPUs of compute capability {needed.capability}, these have {best}: {machine}"
    else:
        but = "the GPUs here are smaller" if machine.gpus else "here"
        what = f"profile {name} trains on {needed.gpus} GPU(s) of {needed.gpu_memory_gib:g} GiB; {but}: {machine}"
    way_out = "leave PROFILE out to get the profile that fits, or run it on such a machine"
    raise RecipeError(what, where="PROFILE", way_out=way_out)


def require_driver(machine: Machine) -> None:
    """What the driver's library runs decides; where it does not say, the driver's version."""
    major = re.match(r"\d+", machine.driver)
    too_old = machine.cuda < CUDA if machine.cuda is not None else major is not None and int(major[0]) < DRIVER
    if too_old:
        runs = f" (it runs CUDA {machine.cuda})" if machine.cuda is not None else ""
        raise RecipeError(
            f"the NVIDIA driver {machine.driver} is too old{runs}: torch is built for CUDA {CUDA}",
            where="nvidia-smi",
            way_out=f"install driver {DRIVER} or newer, or on a data-centre GPU NVIDIA's package cuda-compat-13-0",
        )


def _require_young(machine: Machine, memory_gib: float, way_out: str) -> None:
    """Refuses GPUs of at least ``memory_gib`` that torch has no code for."""
    large = [gpu for gpu in machine.gpus if gpu.memory_gib >= memory_gib]
    if large and all(gpu.capability < OLDEST for gpu in large):
        raise RecipeError(
            f"the GPUs here are too old: {machine}; torch for CUDA {CUDA} has code for compute capability {OLDEST} and "
            f"newer, these have {max(gpu.capability for gpu in large)}",
            where="nvidia-smi",
            way_out=way_out,
        )


def fitting(machine: Machine, needed: Hardware) -> list[Device]:
    """The GPUs that are as large and as new as a profile asks for; none for a profile without."""
    if not needed.gpus:
        return []
    return [
        gpu for gpu in machine.gpus if gpu.memory_gib >= needed.gpu_memory_gib and gpu.capability >= needed.capability
    ]


def fits(machine: Machine, needed: Hardware) -> bool:
    """Whether the machine has at least what a profile asks for."""
    return len(fitting(machine, needed)) >= needed.gpus


def launched(arguments: Sequence[str]) -> int | None:
    """Processes that the user's own launcher starts on all machines, from its arguments; None where they do not say."""
    text = " ".join(arguments)
    each, nodes, together = (
        re.search(rf"--{name}[= ](\d+)(?:\s|$)", text)
        for name in ("nproc[-_]per[-_]node", "nnodes", "num[-_]processes")
    )
    if each:
        return int(each[1]) * (int(nodes[1]) if nodes else 1)
    return int(together[1]) if together else None


def require_meeting(arguments: Sequence[str]) -> None:
    """Refuses a launcher whose machines would wait for each other in vain.

    axolotl draws an id at random on each machine that is not given one (``cli/utils/train.py``, 0.19), and torchrun's
    rendezvous brings together those of one id.

    Raises:
        RecipeError: several machines, a rendezvous, and no id.
    """
    text = " ".join(arguments)
    several = re.search(r"--nnodes[= ](?!1(?:\s|$))", text)
    if several and re.search(r"--rdzv[-_]endpoint", text) and not re.search(r"--rdzv[-_]id", text):
        raise RecipeError(
            "without an id of their meeting the machines would wait for each other in vain",
            where="LAUNCH",
            way_out="add --rdzv_id=NAME, the same on every machine",
        )
