"""What the stages depend on besides one another, as JSON values. More than a stage reads is harmless, less is not."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from axolotl_configs import embedded
from axolotl_configs.blend import Portion
from axolotl_configs.render import Resolved
from spine.code import code_of
from spine.manifest import digest, file_digest
from spine.models import is_local
from spine.paths import CONFIGS, PROMPTS, ROOT, SYNTHESIS

_REPORTING = ROOT / "recipe" / "report"
_REQUIREMENTS = ROOT / "requirements"


class Code:
    """Digests of the code that makes things, each worked out once."""

    @cached_property
    def building(self) -> str:
        tasks = (ROOT / "dataset_builders" / "tasks").glob("*.py")
        words = PROMPTS.rglob("*.j2")
        return digest(code_of("recipe.steps.data", *tasks, *words))

    @cached_property
    def answering(self) -> str:
        return digest(code_of("inference.evaluate"))

    @cached_property
    def merging(self) -> str:
        return digest(code_of("postprocess.merge.write", "postprocess.awq.export"))


def of_model() -> dict[str, Any]:
    """Of the embedded model's folder."""
    return {"requirements/model.txt": file_digest(embedded.REQUIREMENTS), "code": code_of(embedded.__name__)}


def of_shop() -> dict[str, Any]:
    """Of the sample shop."""
    return {"the sample shop's code": code_of("dataset_builders.sample_shop")}


def of_rows(resolved: Resolved, code: Code, raw: Path | None, evaluation: tuple[Path, ...]) -> dict[str, Any]:
    """Of a blend's rows. ``raw``: None for the sample shop."""
    blend, profile = resolved.blend, resolved.profile
    datasets = {part.name: [part.rows, part.upsample, part.seed, _own(part)] for part in blend.portions}
    return {
        f"blend {blend.name}": {**datasets, "seed": resolved.seed},
        f"profile {resolved.run.profile}": {
            "rows": sum(part.rows for part in resolved.portions),
            "val_rows": profile.val_rows,
            "max_dropped": profile.max_dropped,
            **_of_pools(resolved),
        },
        **_of_files((*blend.decontaminate, *evaluation), code, raw),
    }


def of_questions(
    blends: Sequence[Resolved], code: Code, raw: Path | None, evaluation: tuple[Path, ...]
) -> dict[str, Any]:
    """Of the held-out questions: no blend's rows, seeds or weights, but the datasets there are."""
    profile = f"profile {blends[0].run.profile}"
    excluded = (path for resolved in blends for path in resolved.blend.decontaminate)
    return {
        "datasets": {part.name: _own(part) for resolved in blends for part in resolved.blend.portions},
        profile: _of_pools(min(blends, key=lambda resolved: resolved.axolotl["sequence_len"])),
        **_of_files((*dict.fromkeys(excluded), *evaluation), code, raw),
    }


def _own(part: Portion) -> str | None:
    """Of a file of the user's own."""
    return file_digest(part.path) if part.path else None


def _of_pools(resolved: Resolved) -> dict[str, Any]:
    profile = resolved.profile
    return {
        "base_model": profile.base_model,
        "sequence_len": resolved.axolotl["sequence_len"],
        "max_rejected": profile.max_rejected,
        "questions": profile.questions.model_dump(),
    }


def _of_files(evaluation: Sequence[Path], code: Code, raw: Path | None) -> dict[str, Any]:
    return {
        "questions kept out of training": [file_digest(path) for path in evaluation],
        "raw files": None if raw is None else _stamps(raw),
        "rows made by an LLM": _stamps(SYNTHESIS / "questions"),
        "code of the builders": code.building,
    }


def of_training(resolved: Resolved) -> dict[str, Any]:
    """Of an adapter, besides its rows and its parent."""
    return {
        f"settings of {resolved.blend.name}": resolved.axolotl,
        "requirements/train.txt": file_digest(_REQUIREMENTS / "train.txt"),
        "base model": of_base(resolved),
    }


def of_base(resolved: Resolved) -> Any:
    """The base model where no stage makes it: its files, or its name on the hub."""
    name = resolved.profile.base_model
    if resolved.profile.embedded or not is_local(name):
        return name
    return [stamp for stamp in _stamps(ROOT / name) if stamp[0].endswith((".safetensors", ".json"))]


def of_answers(resolved: Resolved, code: Code, questions: Path | None) -> dict[str, Any]:
    """Of an evaluation. ``questions``: the user's own file or folder, where no stage makes it."""
    return {
        "answer": resolved.profile.answer.model_dump(),
        "base model": of_base(resolved),
        "questions": None if questions is None else _contents(questions),
        "code of answering and scoring": code.answering,
    }


def of_merge(resolved: Resolved, code: Code) -> dict[str, Any]:
    """Of a merged model, besides its adapter."""
    return {"base model": of_base(resolved), "code of merging": code.merging}


def of_export(resolved: Resolved, code: Code) -> dict[str, Any]:
    """Of a 4-bit model, besides the merged one and the blend's rows."""
    chosen = resolved.profile.quantize
    file = "autoawq.txt" if chosen.backend == "autoawq" else "quantize.txt"
    return {
        "quantize": chosen.model_dump(),
        f"requirements/{file}": file_digest(_REQUIREMENTS / file),
        "code of the export": code.merging,
    }


def of_report(code: Code) -> dict[str, Any]:
    """Of the page, besides all that it tells of."""
    page = [file_digest(path) for path in sorted(_REPORTING.iterdir()) if path.is_file()]
    return {
        "code of the page": [*page, code.answering],
        "known/published.yaml": file_digest(CONFIGS / "known" / "published.yaml"),
    }


def _stamps(folder: Path) -> list[tuple[str, int, int]]:
    """Name, size and time of every file: a touched file runs a stage once more, which then looks at its content."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return [(str(path.relative_to(folder)), path.stat().st_size, path.stat().st_mtime_ns) for path in files]


def _contents(path: Path) -> list[tuple[str, str]]:
    files = sorted(found for found in path.rglob("*") if found.is_file()) if path.is_dir() else [path]
    return [(file.name, file_digest(file)) for file in files]
