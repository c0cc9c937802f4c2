"""Which profile a machine gets when nobody names one."""

from __future__ import annotations

from axolotl_configs.schema import Hardware, find, load_profile, names
from recipe.errors import RecipeError
from recipe.hardware import Machine


def choose(machine: Machine, wanted: str | None) -> tuple[str, str]:
    """The profile's name and, in words, why it: the one asked for, or the most demanding one that fits."""
    if wanted:
        find("profiles", wanted, "PROFILE")
        return wanted, "asked for"
    profiles = [(name, load_profile(name)[0]) for name in names("profiles")]
    fitting = [(name, profile) for name, profile in profiles if fits(machine, profile.hardware)]
    # Of equals, the one that includes no other: a variant is taken only where it is asked for.
    rank = {name: (p.hardware.gpus, p.hardware.gpu_memory_gib, p.include is None) for name, p in fitting}
    name = max(rank, key=lambda known: rank[known])
    return name, f"chosen for this machine: {machine}; PROFILE=... overrides"


def require_gpus(machine: Machine, name: str, needed: Hardware) -> None:
    """Refuses to train on a machine without what the profile cannot do without.

    Fewer or smaller GPUs than the profile names are the user's to try; none at all cannot work.

    Raises:
        RecipeError: the profile needs GPUs, and there is none.
    """
    if needed.gpus and not machine.gpu_names:
        raise RecipeError(
            f"profile {name} trains on {needed.gpus} GPU(s) of {needed.gpu_memory_gib:.0f} GiB; here: {machine}",
            where="PROFILE",
            way_out="leave PROFILE out to get the profile that fits, or run it on such a machine",
        )


def fits(machine: Machine, needed: Hardware) -> bool:
    """Whether the machine has at least what a profile asks for."""
    big_enough = [memory for memory in machine.gpu_memory_gib if memory >= needed.gpu_memory_gib]
    return len(big_enough) >= needed.gpus
