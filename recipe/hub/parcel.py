"""What is pushed: a finished step's files, as the hub gets them. Nothing unfinished, damaged or private leaves."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from axolotl_configs.render import Resolved
from postprocess.merge.plan import TOKENIZER
from recipe.hub.terms import base_of
from spine import manifest
from spine.adapter import CONFIG
from spine.errors import RecipeError, did_you_mean
from spine.paths import ROOT, shown

ADAPTER, DATA, CARD = "adapter", "data", "README.md"
# What tells how the step was done, and names folders of this machine while it does.
_NAMING_PLACES = (manifest.NAME, CONFIG, "axolotl.yaml", "trainer_state.json")
# Not the hub's business: the card replaces the base's and the data folder's own; the questions of an evaluation file
# that were kept out of training would stand in a published data set after all.
_LEFT_OUT = {CARD, "card.md", "rejected.jsonl", "contaminated.jsonl"}
# An absolute path, but not what follows a word or "https:"; its last part is kept.
_PATH = re.compile(r"(?<![\w.:/~<>-])/(?:[\w.@%+=,~-]+/)+([\w.@%+=,~-]*)")


class Kind(StrEnum):
    """What a parcel is, by the step that has made it."""

    ADAPTER = "train"
    MODEL = "merge"
    FOUR_BIT = "awq"
    DATA = "data"


@dataclass(frozen=True)
class Parcel:
    """A finished step and the files that go.

    Attributes:
        what: as ``--what`` names it.
        manifest: the step's, as it lies on this disk.
        files: by their names in the repository, in their order; bytes where the hub gets another text than the disk
            has. The card is not among them.
    """

    what: str
    kind: Kind
    folder: Path
    manifest: Mapping[str, Any]
    files: Mapping[str, Path | bytes]

    @property
    def repo_type(self) -> str:
        return "dataset" if self.kind is Kind.DATA else "model"

    @property
    def sizes(self) -> dict[str, int]:
        """Bytes, by the file's name."""
        return {name: len(f) if isinstance(f, bytes) else f.stat().st_size for name, f in self.files.items()}

    @property
    def weights(self) -> int:
        """Bytes of weights."""
        return sum(size for name, size in self.sizes.items() if name.endswith(".safetensors"))


def there_is(resolved: Resolved) -> list[str]:
    """What of the run can be pushed."""
    return [what for what, folder in _folders(resolved) if (manifest.read(folder) or {}).get("step") in set(Kind)]


def find(resolved: Resolved, what: str, base_model: str | None = None) -> Parcel:
    """The parcel that ``--what`` names.

    Args:
        base_model: what the user says that the base is called on the hub, for the adapter's config.

    Raises:
        RecipeError: there is no such thing, it is not finished, or it is not as it was written; an adapter whose base
            is a merged model, which nobody else has.
    """
    folder = dict(_folders(resolved)).get(what, resolved.run.folder / what)
    known = manifest.read(folder)
    if known is None:
        blend, finish = resolved.blend.name, {ADAPTER: "train", DATA: "data"}
        if folder.is_dir():
            way_out = f"make {finish.get(what, 'merge')}-{blend} finishes it"
            raise RecipeError(f"is not finished: no {manifest.NAME} in it", where=shown(folder), way_out=way_out)
        names = there_is(resolved)
        way_out = did_you_mean(what, names) or f"nothing of this run is finished yet: make train-{blend}"
        raise RecipeError(f"there is no '{what}'", where=shown(resolved.run.folder), way_out=way_out)
    if known.get("step") not in set(Kind):
        raise RecipeError(f"a step '{known.get('step')}' is nothing to publish", where=shown(folder))
    if bad := manifest.damaged(folder):
        raise RecipeError(
            f"{', '.join(bad[:5])} changed since it was written: its checksum is not the manifest's",
            where=shown(folder),
            way_out="make it again, or restore the files",
        )
    start = known["inputs"].get("start") if known["step"] == Kind.ADAPTER else None
    if start and start["how"] == "merged":
        raise RecipeError(
            "is an adapter of round 1's merged model, which nobody else has",
            where=shown(folder),
            way_out=f"push the sum: recipe merge {resolved.blend.name}, then --what merged-...",
        )
    base = base_of(resolved.profile.base_model, base_model).hub
    return Parcel(what, Kind(known["step"]), folder, known, dict(_files(folder, known, base)))


def _folders(resolved: Resolved) -> Iterator[tuple[str, Path]]:
    yield ADAPTER, resolved.run.train
    for pattern in ("merged-*", "padded-*", "awq-*"):
        yield from ((path.name, path) for path in sorted(resolved.run.folder.glob(pattern)))
    yield DATA, resolved.run.data


def _files(folder: Path, known: Mapping[str, Any], base: str | None) -> Iterator[tuple[str, Path | bytes]]:
    names, base_model = known["outputs"].keys() - _LEFT_OUT, None
    if known["step"] == Kind.ADAPTER:  # whoever loads it needs the tokenizer it was trained with, as a merge gets it
        names |= {path.name for pattern in TOKENIZER for path in folder.glob(pattern) if path.is_file()}
        base_model = base
    changed: dict[str, bytes] = {}
    for name in sorted(names):
        if name in _NAMING_PLACES and (told := _told(folder / name, base_model)):
            changed[name] = told
        yield name, changed.get(name, folder / name)
    yield manifest.NAME, _manifest(known, names, changed)


def _told(path: Path, base_model: str | None) -> bytes | None:
    """What the hub is told; None where that is what the file says."""
    text = path.read_text(encoding="utf-8")
    wanted = text
    if path.name == CONFIG and base_model:
        wanted = json.dumps({**json.loads(text), "base_model_name_or_path": base_model}, indent=2) + "\n"
    wanted = without_places(wanted)
    return wanted.encode() if wanted != text else None


def _manifest(known: Mapping[str, Any], names: set[str], changed: Mapping[str, bytes]) -> bytes:
    """That of the parcel: no file that does not go, the checksums of what the hub gets."""
    outputs = {name: one for name, one in known["outputs"].items() if name in names}
    for name, content in changed.items():
        outputs[name] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    return without_places(json.dumps({**known, "outputs": outputs}, indent=2) + "\n").encode()


def without_places(text: str) -> str:
    """``text`` with paths of this machine cut short: relative to the checkout, or the last name alone."""
    return _PATH.sub(lambda found: found[1] or "folder", text.replace(f"{ROOT}/", ""))
