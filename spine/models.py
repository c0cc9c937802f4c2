"""Small files of a model, from a folder on this disk or by a name on the Hugging Face hub."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from spine.errors import RecipeError
from spine.paths import ROOT, shown


def is_local(base_model: str) -> bool:
    """Whether ``base_model`` is a folder (absolute, or relative to the checkout) and not a name on the hub."""
    return (ROOT / base_model).is_dir()


def model_files(base_model: str, required: Sequence[str], optional: Sequence[str] = ()) -> dict[str, Path]:
    """Paths of a model's files by name; weights are never fetched here.

    Raises:
        RecipeError: a required file is missing from the folder, or not to be had from the hub.
    """
    if is_local(base_model):
        folder = ROOT / base_model
        for name in required:
            if not (folder / name).is_file():
                raise RecipeError(f"the model folder has no {name}", where=shown(folder))
        return {name: folder / name for name in [*required, *optional] if (folder / name).is_file()}
    if base_model.startswith(("/", ".", "models/")):
        raise RecipeError("no such model folder", where=base_model, way_out='SET="base_model=/path/to/model"')
    return {**_from_hub(base_model, required), **_from_hub(base_model, optional, may_miss=True)}


def _from_hub(name: str, files: Sequence[str], may_miss: bool = False) -> dict[str, Path]:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    found: dict[str, Path] = {}
    for file in files:
        try:
            found[file] = Path(hf_hub_download(name, file))
        except (EntryNotFoundError, LocalEntryNotFoundError, OSError, ValueError) as error:
            if may_miss:
                continue
            raise RecipeError(
                f"cannot get {file} of '{name}' from the Hugging Face hub: {type(error).__name__}",
                way_out='for a model on this disk: SET="base_model=/path/to/folder"; for a gated one: hf auth login',
            ) from error
    return found


def local_folder(base_model: str) -> Path:
    """The folder of a model's weights on this disk: a folder, or what the hub's cache holds of a name.

    Raises:
        RecipeError: neither; weights are never fetched without being asked for.
    """
    if is_local(base_model) or Path(base_model).is_dir():
        return (ROOT / base_model) if is_local(base_model) else Path(base_model).absolute()
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(base_model, local_files_only=True, allow_patterns=["*.safetensors", "*.json"]))
    except (HFValidationError, LocalEntryNotFoundError) as error:
        raise RecipeError(
            "is no folder, and the hub's cache on this disk does not hold it",
            where=base_model,
            way_out=f"hf download {base_model}, or give the path of a folder",
        ) from error
