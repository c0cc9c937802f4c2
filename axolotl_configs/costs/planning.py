"""A whole run planned on paper: memory of a GPU, hours, disk of every step; and what would fit where it does not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from axolotl_configs.costs.architecture import FAMILIES, Architecture
from axolotl_configs.costs.batches import Lengths
from axolotl_configs.costs.duration import Duration, Gpu, duration
from axolotl_configs.costs.estimate import training_bytes
from axolotl_configs.costs.host_memory import Machine, Work, host_parts
from axolotl_configs.costs.memory import Part, cpu_parts, gpu_parts, loading_bytes, zero_stage
from spine.errors import RecipeError

GIB = 2**30
_ROW_BYTES = 0.7  # of train.parquet, a token: measured on the sample shop's rows (compressed)
_PREPARED_BYTES = 13  # axolotl's tokenised rows: int32 input_ids, int64 labels, int8 attention_mask
_MERGE_RATE = 0.75e9  # bytes a second, measured on two cores (README.md)
# Seconds a parameter: an hour for the 72B on one A100 (the winners' slides), 4:22 for the 135M on two cores (README).
_AWQ_SECONDS = {"gpu": 3600 / 72.7e9, "cpu": 262 / 134.5e6}
_SHORTER = (2048, 1536, 1024, 768, 512)


@dataclass(frozen=True)
class Request:
    """What is planned.

    Attributes:
        memory_gib: of one GPU, or of the machine where there is none.
        alphas: wise-ft weights, each of which becomes a model.
        second_base: training starts from a model that is merged for it (``start: merged``).
        padded: the MLPs' width after padding; None: they are not padded.
        group: of the 4-bit export; ``scratch``: disk it takes while it is made, of the merged model's size.
        backend: that makes the export; ``serving``: GPUs that an answering model is split over.
        machine: whose memory all this shares.
    """

    settings: Mapping[str, Any]
    model: Architecture
    gpus: int
    gpu: Gpu | None
    memory_gib: float
    rows: int
    val_rows: int
    lengths: Lengths
    alphas: int
    second_base: bool
    padded: int | None
    group: int
    scratch: float
    backend: str
    serving: int
    machine: Machine


@dataclass(frozen=True)
class Step:
    """``nbytes`` it leaves on the disk; ``seconds``: None where nobody has measured it."""

    name: str
    nbytes: float
    seconds: float | None
    why: str


@dataclass(frozen=True)
class Plan:
    """What a run takes.

    Attributes:
        parts: of a GPU's memory while training, or of the machine's where there is none.
        host: of the machine's memory, by step; they do not add up, one step follows another.
        scratch: bytes that only lie on the disk during a step.
    """

    request: Request
    parts: list[Part]
    loading: float
    training: Duration
    steps: list[Step]
    host: list[Part]
    scratch: float

    @property
    def memory(self) -> float:
        """Bytes, at the worst moment of training."""
        return sum(part.nbytes for part in self.parts)

    @property
    def disk(self) -> float:
        """Bytes, with every step's results kept."""
        return sum(step.nbytes for step in self.steps) + self.scratch

    def faults(self) -> list[str]:
        """Why it cannot work; empty if it can."""
        there = self.request.memory_gib
        where = "a GPU" if self.request.gpus else "of memory"
        needs = {"training": self.memory, "loading the model": self.loading}
        return [
            f"{what} needs {size / GIB:.1f} GiB {where}, there are {there:.0f}"
            for what, size in needs.items()
            if size > there * GIB
        ]

    def short_of_memory(self) -> list[str]:
        """The steps for which the machine's own memory is too small, as far as it is known."""
        there = self.request.machine.memory_gib
        if there is None:
            return []
        steps = self.host if self.request.gpus else self.host[1:]  # a CPU's training is among ``faults``
        return [
            f"{part.name} needs {part.nbytes / GIB:.1f} GiB of the machine's memory, there are {there:,.0f}"
            for part in steps
            if part.nbytes > there * GIB
        ]

    def as_json(self) -> dict[str, Any]:
        """Bytes, seconds and tokens as numbers."""
        return {
            "memory": [asdict(part) for part in self.parts],
            "memory_bytes": self.memory,
            "loading_bytes": self.loading,
            "memory_there_gib": self.request.memory_gib,
            "training": {**asdict(self.training), "seconds": self.training.seconds},
            "steps": [asdict(step) for step in self.steps],
            "disk_bytes": self.disk,
            "host_memory": [asdict(part) for part in self.host],
            "host_memory_bytes": max(part.nbytes for part in self.host),
            "faults": self.faults(),
            "short_of_memory": self.short_of_memory(),
        }


def make_plan(request: Request) -> Plan:
    """The plan, whether it fits or not (``Plan.faults``).

    Raises:
        RecipeError: see ``memory.zero_stage``.
    """
    s, model = request.settings, request.model
    if request.gpus:
        parts, loading = gpu_parts(s, model, request.gpus), loading_bytes(s, model, request.gpus)
    else:
        parts = cpu_parts(s, model)
        loading = 0.0  # less than what is in use later, on a CPU
    training = duration(s, model, request.rows, request.val_rows, request.lengths, request.gpus, request.gpu)
    work = Work(request.gpus, request.backend, request.serving)
    host = list(host_parts(work, model, sum(part.nbytes for part in parts)))
    scratch = request.scratch * 2 * model.parameters
    return Plan(request, parts, loading, training, list(_steps(request, training)), host, scratch)


def require_known(config: Mapping[str, Any]) -> None:
    """Refuses a model whose layers are others than those the formulae are for (experts, say)."""
    family = config.get("model_type", "llama")
    if family not in FAMILIES:
        raise RecipeError(
            f"models of type '{family}' are not known to the plan", way_out="known: " + ", ".join(FAMILIES)
        )


def four_bit_bytes(model: Architecture, group: int) -> tuple[float, float]:
    """Of an AWQ export: the 4-bit layers (a scale of fp16 and a zero point of 4 bits for each group), and the rest."""
    return model.linear * (0.5 + 2.5 / group), 2.0 * model.others


def _steps(request: Request, training: Duration) -> Iterator[Step]:
    model, times = request.model, request.alphas
    whole = 2.0 * model.parameters
    rows = request.rows + request.val_rows
    tokens = rows * request.lengths.mean
    yield Step("base", whole, None, f"{model.parameters / 1e9:.2f} G parameters in bf16")
    yield Step("data", tokens * _ROW_BYTES, None, f"{rows:,} rows; without raw files and cache")
    yield Step("prepared", tokens * _PREPARED_BYTES, None, f"tokenised by axolotl, {_PREPARED_BYTES} bytes a token")
    if request.second_base:
        why = f"round 1's model, {whole / 1e9:.1f} GB in bf16, from which training starts"
        yield Step("start", whole, whole / _MERGE_RATE, why)
    kept = request.settings.get("save_total_limit") or 4
    why = f"adapter, {kept} checkpoints and one being written"
    yield Step("train", training_bytes(request.settings, model), training.seconds, why)
    each = "" if times == 1 else f"{times} x "
    why = f"{each}{whole / 1e9:.1f} GB in bf16, written at {_MERGE_RATE / 1e9:.2f} GB/s (two cores)"
    yield Step("merge", times * whole, times * whole / _MERGE_RATE, why)
    packed, rest = four_bit_bytes(model, request.group)
    known = "72B: an hour on one A100" if request.gpus else "135M: 4:22 on two cores"
    why = f"{each}{packed / 1e9:.1f} GB in 4 bit and {rest / 1e9:.1f} GB in fp16 ({known})"
    seconds = times * _AWQ_SECONDS["gpu" if request.gpus else "cpu"] * model.parameters
    yield Step("awq", times * (packed + rest), seconds, why)
    if request.padded:
        packed, rest = four_bit_bytes(replace(model, inner=request.padded), request.group)
        width = f"{model.inner:,} -> {request.padded:,} wide" if request.padded > model.inner else "divide already"
        why = f"{each}{packed / 1e9:.1f} GB in 4 bit, the MLPs {width}"
        yield Step("pad", times * (packed + rest), times * (packed + rest) / _MERGE_RATE, why)


def ways_out(request: Request) -> list[str]:
    """What to SET so that it fits: every single change that is enough, else the first chain of them that is."""
    changes = list(_changes(request))
    single = [change for change in changes if _fits(request, change)]
    if single:
        return [_as_set(change) for change in single]
    together: dict[str, Any] = {}
    for change in changes:
        together |= change
        if _fits(request, together):
            return [_as_set(together)]
    return []


def _changes(request: Request) -> Iterator[dict[str, Any]]:
    """From what costs least to what costs most."""
    s = request.settings
    if not s.get("load_in_4bit"):
        yield {"adapter": "qlora", "load_in_4bit": True, "load_in_8bit": False}
    if not s.get("gradient_checkpointing"):
        yield {"gradient_checkpointing": True}
    micro, accumulation = s.get("micro_batch_size", 1), s.get("gradient_accumulation_steps", 1)
    smaller = [size for size in range(micro - 1, 0, -1) if micro * accumulation % size == 0]
    batches = [
        {"micro_batch_size": size, "gradient_accumulation_steps": micro * accumulation // size} for size in smaller
    ]
    yield from [batch for batch in batches if _fits(request, batch)][:1] or batches[-1:]
    if request.gpus > 1:
        for stage in range(max(2, zero_stage(s) + 1), 4):
            yield {"deepspeed": f"axolotl_configs/deepspeed/zero{stage}.json"}
    if request.gpus and "8bit" not in str(s.get("optimizer")):
        yield {"optimizer": "adamw_bnb_8bit"}
    shorter = [{"sequence_len": length} for length in _SHORTER if length < s["sequence_len"]]
    yield from [length for length in shorter if _fits(request, length)][:1] or shorter[-1:]


def _fits(request: Request, change: Mapping[str, Any]) -> bool:
    return not make_plan(replace(request, settings={**request.settings, **change})).faults()


def _as_set(change: Mapping[str, Any]) -> str:
    words = " ".join(
        f"{key}={str(value).lower() if isinstance(value, bool) else value}" for key, value in change.items()
    )
    return f'SET="{words}"'
