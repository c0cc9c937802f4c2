"""Template + profile + blend + SET -> one axolotl YAML, in which every changed key says who changed it.

Layers, last word wins: ``recipe.yaml.j2``, the profile's ``axolotl:``, the blend's ``axolotl:``, SET.
Setting a key to null removes it. On another number of GPUs than the profile's its rows a step are split anew.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from ruamel.yaml.comments import CommentedMap

from axolotl_configs.blend import Portion, ResolvedBlend, resolve_blend, scaled
from axolotl_configs.check import check_combinations, check_keys, known_keys
from axolotl_configs.costs.estimate import rows_a_step, step_in_words
from axolotl_configs.rounds import OF_ROUNDS, Start, mixture_of, start_of
from axolotl_configs.schema import Hardware, Profile, load, load_profile
from spine.errors import RecipeError, did_you_mean
from spine.hardware import bf16_on_cpu
from spine.mixture import Mixture
from spine.paths import CONFIGS, shown
from spine.prompts import render
from spine.runs import Run
from spine.yamlfile import YamlFile, dump, parse, parse_scalar, plain

TEMPLATE = "recipe.yaml.j2"
ASKING_PLUGIN = "inference.while_training.ScoredPlugin"  # of runs with eval_questions
# What SET may change besides axolotl's keys: the profile's own fields, the blend's seed, where a second round starts.
_SECTIONS = {"hardware", "quantize", "answer", "questions", "reproduce", "axolotl", "second_round_axolotl"}
_OURS = set(Profile.model_fields) - _SECTIONS - {"why", "include"}


@dataclass(frozen=True)
class Resolved:
    """All that decides a run, before anything has run.

    Attributes:
        profile: as its files and SET say, but ``hardware.gpus`` is the number that the run takes.
        blend: as its files say, at full size.
        portions: the blend's datasets with the rows this profile takes.
        start: where a second round starts; None: at the base.
        processes: of the training, one a GPU, or on CPUs.
        axolotl: the settings, plain.
        lasting: the same on the profile's own number of GPUs, or on a CPU that has bf16: what a run is known by, which
            goes on on more or fewer, or on another CPU.
        yaml: the same as text, with comments.
        changed: for every key that is not the template's, the ``file:line`` that set it.
    """

    run: Run
    profile: Profile
    blend: ResolvedBlend
    portions: tuple[Portion, ...]
    seed: int
    processes: int
    axolotl: dict[str, Any]
    lasting: dict[str, Any]
    yaml: str
    changed: dict[str, str]
    start: Start | None

    def mixture(self, alpha: float, trained: Mixture | None = None) -> Mixture:
        """The run's model at a wise-ft weight, as a sum of adapters upon the base; whether they are trained or not.

        Args:
            trained: instead of the training's last state.
        """
        return mixture_of(trained or Mixture.of(self.run.train, name=self.run.blend), self.start, alpha)


def parse_set(text: str) -> dict[str, Any]:
    """``"learning_rate=1e-4 lora_r=32"`` as typed values; names are checked against axolotl's and ours.

    Raises:
        RecipeError: not of the form key=value, a key twice, or a key nobody knows.
    """
    values: dict[str, Any] = {}
    known = known_keys() | _OURS | OF_ROUNDS | {"seed"}
    for item in split_set(text):
        key, equals, value = item.partition("=")
        if not equals or not key:
            raise RecipeError(f"'{item}' is not key=value", where="SET", way_out='SET="learning_rate=1e-4 lora_r=32"')
        if key in values:
            raise RecipeError(f"'{key}' is given twice", where="SET")
        if key not in known:
            raise RecipeError(f"unknown key '{key}'", where="SET", way_out=did_you_mean(key, known))
        values[key] = parse_scalar(value)
    return values


def split_set(text: str) -> list[str]:
    """The single ``key=value`` of SET, as a shell splits words.

    Raises:
        RecipeError: a quote that never closes.
    """
    try:
        return shlex.split(text)
    except ValueError as error:
        raise RecipeError(f"{text!r}: {str(error).lower()}", where="SET", way_out='SET="learning_rate=1e-4"') from error


def resolve(
    blend_name: str,
    profile_name: str,
    overrides: Mapping[str, Any],
    known_datasets: Collection[str],
    there: int | None = None,
    *,
    any_cpu: bool = False,
) -> Resolved:
    """Everything from names to one checked axolotl YAML, in well under a second.

    Args:
        overrides: from ``parse_set``.
        known_datasets: the names the builders provide.
        there: GPUs, or processes that a launcher starts, if not as many as the profile says; of them are taken as many
            as divide the profile's rows a step.
        any_cpu: not for this CPU, which may be one that is slow in bf16.

    Raises:
        RecipeError: anything wrong in any of the files, with file, line and way out.
    """
    blend = resolve_blend(blend_name, known_datasets)
    profile, profile_file = load_profile(profile_name)
    profile = _with_overrides(profile, profile_file, overrides)
    run = Run.of(profile_name, blend_name, overrides)
    seed = overrides.get("seed", blend.seed)
    portions = scaled(blend.portions, _most_rows(profile, blend))
    start = start_of(blend.parent, run)
    layers = _layers(blend, profile, profile_file, overrides)
    document = _render(profile, run, start, seed)
    lines = dict(document.lc.data)
    changed = _overlay(document, layers)

    def where(key: str) -> str:
        template_line = lines.get(key, [0])[0] + 1
        return changed.get(key, f"{shown(CONFIGS / TEMPLATE)} (rendered line {template_line})")

    lasting = plain(document)
    check_keys(lasting, where, also_known=_OURS)
    check_combinations(lasting, profile.hardware.gpus, where)
    processes, here = max(1, profile.hardware.gpus), list[_Layer]()
    if there and there != processes:
        processes, layer = _split(lasting, profile.hardware, there)
        profile = _on(profile, processes)
        here.append(layer)
    asked = any("bf16" in layer.settings for layer in layers if layer.file is not profile_file)  # by a blend or by SET
    if lasting.get("bf16") and not (asked or profile.hardware.gpus or any_cpu or bf16_on_cpu()):
        here.append(_IN_FP32)
    if here:
        document = _render(profile, run, start, seed)  # anew: DeepSpeed is a matter of how many there are
        changed = _overlay(document, [*layers, *here])
    settings, text = plain(document), _text(document, changed)
    return Resolved(run, profile, blend, portions, seed, processes, settings, lasting, text, changed, start)


def _with_overrides(profile: Profile, file: YamlFile, overrides: Mapping[str, Any]) -> Profile:
    ours = {key: value for key, value in overrides.items() if key in _OURS}
    if "base_model" in ours and "embedded" not in ours:
        ours["embedded"] = False  # another model than the one the package holds
    if "rows" in ours:
        ours.setdefault("second_round_rows")  # what is typed holds for both rounds
    if not ours:
        return profile
    try:
        return load(Profile, file, {**file.data, **ours})
    except RecipeError as error:
        raise RecipeError(error.what, where="SET") from error


def _on(profile: Profile, processes: int) -> Profile:
    gpus = processes if profile.hardware.gpus else 0
    return profile.model_copy(update={"hardware": profile.hardware.model_copy(update={"gpus": gpus})})


def _most_rows(profile: Profile, blend: ResolvedBlend) -> int | None:
    limits = (profile.rows, profile.second_round_rows if blend.parent else None)
    return min((limit for limit in limits if limit), default=None)


def _render(profile: Profile, run: Run, start: Start | None, seed: int) -> CommentedMap:
    values = {
        "base_model": shown(start.folder) if start and start.how == "merged" else profile.base_model,
        "gpus": profile.hardware.gpus,
        "tracker": profile.tracker,
        "run_name": f"{run.profile}-{run.name}",
        "seed": seed,
        "train_file": shown(run.data / "train.parquet"),
        "val_file": shown(run.data / "val.parquet"),
        # Inside the data's own folder, which is replaced as a whole: axolotl keys this cache by path and config, not by
        # content, and would not notice other rows in a file of the same name.
        "prepared": shown(run.data / "prepared"),
        "output_dir": shown(run.train),
        "start": start,
        "start_folder": shown(start.folder) if start else None,
    }
    return parse(render(CONFIGS, TEMPLATE, values), CONFIGS / TEMPLATE)


@dataclass(frozen=True)
class _Layer:
    """Settings that override what came before, and where each of them is written: in a file, or in words."""

    settings: Mapping[str, Any]
    file: YamlFile | None = None
    words: str = "SET"
    section: str = "axolotl"

    def where(self, key: str) -> str:
        return self.file.where(self.section, key) if self.file else self.words


_IN_FP32 = _Layer({"bf16": False}, words="fp32: this CPU has no AVX-512, without which torch's bf16 is far slower")


def _split(settings: Mapping[str, Any], hardware: Hardware, there: int) -> tuple[int, _Layer]:
    """A profile's rows (or bins) a step over the most processes, ``there`` at most, that share them evenly.

    Each takes as many at once as the profile says, or fewer, and the rest one after another. A step sees the same
    rows on any number of GPUs: the learning rate stays right, and a run may go on on more or fewer.
    """
    made = max(1, hardware.gpus)
    rows = rows_a_step(settings, made)
    processes = max(count for count in range(1, there + 1) if rows % count == 0)
    each, micro = rows // processes, settings.get("micro_batch_size", 1)
    micro = max(size for size in range(1, micro + 1) if each % size == 0)
    wanted = {"micro_batch_size": micro, "gradient_accumulation_steps": each // micro}
    changed = {key: value for key, value in wanted.items() if settings.get(key, 1) != value}
    what = "GPUs" if hardware.gpus else "processes"
    words = f"{what}: {processes} instead of {made}, still {step_in_words(settings, made)} a step"
    return processes, _Layer(changed, words=words)


def _layers(
    blend: ResolvedBlend, profile: Profile, profile_file: YamlFile, overrides: Mapping[str, Any]
) -> list[_Layer]:
    from_blends = [_Layer(file.data.get("axolotl", {}), file) for file in reversed(blend.files)]
    from_set = {key: value for key, value in overrides.items() if key not in _OURS | OF_ROUNDS}
    from_profile = [_Layer(profile.axolotl, profile_file)]
    if blend.parent:
        from_profile.append(_Layer(profile.second_round_axolotl, profile_file, section="second_round_axolotl"))
    return [*from_profile, *from_blends, _Layer(from_set)]


def _overlay(document: CommentedMap, layers: list[_Layer]) -> dict[str, str]:
    """Applies the layers to the rendered template in place; returns who set what, by ``file:line``."""
    changed: dict[str, str] = {}
    for layer in layers:
        for key, value in layer.settings.items():
            changed[key] = layer.where(key)
            if value is None:
                document.pop(key, None)
            else:
                document[key] = value
    if document.get("eval_questions"):
        document["plugins"].insert(0, ASKING_PLUGIN)
    return changed


def _text(document: CommentedMap, changed: Mapping[str, str]) -> str:
    """The document as text; behind a changed key stands who changed it instead of the template's reason."""
    lines = dump(document).splitlines()
    for index, line in enumerate(lines):
        key = re.match(r"([A-Za-z_0-9]+):", line)
        if key and key[1] in changed:
            bare = re.sub(r"\s+#.*$", "", line)
            lines[index] = f"{bare}  # <- {changed[key[1]]}"
    return "\n".join(lines) + "\n"
