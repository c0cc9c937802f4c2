"""A merge or padding as a list of operations with their places in the files to come, made from headers alone.

Every check that needs no weights happens here, so that nothing is found wrong after an hour of writing.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from postprocess.merge.deltas import Source, merge
from postprocess.merge.operation import Operation
from postprocess.merge.pad import pad, padded_width, quantisation
from spine.adapter import CONFIG, Adapter, open_adapter
from spine.checkpoint import INDEX, SINGLE, Checkpoint, header_bytes, open_checkpoint, read_json
from spine.code import code_of
from spine.errors import RecipeError
from spine.manifest import Step
from spine.mixture import Mixture, weights_of
from spine.paths import shown
from spine.pieces import SUMS
from spine.stamp import stamp

STEP = "merge"  # of padding too: it is done in the same pass
# Everything of a model's folder that is no weight: tokenizer, chat templates, generation config, code that its config
# names (auto_map), cards and licences.
_CARRIED = ("*.json", "*.jinja", "*.txt", "*.model", "*.tiktoken", "*.py", "*.md", "LICENSE*", "NOTICE*", "tokenizer*",
            "additional_chat_templates/*.jinja")  # fmt: skip
_NOT_CARRIED = {INDEX, "config.json", "manifest.json", SUMS, CONFIG, "trainer_state.json", "quality.json"}
TOKENIZER = (
    "tokenizer*",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "*.tiktoken",
    "chat_template*",
    "additional_chat_templates/*.jinja",
)


@dataclass(frozen=True)
class Padding:
    """``by`` columns, or as many as ``tp`` GPUs and groups of ``group`` ask for."""

    by: int | None = None
    tp: int = 4
    group: int = 128


@dataclass(frozen=True)
class MergeJob:
    """What is asked for, as JSON values; paths are absolute.

    Attributes:
        base: the model's folder.
        outs: a folder for each result.
        sources: adapters and whole models that are added.
        weights: a row for each result, in it a weight for each source.
        round_trip: see ``merge.merge``.
        device: where the sums are made: cpu (numpy), cuda (torch), or auto: a GPU where there is one.
    """

    base: str
    outs: Sequence[str]
    sources: Sequence[str] = ()
    weights: Sequence[Sequence[float]] = ((),)
    padding: Padding | None = None
    round_trip: bool = False
    device: str = "auto"

    @classmethod
    def mixing(
        cls, base: Path, results: Mapping[Path, Mixture], padding: Padding | None = None, round_trip: bool = False
    ) -> MergeJob:
        """``base`` with each of the mixtures, in folders of these names, read once for all of them."""
        sources, weights = weights_of(list(results.values()))
        return cls(str(base), list(map(str, results)), sources, weights, padding, round_trip)

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> MergeJob:
        padding = settings.get("padding")
        return cls(**{**settings, "padding": Padding(**padding) if padding else None})


@dataclass(frozen=True)
class Shard:
    """One file of the result: its first bytes, and what follows with where it begins."""

    name: str
    header: bytes
    operations: tuple[tuple[Operation, int], ...]

    @property
    def nbytes(self) -> int:
        return len(self.header) + sum(operation.nbytes for operation, _ in self.operations)


@dataclass(frozen=True)
class MergePlan:
    """``carried``: files copied as they are, by their names in the result."""

    job: MergeJob
    shards: tuple[Shard, ...]
    config: Mapping[str, Any]
    carried: Mapping[str, Path]
    notes: tuple[str, ...]

    @property
    def nbytes(self) -> int:
        """Of each result."""
        return sum(shard.nbytes for shard in self.shards)

    def kinds(self) -> dict[str, tuple[int, int]]:
        """Kind of operation -> tensors, bytes written."""
        counts, sizes = Counter[str](), Counter[str]()
        for shard in self.shards:
            for operation, _ in shard.operations:
                counts[operation.kind] += 1
                sizes[operation.kind] += operation.nbytes
        return {kind: (counts[kind], sizes[kind]) for kind in sorted(counts)}

    def index(self) -> str | None:
        """model.safetensors.index.json; none for a single file."""
        if [shard.name for shard in self.shards] == [SINGLE]:
            return None
        places = {operation.name: shard.name for shard in self.shards for operation, _ in shard.operations}
        total = sum(operation.nbytes for shard in self.shards for operation, _ in shard.operations)
        return (
            json.dumps({"metadata": {"total_size": total}, "weight_map": dict(sorted(places.items()))}, indent=2) + "\n"
        )


def step_of(job: MergeJob, number: int) -> Step:
    """The step that writes one of the results."""
    added = zip(job.sources, job.weights[number], strict=True)
    inputs: dict[str, Any] = {
        "base": stamp(Path(job.base)),
        "mixture": [[stamp(Path(folder)), weight] for folder, weight in added if weight],
        "padding": asdict(job.padding) if job.padding else None,
        "round_trip": job.round_trip,
        "code": code_of("postprocess.merge.write"),  # the program that writes it, with its plan
    }
    return Step(Path(job.outs[number]), STEP, inputs)


def partial(out: Path) -> Path:
    """Where a result grows. Always the same, so that a second attempt finds the first one's shards."""
    return out.with_name(f".{out.name}.partial")


def make_plan(job: MergeJob) -> MergePlan:
    """Reads all headers and lays the results out.

    Raises:
        RecipeError: whatever cannot work: see ``checkpoint``, ``adapter``, ``merge`` and ``pad``.
    """
    base = open_checkpoint(Path(job.base))
    sources = [open_source(Path(folder)) for folder in job.sources]
    stated = base.config.get("quantization_config") or {}
    dequantises = stated.get("quant_method", "bitsandbytes") == "bitsandbytes" and not job.padding
    if sources or job.round_trip or not stated or dequantises:
        merged = merge(base, sources, job.weights, round_trip=job.round_trip)
        files, config, notes = merged.files, merged.config, merged.notes
    else:
        quantisation(base.config)  # refuses what cannot be padded as it is
        files = {name: tuple(map(Operation.copy, tensors)) for name, tensors in base.files.items()}
        config, notes = base.config, ()
    if job.padding:
        width = padded_width(config, by=job.padding.by, tp=job.padding.tp, group=job.padding.group)
        files, config = pad(files, config, width)
        notes = (*notes, f"intermediate size {width.old} -> {width.new}: {width.why}")
    if own := [name for name in ("config.json", "tokenizer_config.json") if _own_code(base.folder / name)]:
        what = "whose *.py are carried over; the result loads with trust_remote_code alone"
        notes = (*notes, f"{' and '.join(own)} name code of the base's own (auto_map), {what}")
    # A shard may have held nothing but parts of 4-bit tensors.
    shards = tuple(_shard(name, operations) for name, operations in files.items() if operations)
    return MergePlan(job, shards, config, _carried(base, sources), notes)


def open_source(folder: Path) -> Source:
    """An adapter or a whole model.

    Raises:
        RecipeError: neither.
    """
    if (folder / CONFIG).exists():
        return open_adapter(folder)
    if (folder / "config.json").exists():
        return open_checkpoint(folder)
    raise RecipeError(f"neither {CONFIG} nor config.json in it: no adapter and no model", where=shown(folder))


def _shard(name: str, operations: Sequence[Operation]) -> Shard:
    header, begins = header_bytes({operation.name: (operation.dtype, operation.shape) for operation in operations})
    return Shard(name, header, tuple((operation, begins[operation.name]) for operation in operations))


def _carried(base: Checkpoint, sources: Sequence[Source]) -> dict[str, Path]:
    """The base's files, but the tokenizer and chat template of the last adapter that has them: it was trained so."""
    found = _files(base.folder, _CARRIED)
    for source in sources:
        if isinstance(source, Adapter) and (source.folder / "tokenizer_config.json").exists():
            found = {name: path for name, path in found.items() if name not in _files(base.folder, TOKENIZER)}
            found |= _files(source.folder, TOKENIZER)
    return found


def _own_code(path: Path) -> bool:
    return path.is_file() and bool(read_json(path).get("auto_map"))


def _files(folder: Path, patterns: Sequence[str]) -> dict[str, Path]:
    paths = sorted({path for pattern in patterns for path in folder.glob(pattern)})
    return {
        path.relative_to(folder).as_posix(): path
        for path in paths
        if path.is_file() and path.name not in _NOT_CARRIED and not path.name.endswith(".index.json")
    }
