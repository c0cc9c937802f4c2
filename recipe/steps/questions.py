"""The questions that the blends of a profile are judged by, ensured: see ``dataset_builders.held_out``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from axolotl_configs.render import Resolved
from dataset_builders.blend.choose import Limits
from dataset_builders.blend.mix import write_questions
from dataset_builders.pools.build import Pool
from dataset_builders.pools.cache import inputs_of
from recipe.steps.data import DataFrom, built_pools, ensure_model, ensure_raw, pools_of, raw_folder, wanted_rows
from spine.atomic import whole_folder
from spine.chat import ChatTokenizer, tokenizer_digest
from spine.code import code_of
from spine.errors import RecipeError
from spine.lock import locked
from spine.manifest import Step
from spine.paths import CACHE, ROOT, shown
from spine.terminal import say


def questions_step(blends: Sequence[Resolved], data: DataFrom, name: str = "") -> Step:
    """The step that fills the folder of questions that the blends of a profile are judged by.

    Args:
        name: of other questions than the profile's usual ones, and of their files.

    Raises:
        RecipeError: two blends call different files by the same name.
    """
    first = blends[0]
    pools = _asked(blends, raw_folder(data.folder), data)
    inputs = {
        **inputs_of(list(pools.values()), tokenizer_digest(first.profile.base_model)),
        "wanted": first.profile.questions.model_dump(),
        "sequence_len": _shortest(blends),
    }
    # Which are held out is no matter of a blend's rows and seed.
    inputs["datasets"] = {
        name: {key: asked[key] for key in ("path", "llm_rows", "max_rejected")}
        for name, asked in inputs["datasets"].items()
    }
    inputs["code"] |= code_of("dataset_builders.blend.mix")
    return Step(questions_folder(first, name), "questions", inputs)


def questions_folder(first: Resolved, name: str = "") -> Path:
    """Of the blends of which this is the first."""
    run = replace(first.run, blend=f"questions@{name}" if name else "questions")
    return run.folder


def ensure_questions(blends: Sequence[Resolved], data: DataFrom, name: str = "") -> Path:
    """The folder of questions that the blends of a profile are judged by, see ``dataset_builders.held_out``.

    Args:
        name: see ``questions_step``; a file is then called ``NAME-test.parquet``, after which its results are called.

    Raises:
        RecipeError: two blends call different files by the same name.
    """
    first = blends[0]
    raw = ensure_raw(data.folder)
    if first.profile.embedded:
        ensure_model(ROOT / first.profile.base_model)
    step = questions_step(blends, data, name)
    if step.is_done():
        say(f"questions: {shown(step.folder)} is up to date")
        return step.folder
    tokenizer = ChatTokenizer.load(first.profile.base_model)
    limits = Limits(_shortest(blends), first.profile.max_dropped)
    pools, counts = _asked(blends, raw, data), first.profile.questions.model_dump()
    with locked(CACHE, wait=True):
        folders = built_pools(list(pools.values()), tokenizer)
        with whole_folder(step.folder) as temporary:
            found = write_questions(folders, counts, limits, temporary)
            tracks = {pool.name: pool.task.track for pool in pools.values()}
            files = {f"{side}.parquet": f"{name}-{side}.parquet" if name else f"{side}.parquet" for side in found}
            for written, called in files.items():
                (temporary / written).rename(temporary / called)
            step.finish([*files.values()], written_in=temporary, datasets=found, tracks=tracks)
    return step.folder


def _shortest(blends: Sequence[Resolved]) -> int:
    return min(int(resolved.axolotl["sequence_len"]) for resolved in blends)


def _asked(blends: Sequence[Resolved], raw: Path, data: DataFrom) -> dict[str, Pool]:
    """The pools of all the blends' datasets but those that stand for no track."""
    found: dict[str, Pool] = {}
    for resolved in blends:
        for pool in pools_of(resolved, raw, wanted_rows(resolved), data):
            if found.setdefault(pool.name, pool).path != pool.path:
                raise RecipeError(
                    f"'{pool.name}' is another file in {resolved.blend.name}", way_out="rename one of them"
                )
    return {name: pool for name, pool in found.items() if pool.path or pool.task.track}
