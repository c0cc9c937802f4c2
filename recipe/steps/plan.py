"""What `recipe plan` and the walk's estimates count a run as: its model, its rows and their lengths, its machine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from axolotl_configs.costs.architecture import Architecture, model_config
from axolotl_configs.costs.batches import Lengths
from axolotl_configs.costs.duration import Gpu
from axolotl_configs.costs.estimate import check_fits
from axolotl_configs.costs.host_memory import Machine
from axolotl_configs.costs.known_figures import expected_lengths, gpu, measured_lengths, usual_memory
from axolotl_configs.costs.planning import Request, require_known
from axolotl_configs.render import Resolved
from axolotl_configs.schema import Hardware
from axolotl_configs.select import fits
from dataset_builders.blend.stats import read_stats
from postprocess.awq.export import SCRATCH
from postprocess.merge.pad import padded_width
from recipe.steps.merge import alphas_of
from spine import manifest
from spine.hardware import this_machine
from spine.paths import shown


def plan_request(
    resolved: Resolved, alpha: str | None = None, config_file: Path | None = None, gpu_name: str | None = None,
    row_tokens: float | None = None,
) -> tuple[Request, str]:  # fmt: skip
    """What is planned for a run, and where the lengths of its rows are from.

    Raises:
        RecipeError: the model or the GPU is not known.
    """
    profile = resolved.profile
    config = model_config(profile.base_model, config_file)
    require_known(config)
    check_fits(resolved.axolotl, config)
    model, hardware = Architecture.of(config), profile.hardware
    rows, lengths, source = _lengths(resolved, model, row_tokens)
    padding = profile.quantize
    width = padded_width(config, tp=padding.tensor_parallel, group=padding.group)
    card = gpu(gpu_name or hardware.card, f"profile {resolved.run.profile}") if hardware.gpus else None
    request = Request(
        settings=resolved.axolotl,
        model=model,
        gpus=hardware.gpus,
        gpu=card,
        memory_gib=hardware.gpu_memory_gib if hardware.gpus else this_machine().memory_gib,
        rows=rows,
        val_rows=profile.val_rows,
        lengths=lengths,
        alphas=len(alphas_of(resolved.blend.name, alpha)),
        second_base=resolved.start is not None and resolved.start.how == "merged",
        padded=width.new if padding.tensor_parallel > 1 else None,
        group=padding.group,
        scratch=SCRATCH[padding.backend],
        backend=padding.backend,
        serving=profile.answer.tensor_parallel or max(1, hardware.gpus),
        machine=_machine(hardware, card),
    )
    return request, source


def _machine(hardware: Hardware, card: Gpu | None) -> Machine:
    """This one, where the profile is for it; else what machines with such cards have."""
    here = this_machine()
    if card is None or fits(here, hardware):
        return Machine(here.memory_gib, True, "this machine's")
    usual = usual_memory(card.name)
    if usual is None:
        return Machine(None, False, "what machines with this card have is not known")
    return Machine(usual * hardware.gpus, False, f"{usual:g} for each {card.name}, as AWS rents them")


def _lengths(resolved: Resolved, model: Architecture, row_tokens: float | None) -> tuple[int, Lengths, str]:
    """Rows, their lengths, and where these are from."""
    rows = sum(portion.rows for portion in resolved.portions)
    expected = expected_lengths(resolved.portions, model.vocabulary)
    data = resolved.run.data
    if row_tokens:
        return rows, replace(expected, mean=row_tokens), "as asked"
    if manifest.read(data):
        stats = read_stats(data / "stats.json")
        return stats["totals"]["kept"], measured_lengths(stats), f"measured, {shown(data)}"
    return rows, expected, "the sample shop's; `recipe data` measures yours"
