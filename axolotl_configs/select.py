"""Which profile a machine gets when nobody names one."""

from __future__ import annotations

from axolotl_configs.schema import Hardware, find, load_profile, names
from recipe.hardware import Machine


def choose(machine: Machine, wanted: str | None) -> tuple[str, str]:
    """The profile's name and, in words, why it: the one asked for, or the most demanding one that fits."""
    if wanted:
        find("profiles", wanted, "PROFILE")
        return wanted, "asked for"
    fitting = [(name, load_profile(name)[0].hardware) for name in names("profiles")]
    fitting = [(name, hardware) for name, hardware in fitting if _fits(machine, hardware)]
    name, _ = max(fitting, key=lambda item: (item[1].gpus, item[1].gpu_memory_gib))
    return name, f"chosen for this machine: {machine}; PROFILE=... overrides"


def _fits(machine: Machine, needed: Hardware) -> bool:
    big_enough = [memory for memory in machine.gpu_memory_gib if memory >= needed.gpu_memory_gib]
    return len(big_enough) >= needed.gpus
