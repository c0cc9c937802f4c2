"""Safetensors checkpoints read from their headers alone: which tensors there are, of what shape, where they lie.

The format: 8 bytes (little endian) with the header's length, a JSON header, then the tensors' bytes without gaps
(https://github.com/huggingface/safetensors, README). Nothing here needs torch, nor the weights.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spine import manifest
from spine.errors import RecipeError, unreadable
from spine.paths import shown

INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
# Bytes of one element, for the types that checkpoints hold.
ITEM = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1,
        "F8_E4M3": 1, "F8_E5M2": 1, "U16": 2, "U32": 4, "U64": 8}  # fmt: skip
_LONGEST_HEADER = 100 * 2**20  # what the reference implementation allows
_PICKLES = ("*.bin", "*.pt", "*.pth")
_WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".gguf")
# What is true of a folder's own weights only: its config, and what our steps have found out about them.
_OF_WEIGHTS = ("config.json", manifest.NAME, "checksums.json", "quality.json")
_CHUNK = 16 * 2**20


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor in a file. ``begin``: offset of its first byte in ``file``."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    file: Path
    begin: int

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * ITEM[self.dtype]

    def chunks(self) -> Iterator[bytes]:
        """Its bytes, a part at a time."""
        with self.file.open("rb") as handle:
            handle.seek(self.begin)
            for at in range(0, self.nbytes, _CHUNK):
                yield handle.read(min(_CHUNK, self.nbytes - at))

    def content(self) -> bytes:
        """All of its bytes."""
        return b"".join(self.chunks())


@dataclass(frozen=True)
class Checkpoint:
    """``files``: shard name -> its tensors, in the order of their bytes; ``config``: config.json."""

    folder: Path
    files: Mapping[str, tuple[Tensor, ...]]
    config: Mapping[str, Any]

    @property
    def tensors(self) -> dict[str, Tensor]:
        return {tensor.name: tensor for tensors in self.files.values() for tensor in tensors}

    @property
    def nbytes(self) -> int:
        return sum(tensor.nbytes for tensors in self.files.values() for tensor in tensors)


def read_header(path: Path) -> tuple[Tensor, ...]:
    """The tensors of one file, in the order of their bytes.

    Raises:
        RecipeError: not a safetensors file, truncated, or with tensors that overlap or leave gaps.
    """
    header, begin = _header(path)
    faults, found = list[str](), list[Tensor]()
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        try:
            tensor = Tensor(
                name, str(entry["dtype"]), tuple(map(int, entry["shape"])), path, begin + int(entry["data_offsets"][0])
            )
            end = begin + int(entry["data_offsets"][1])
            if max((end, *tensor.shape)) >= 2**63:
                raise ValueError
            if tensor.dtype not in ITEM:
                faults.append(f"{name}: unknown type {tensor.dtype}")
            elif min(tensor.shape, default=0) < 0 or end - tensor.begin != tensor.nbytes:
                faults.append(f"{name}: {end - tensor.begin} bytes for shape {tensor.shape} of {tensor.dtype}")
            else:
                found.append(tensor)
        except (KeyError, TypeError, ValueError, IndexError, OverflowError):
            faults.append(f"{name}: its entry in the header is unreadable: {str(entry)[:80]}")
    found.sort(key=lambda tensor: (tensor.begin, tensor.nbytes))
    if not faults:
        faults = _gaps(found, begin, path.stat().st_size)
    if faults:
        raise RecipeError(
            "broken safetensors file: " + "; ".join(faults[:5]), where=shown(path), way_out="fetch it again"
        )
    return tuple(found)


def _header(path: Path) -> tuple[dict[str, Any], int]:
    """The JSON header, and where the tensors' bytes begin."""
    try:
        size = path.stat().st_size
        with path.open("rb") as handle:
            length = int.from_bytes(handle.read(8), "little")
            if size < 8 or not 2 <= length <= min(_LONGEST_HEADER, size - 8):
                raise RecipeError(
                    f"not a safetensors file, or cut short: {size} bytes, a header of {length}",
                    where=shown(path),
                    way_out="fetch it again",
                )
            header = json.loads(handle.read(length))
    except OSError as error:
        raise unreadable(path, error) from error
    except (ValueError, RecursionError) as error:  # also UnicodeDecodeError
        raise RecipeError(f"its header is not JSON: {error}", where=shown(path), way_out="fetch it again") from error
    if not isinstance(header, dict):
        raise RecipeError("its header is not a JSON object", where=shown(path), way_out="fetch it again")
    return header, 8 + length


def _gaps(tensors: list[Tensor], begin: int, size: int) -> list[str]:
    at = begin
    for tensor in tensors:
        if tensor.begin != at:
            return [f"{tensor.name} begins at byte {tensor.begin}, not {at}"]
        at += tensor.nbytes
    if at > size:
        return [f"cut short: {size:,} bytes, the header speaks of {at:,}"]
    return [f"{size - at:,} bytes that the header does not know"] if at < size else []


def metadata(path: Path) -> dict[str, str]:
    """The free texts in a file's header."""
    found = _header(path)[0].get("__metadata__", {})
    return {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else {}


def open_checkpoint(folder: Path) -> Checkpoint:
    """A model's folder: one safetensors file, or shards and their index.

    Raises:
        RecipeError: no such folder, pickled weights, missing or broken shards, an index that does not fit them.
    """
    if not folder.is_dir():
        raise RecipeError("no such model folder", where=shown(folder))
    config = read_json(folder / "config.json")
    if (folder / INDEX).exists():
        return Checkpoint(folder, _sharded(folder), config)
    if (folder / SINGLE).exists():
        return Checkpoint(folder, {SINGLE: read_header(folder / SINGLE)}, config)
    if any(found for pattern in _PICKLES for found in folder.glob(pattern)):
        raise RecipeError(
            "holds pickled weights (.bin), which are never loaded: a pickle can run any code",
            where=shown(folder),
            way_out="fetch the safetensors version, or convert it where you trust it (save_pretrained)",
        )
    raise RecipeError(f"neither {SINGLE} nor {INDEX} in it", where=shown(folder))


def _sharded(folder: Path) -> dict[str, tuple[Tensor, ...]]:
    index = read_json(folder / INDEX)
    places = index.get("weight_map")
    if not isinstance(places, dict) or not places:
        raise RecipeError("has no weight_map", where=shown(folder / INDEX))
    files = sorted(set(map(str, places.values())))
    if strange := [name for name in files if Path(name).name != name or not name.endswith(".safetensors")]:
        raise RecipeError(
            f"names files that are not shards of this folder: {', '.join(strange[:5])}", where=shown(folder / INDEX)
        )
    if missing := [name for name in files if not (folder / name).is_file()]:
        raise RecipeError(
            f"{len(missing)} of {len(files)} shards are missing: {', '.join(missing[:5])}",
            where=shown(folder / INDEX),
            way_out="fetch the missing files",
        )
    shards = {name: read_header(folder / name) for name in files}
    held = {tensor.name: name for name, tensors in shards.items() for tensor in tensors}
    wrong = [name for name, file in places.items() if held.get(name) != file] + sorted(held.keys() - places.keys())
    wrong += [tensor.name for name, tensors in shards.items() for tensor in tensors if held[tensor.name] != name]
    if wrong:
        raise RecipeError(
            f"the index and the shards disagree about {len(wrong)} tensors: {', '.join(wrong[:5])}",
            where=shown(folder / INDEX),
        )
    return shards


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object.

    Raises:
        RecipeError: no such file, or something else in it.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise unreadable(path, error) from error
    except (ValueError, RecursionError) as error:
        raise RecipeError(f"not JSON: {error}", where=shown(path)) from error
    if not isinstance(found, dict):
        raise RecipeError("not a JSON object", where=shown(path))
    return found


def copy_companions(model: Path, folder: Path) -> None:
    """Copies what else lies in a model's folder: tokenizer, templates, cards; not what is of its weights."""
    for path in (*model.iterdir(), *model.glob("additional_chat_templates/*.jinja")):
        own = path.suffix in _WEIGHTS or path.name.endswith(".index.json") or path.name in _OF_WEIGHTS
        if path.is_file() and not own and not path.name.startswith("."):
            place = folder / path.relative_to(model)
            place.parent.mkdir(exist_ok=True)
            shutil.copyfile(path, place)


def write_safetensors(
    path: Path, tensors: Mapping[str, tuple[str, tuple[int, ...]]], content: Iterable[bytes | memoryview]
) -> None:
    """Writes ``tensors`` (name -> type and shape) to a new file; ``content``: their bytes, in their order."""
    with path.open("wb") as out:
        out.write(header_bytes(tensors)[0])
        out.writelines(content)


def header_bytes(tensors: Mapping[str, tuple[str, tuple[int, ...]]]) -> tuple[bytes, dict[str, int]]:
    """A new file's first bytes for ``tensors`` (name -> type and shape, in order), and where each one begins.

    The header is padded with blanks to a multiple of 8, so that the tensors are aligned.
    """
    entries: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    at, begins = 0, {}
    for name, (dtype, shape) in tensors.items():
        size = math.prod(shape) * ITEM[dtype]
        entries[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [at, at + size]}
        begins[name] = at
        at += size
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text, {name: 8 + len(text) + begin for name, begin in begins.items()}
