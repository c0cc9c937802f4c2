"""How long a stage will take, and what disk and memory it needs: measured where that is possible, else worked out.

Time, in this order: the stage's own last run; other stages of its kind, in proportion to the work; the profile's
``reproduce: {seconds: ...}``; the formulae of ``recipe plan``. What none of these knows is unknown, and said to be.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from axolotl_configs.costs.planning import Plan, make_plan
from axolotl_configs.render import Resolved
from recipe.steps.plan import plan_request
from recipe.walk.graph import Stage, seconds_of
from spine import manifest
from spine.errors import RecipeError

# What a stage of a kind writes and how long it takes, as steps of `recipe plan`.
_IN_PLAN = {"data": ("data",), "train": ("train", "prepared"), "merge": ("merge",), "awq": ("awq", "pad")}


@dataclass(frozen=True)
class Estimate:
    """Seconds, bytes that are left on the disk, bytes of memory (of a GPU in training on one); None: unknown.

    ``scratch``: bytes that lie on the disk only while it runs.
    """

    seconds: float | None = None
    disk: float | None = None
    memory: float | None = None
    scratch: float = 0.0


def estimates(
    graph: Sequence[Stage], blends: Mapping[str, Resolved], usual: Mapping[str, float]
) -> dict[str, Estimate]:
    """Of every stage, by its name.

    Args:
        usual: seconds by kind of stage, of the profile.
    """
    plans = {name: _planned(resolved) for name, resolved in blends.items()}
    measured = {stage.name: _measured(stage) for stage in graph}
    found = {}
    for stage in graph:
        alike = [(other.work, measured[other.name]) for other in graph if other.kind == stage.kind]
        ways = [
            measured[stage.name],
            _scaled(stage.work, [(work, one) for work, one in alike if one.seconds]),
            Estimate(usual.get(stage.kind)),
            _from_plan(stage, plans.get(stage.about)),
        ]
        found[stage.name] = Estimate(
            next((way.seconds for way in ways if way.seconds), None),
            max((way.disk for way in ways if way.disk), default=None),  # a plan counts checkpoints, too
            next((way.memory for way in ways if way.memory), None),
            ways[-1].scratch,
        )
    return found


def total(found: Iterable[Estimate]) -> Estimate:
    """Times and disks add up, the largest memory and scratch count; what is unknown is left out."""
    listed = list(found)
    return Estimate(
        sum(one.seconds or 0 for one in listed),
        sum(one.disk or 0 for one in listed),
        max((one.memory or 0 for one in listed), default=0),
        max((one.scratch for one in listed), default=0),
    )


def _measured(stage: Stage) -> Estimate:
    """From its last run, if its results are still there."""
    known = [found for folder in stage.outputs if (found := manifest.read(folder))]
    if len(known) < len(stage.outputs):
        return Estimate()
    sizes = (output["bytes"] for found in known for output in found["outputs"].values())
    memory = max(found["peak_memory_mib"] for found in known) * 2**20
    return Estimate(seconds_of(known), sum(sizes), memory)


def _scaled(work: float, alike: Sequence[tuple[float, Estimate]]) -> Estimate:
    share = work / sum(amount for amount, _ in alike) if alike else 0
    seconds, disk = (share * sum(getattr(one, name) or 0 for _, one in alike) for name in ("seconds", "disk"))
    return Estimate(seconds, disk, max((one.memory or 0 for _, one in alike), default=0))


def _planned(resolved: Resolved) -> Plan | None:
    try:
        return make_plan(plan_request(resolved, "1")[0])
    except RecipeError:  # a model or a GPU that is not known
        return None


def _from_plan(stage: Stage, plan: Plan | None) -> Estimate:
    steps = [step for step in plan.steps if step.name in _IN_PLAN.get(stage.kind, ())] if plan else []
    if plan is None or not steps:
        return Estimate()
    times = stage.work if stage.kind == "merge" else 1
    return Estimate(
        times * sum(step.seconds or 0 for step in steps),
        times * sum(step.nbytes for step in steps),
        plan.memory if stage.kind == "train" else None,
        plan.scratch if stage.kind == "awq" else 0,
    )
