"""Which tensors of a base change, and how, when adapters or other models are added to it with wise-ft weights.

``W + sum of a_i * D_i``: D is ``scale * B A`` for LoRA, ``W_i - W`` for what was trained in full. Source of the
weighting: Wortsman et al., Robust fine-tuning of zero-shot models (wise-ft); exact for LoRA, not for DoRA (a PEFT
issue by a member of the winning team, #1940). Everything is decided from headers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from postprocess.merge.operation import (
    EMBEDDINGS,
    HEAD,
    Change,
    LowRank,
    Operation,
    Replace,
    Shift,
    Unit,
    tied_embedding,
    units,
)
from spine.adapter import Adapter, LoraModule
from spine.checkpoint import Checkpoint, Tensor
from spine.errors import RecipeError, did_you_mean
from spine.paths import shown

_MOST_FAULTS = 20
_FLOATS = ("F64", "F32", "F16", "BF16")
# Architectures of transformers whose inner layers store their weights as (in, out). PEFT's fan_in_fan_out alone does
# not tell: it holds what the layer that was wrapped last needed, and a head is always (out, in).
_CONV1D = ("gpt2", "openai-gpt", "imagegpt")
_HEADS = ("lm_head", "score")

Source = Adapter | Checkpoint


@dataclass(frozen=True)
class Merged:
    """``files``: shard -> what becomes of its tensors; ``config``: the result's; ``notes``: what a user should know."""

    files: Mapping[str, tuple[Operation, ...]]
    config: Mapping[str, Any]
    notes: tuple[str, ...] = ()


@dataclass
class _Changes:
    """By the base's name for a tensor."""

    of: dict[str, list[Change]] = field(default_factory=dict)
    magnitude: dict[str, tuple[Tensor, bool]] = field(default_factory=dict)
    resized: dict[str, Tensor] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def add(self, name: str, change: Change) -> None:
        self.of.setdefault(name, []).append(change)


def merge(
    base: Checkpoint, sources: Sequence[Source], weights: Sequence[Sequence[float]], *, round_trip: bool = False
) -> Merged:
    """The operations that add ``sources`` to ``base``.

    Args:
        weights: one row per result, in it one weight per source; here only to refuse what they cannot mean.
        round_trip: round to NF4 and back what QLoRA had in 4 bit: every linear layer but the head.

    Raises:
        RecipeError: every tensor of a source that the base lacks or has in another shape, all at once; DoRA or a
            resized embedding at another weight than 1.
    """
    known = units(base)
    tied = tied_embedding(base, known)
    headless = tied is not None and HEAD not in known
    if tied and headless:
        known = known | {HEAD: replace(known[tied], name=HEAD)}
    changes = _Changes()
    for number, source in enumerate(sources):
        if isinstance(source, Adapter):
            _add_adapter(changes, number, source, known, base.config.get("model_type") in _CONV1D)
        else:
            _add_model(changes, number, source, known)
        if tied and isinstance(source, Adapter):
            _share(changes, source, number, tied)
    _refuse(changes, base, known)
    _refuse_weights(changes, weights)
    files = {name: tuple(_operations(tensors, known, changes, round_trip)) for name, tensors in base.files.items()}
    notes = [note for source in sources if isinstance(source, Adapter) for note in _named_otherwise(base, source)]
    config = {key: value for key, value in base.config.items() if key != "quantization_config"}
    if tied and not _same(changes, tied):
        config["tie_word_embeddings"] = False
        if headless:
            home = next(name for name, tensors in base.files.items() if any(t.name == tied for t in tensors))
            files[home] += (_operation(known[HEAD], changes, round_trip=False),)
        notes.append(f"{HEAD} is written on its own: the base ties it to {tied}, but the adapter changes them apart")
    if changes.resized:
        config["vocab_size"] = max(tensor.shape[0] for tensor in changes.resized.values())
        notes.append(f"the vocabulary has {config['vocab_size']:,} entries: trained with another number of tokens")
    return Merged(files, config, tuple(notes))


def _named_otherwise(base: Checkpoint, adapter: Adapter) -> list[str]:
    """Another base of the same shape merges without a word, and answers like neither."""
    stated = Path(str(adapter.config.get("base_model_name_or_path") or "")).name
    folders = base.folder.absolute().parts  # in the hub's cache: models--Qwen--Qwen2-7B-Instruct/snapshots/...
    names = {part.rpartition("--")[2].lower() for part in folders} | {
        Path(str(base.config.get("_name_or_path") or "")).name.lower()
    }
    if not stated or stated.lower() in names:
        return []
    return [f"{shown(adapter.folder)} says that it was trained on {stated}: is {shown(base.folder)} that very model?"]


def _operations(
    tensors: Iterable[Tensor], known: Mapping[str, Unit], changes: _Changes, round_trip: bool
) -> Iterable[Operation]:
    for tensor in tensors:
        if tensor.name in known:  # else a part of a 4-bit tensor
            yield _operation(known[tensor.name], changes, round_trip)


def _operation(unit: Unit, changes: _Changes, round_trip: bool) -> Operation:
    base = changes.resized.get(unit.name)
    magnitude, transposed = changes.magnitude.get(unit.name, (None, False))
    return Operation(
        unit.name,
        base or unit.tensor,
        unit.dtype,
        base.shape if base else unit.shape,
        base.shape if base else unit.shape,
        tuple(changes.of.get(unit.name, ())),
        magnitude=magnitude,
        transposed=transposed,
        quantised=() if base else unit.quantised,
        round_trip=round_trip and unit.is_linear and not unit.quantised,
    )


def _add_adapter(changes: _Changes, number: int, adapter: Adapter, known: Mapping[str, Unit], conv1d: bool) -> None:
    for name, tensor in adapter.full.items():  # first: LoRA on a resized embedding has its shape
        _replace(changes, number, name, tensor, known)
    for module in adapter.modules:
        name, stored = f"{module.name}.weight", adapter.fan_in_fan_out or conv1d
        transposed = module.embedding or (stored and not module.name.endswith(_HEADS))
        shape = (module.b.shape[0], module.a.shape[1])
        if problem := _problem(name, shape[::-1] if transposed else shape, known, changes):
            changes.faults.append(problem)
            continue
        left, right = (module.a, module.b) if transposed else (module.b, module.a)
        changes.add(name, LowRank(number, left, right, module.scale, transposed))
        _add_bias(changes, number, module, known)
        if module.magnitude:
            if module.magnitude.shape != (module.b.shape[0],):
                changes.faults.append(f"{module.name}: DoRA's magnitude is {module.magnitude.shape}")
            changes.magnitude[name] = (module.magnitude, transposed)


def _add_bias(changes: _Changes, number: int, module: LoraModule, known: Mapping[str, Unit]) -> None:
    name = f"{module.name}.bias"
    if not module.bias:
        return
    if problem := _problem(name, module.bias.shape, known, changes):
        changes.faults.append(problem)
    else:
        changes.add(name, Shift(number, module.bias, module.scale))


def _add_model(changes: _Changes, number: int, model: Checkpoint, known: Mapping[str, Unit]) -> None:
    theirs = units(model)
    tied = tied_embedding(model, theirs)
    if tied and HEAD in known:
        theirs = {HEAD: theirs[tied]} | theirs
    if quantised := [unit.name for unit in theirs.values() if unit.quantised]:
        raise RecipeError(
            f"{quantised[0]} is stored in 4 bit; only the base may be",
            where=shown(model.folder),
            way_out="recipe merge --base THIS --out ... without adapters writes it dequantised",
        )
    for name in sorted(known.keys() | theirs.keys()):
        if name not in theirs:
            changes.faults.append(f"{name}: {shown(model.folder)} lacks it")
        else:
            _replace(changes, number, name, theirs[name].tensor, known)


def _replace(changes: _Changes, number: int, name: str, tensor: Tensor, known: Mapping[str, Unit]) -> None:
    unit = known.get(name)
    other_rows = unit and tensor.shape != unit.shape and tensor.shape[1:] == unit.shape[1:]
    if name in changes.resized or (other_rows and name in changes.of):
        changes.faults.append(f"{name}: a source resizes it (added tokens), which cannot be added to another's change")
    elif other_rows and name.endswith((*EMBEDDINGS, HEAD)):
        changes.resized[name] = tensor  # an embedding with more rows: it takes the place of the base's
    elif problem := _problem(name, tensor.shape, known, changes):
        changes.faults.append(problem)
    elif unit and unit.dtype in _FLOATS:  # whole numbers are no weights: the base's stay
        changes.add(name, Replace(number, tensor))


def _share(changes: _Changes, adapter: Adapter, number: int, tied: str) -> None:
    """What the tied embedding and head have in common.

    With PEFT's ensure_weight_tying one training acts in both; PEFT 0.20 saves it under both names, older ones under
    one. LoRA on one of both leaves its base, with the new rows if tokens were added, to the other.
    """
    if adapter.config.get("ensure_weight_tying"):
        of = {name: changes.of.get(name, []) for name in (tied, HEAD)}
        own = {name: [change for change in found if change.source == number] for name, found in of.items()}
        for name, found in of.items():
            if both := [change for change in found if change.source != number] + (own[tied] or own[HEAD]):
                changes.of[name] = both
        if tied in adapter.full and tied in changes.resized:
            changes.resized[HEAD] = changes.resized[tied]
    low_rank = {f"{module.name}.weight" for module in adapter.modules}
    for name, other in ((tied, HEAD), (HEAD, tied)):
        if name in low_rank and name in changes.resized:
            changes.resized.setdefault(other, changes.resized[name])


def _same(changes: _Changes, tied: str) -> bool:
    return changes.of.get(tied) == changes.of.get(HEAD) and changes.resized.get(tied) == changes.resized.get(HEAD)


def _problem(name: str, shape: tuple[int, ...], known: Mapping[str, Unit], changes: _Changes) -> str | None:
    if name not in known:
        near = did_you_mean(name, known) or ""
        return f"{name}: the base has no such tensor{'; ' if near else ''}{near}"
    wanted = (changes.resized.get(name) or known[name]).shape
    return f"{name}: trained for {shape}, the base has {wanted}" if shape != wanted else None


def _refuse(changes: _Changes, base: Checkpoint, known: Mapping[str, Unit]) -> None:
    for name in changes.magnitude:
        if len({change.source for change in changes.of[name]}) > 1:
            changes.faults.append(f"{name}: trained with DoRA, which cannot be added to another adapter's change")
    if changes.resized:
        ends = [name for name in known if name.endswith((*EMBEDDINGS, HEAD))]
        rows = {name: (changes.resized.get(name) or known[name]).shape[0] for name in ends}
        if len(set(rows.values())) > 1:
            told = ", ".join(f"{name} {count:,}" for name, count in rows.items())
            changes.faults.append(f"tokens were added, but not to the embedding and the head alike: rows of {told}")
    if not changes.faults:
        return
    more = len(changes.faults) - _MOST_FAULTS
    lines = changes.faults[:_MOST_FAULTS] + ([f"... and {more} more"] if more > 0 else [])
    raise RecipeError(
        f"what was trained does not fit this base, in {len(changes.faults)} tensors:\n  " + "\n  ".join(lines),
        where=shown(base.folder),
        way_out="merge with the model that was trained on (base_model_name_or_path in adapter_config.json)",
    )


def _refuse_weights(changes: _Changes, weights: Sequence[Sequence[float]]) -> None:
    """At weight 1 everything is defined; at any other only what is linear."""
    odd = sorted({weight for row in weights for weight in row if weight != 1.0})
    if not odd:
        return
    for name in changes.magnitude:
        raise RecipeError(
            f"{name} was trained with DoRA, which scales W and B A together: the weight {odd[0]:g} means nothing",
            way_out="ALPHA=1",
        )
    for name in changes.resized:
        raise RecipeError(
            f"{name} has another number of rows than the base's (tokens were added or left out), which the weight "
            f"{odd[0]:g} cannot weigh",
            way_out="ALPHA=1",
        )
