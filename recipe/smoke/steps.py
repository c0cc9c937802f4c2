"""The steps of a smoke: the user's own commands on little of everything, and what they have shown.

The settings are the profile's; only rows and steps are fewer. A pico model goes first: what is wrong with launcher,
JSON or kernels shows before a large model is fetched. The real one's rows are all padded to ``sequence_len``, so that
its memory is as full as it can become. Merging, quantising and answering see its first layers, in their real width.
"""

from __future__ import annotations

import json
import math
import shlex
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from axolotl_configs.costs.architecture import model_config
from axolotl_configs.costs.estimate import rows_a_step, step_in_words
from axolotl_configs.events import EVENTS, read_events
from axolotl_configs.render import Resolved, parse_set, split_set
from postprocess.awq.calibration import PAIRS
from postprocess.awq.export import read_report
from postprocess.slice import slice_adapter, slice_model
from recipe.smoke.child import Commands
from recipe.smoke.machine import disk_rate, gpu_rates, versions
from recipe.smoke.page import Result
from recipe.steps.asking import cpu_settings
from recipe.steps.data import ensure_model
from recipe.steps.merge import base_folder, profile_padding
from recipe.steps.result_names import adapter_name, model_name, results_folder
from recipe.steps.train import visible
from spine import manifest
from spine.atomic import free_gib, write_text
from spine.environments import python, variables
from spine.errors import RecipeError
from spine.hardware import this_machine
from spine.models import model_files
from spine.paths import CONFIGS, EMBEDDED
from spine.runs import Run
from spine.terminal import say

NAMES = ("machine", "plan", "pico", "real", "merge", "awq", "answers")
BLEND = "smoke"
_BLEND = """# recipe smoke: three datasets that are built in a second
why: three kinds of questions, to see whether everything works
datasets:
  category_attribute: {rows: 4000}
  query_entities: {rows: 4000}
  title_from_description: {rows: 4000}
"""
_QUESTIONS = 3  # held-out rows, one a dataset
_SHORT = 60  # tokens of a short row
_LAYERS = 2  # of the slice
_HEADS, _HIDDEN = 4, 128  # of the pico model: groups of 128 divide it, and 32 features a head are enough for any kernel
_GIB = 2**30


def settings(overrides: str, steps: int, rows: int, **more: str) -> str:
    """SET for a few steps: ours, and what the user has set over it; ``steps`` and ``more`` win over both."""
    ours = {"rows": rows, "val_rows": _QUESTIONS, "warmup_steps": 1, "eval_steps": 1000, "save_steps": 1000}
    theirs = dict(item.partition("=")[::2] for item in split_set(overrides))
    return shlex.join(f"{key}={value}" for key, value in {**ours, **theirs, "max_steps": steps, **more}.items())


def _most_in_a_bin(settings: Mapping[str, Any]) -> int:
    """Rows that go into one, at most: axolotl leaves out bins that fill no whole step."""
    return math.ceil(settings["sequence_len"] / _SHORT) if settings.get("sample_packing") else 1


class Steps:
    """Runs them; each returns what it has found.

    Attributes:
        folder: of the smoke; all that its commands write lies in ``work`` there.
        real: SET of the real model's training, ``pico``: of the pico model's.
    """

    def __init__(self, resolved: Resolved, overrides: str, folder: Path, commands: Commands) -> None:
        self.resolved, self.commands = resolved, commands
        self.name, self.profile = resolved.run.profile, resolved.profile
        self.folder, self.work = folder, folder / "work"
        # Calibrated on a third of them, AWQ of two layers came out worse than plain rounding.
        rows = max(PAIRS, 3 * rows_a_step(resolved.axolotl, resolved.processes) * _most_in_a_bin(resolved.axolotl))
        padded = {} if "pad_to_sequence_len" in parse_set(overrides) else {"pad_to_sequence_len": "true"}
        self.real = settings(overrides, 2, rows, **padded)
        self.pico = settings(overrides, 3, rows, base_model=str(self.work / "pico"))

    def all(self) -> dict[str, Callable[[], Result]]:
        """In their order."""
        steps = (self.machine, self.plan, self.pico_model, self.real_model, self.merge, self.awq, self.answers)
        return dict(zip(NAMES, steps, strict=True))

    def begin(self, *, anew: bool) -> None:
        """Writes the blend, beside a copy of the configs as they are; ``anew``: removes what an earlier smoke left."""
        if anew:
            shutil.rmtree(self.work, ignore_errors=True)
            shutil.rmtree(self.commands.logs, ignore_errors=True)
        self.commands.logs.mkdir(parents=True, exist_ok=True)
        configs = self.work / "configs"
        shutil.rmtree(configs, ignore_errors=True)
        shutil.copytree(CONFIGS, configs, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
        write_text(configs / "blends" / f"{BLEND}.yaml", _BLEND)

    def machine(self) -> Result:
        here, rate, processes = this_machine(), disk_rate(self.work), self.resolved.processes
        found = Result("machine", f"{here}; {free_gib(self.work):,.0f} GiB free, written at {rate / 1e9:.2f} GB/s")
        found.numbers = {"machine": str(here), "driver": here.driver, "cuda": here.cuda, "disk_gb_s": rate / 1e9}
        found.numbers |= {"free_gib": free_gib(self.work), "versions": versions()}
        if self.profile.hardware.gpus:
            rates = gpu_rates(self.commands, visible(here, self.resolved, ()), processes)
            found.numbers |= rates
            found.figure += f"; driver {here.driver}, CUDA {here.cuda}; {rates['copy']:,.0f} GB/s within a GPU"
            found.figure += f", {rates['all_reduce']:,.0f} between {processes}" if processes > 1 else ""
        return found

    def plan(self) -> Result:
        file = self.work / "plan.json"
        try:
            self._recipe("plan", "plan", self.real, "--json", str(file))
        finally:
            planned = self._planned()
        return Result(
            "plan", f"{planned['gib']:.1f} GiB, {planned['seconds_a_step']:.1f} s a step of the real model", planned
        )

    def _planned(self) -> dict[str, float]:
        """Of the real model's two steps; nothing where there is no plan."""
        file = self.work / "plan.json"
        if not file.exists():
            return {}
        found = json.loads(file.read_text(encoding="utf-8"))
        training = found["training"]
        seconds = training["computing"] + training["moving"]
        return {
            "gib": found["memory_bytes"] / _GIB,
            "seconds_a_step": seconds / training["steps"],
            "tokens_per_second": training["padded"] / seconds,
        }

    def pico_model(self) -> Result:
        kind, source = model_config(self.profile.base_model).get("model_type", "llama"), self._tokenizer()
        positions = max(2048, self.resolved.axolotl["sequence_len"])
        out = self.work / "pico"
        words = [str(word) for word in (source, out, kind, _HEADS, _HIDDEN, positions)]
        command = [str(python("train")), "-m", "recipe.smoke.pico", *words]
        self.commands.run("pico", command, variables("train", offline=True), shlex.join(["python", *command[1:]]))
        self._recipe("pico", "train", self.pico)
        numbers = self._trained(self.pico)
        return Result(
            "pico", f"{kind}, 3 steps: loss {numbers['first_loss']:.2f} -> {numbers['last_loss']:.2f}", numbers
        )

    def _tokenizer(self) -> Path:
        """A folder with the base model's tokenizer; without a hub, the embedded model."""
        if not self.profile.embedded:
            needed = ["config.json", "tokenizer.json", "tokenizer_config.json"]
            try:
                return model_files(self.profile.base_model, needed, ["chat_template.jinja"])["config.json"].parent
            except RecipeError as error:
                say(f"pico: with the embedded model's tokenizer ({error.what})")
        ensure_model()
        return EMBEDDED

    def real_model(self) -> Result:
        self._recipe("real", "train", self.real)
        numbers = self._trained(self.real)
        text = (
            f"2 steps of {step_in_words(self.resolved.axolotl, self.resolved.processes)} "
            f"of {self.resolved.axolotl['sequence_len']:,} tokens: {numbers['seconds_a_step']:.1f} s a step, "
            f"{numbers['tokens_per_second']:,.0f} tokens/s, {numbers['gib']:.1f} GiB"
        )
        return Result("real", text, numbers, self._planned())

    def _run(self, overrides: str) -> Path:
        """The folder of a training with these settings."""
        return self.work / "runs" / self.name / Run.of(self.name, BLEND, parse_set(overrides)).name

    def _trained(self, overrides: str) -> dict[str, float]:
        """From the events. Times are between the ends of the first and the last step: the first one also warms up."""
        folder = self._run(overrides) / "train"
        events = list(read_events(folder / EVENTS))
        steps = [event for event in events if "loss" in event]
        seconds, first, last = steps[-1]["time"] - steps[0]["time"], steps[0], steps[-1]
        most = max((event.get("memory/device_reserved (GiB)", 0.0) for event in events), default=0.0)
        if not self.profile.hardware.gpus:
            most = (manifest.read(folder) or {})["peak_memory_mib"] / 1024
        return {
            "seconds_a_step": seconds / (len(steps) - 1),
            "tokens_per_second": (last["tokens/total"] - first["tokens/total"]) / seconds,
            "gib": most,
            "first_loss": first["loss"],
            "last_loss": last["loss"],
        }

    def _slice(self) -> Path:
        """The real model's first layers."""
        out = self.work / "slice"
        if not out.is_dir():
            slice_model(base_folder(self.resolved), out, _LAYERS)
        return out

    def merge(self) -> Result:
        trained = self._run(self.real) / "train"
        if manifest.read(trained) is None:
            raise RecipeError("there is no adapter: the real model has not been trained")
        adapter, out = self.work / "slice-adapter", self.work / "slice-merged"
        base = self._slice()
        slice_adapter(trained, adapter, _LAYERS)
        words = ("--base", str(base), "--add", str(adapter), "--alpha", "1", "--out", str(out))
        self.commands.recipe("merge", "merge", *words)
        how_much = f"{_LAYERS} layers of the real width"
        if not self.profile.hardware.gpus:  # a GPU's model may be larger than what is left of the disk
            self._recipe("merge", "merge", self.real, "--alpha", "1")
            how_much = "the real model"
        said = self.commands.log("merge").read_text(encoding="utf-8").splitlines()
        written = next(line for line in reversed(said) if line.startswith("written "))
        return Result("merge", f"{how_much}: {written.split(maxsplit=1)[1]}")

    def awq(self) -> Result:
        merged, out = self.work / "slice-merged", self.work / "slice-awq"
        model = merged if manifest.read(merged) else self._slice()
        self._recipe("awq", "awq", self.real, "--model", str(model), "--out", str(out))
        report, padding = read_report(out), profile_padding(self.resolved)
        numbers = {"kl": report["export"]["kl"], "plain_rounding_kl": report["rtn"]["kl"]}
        text = f"{_LAYERS} layers: KL {numbers['kl']:.3f}, plain rounding {numbers['plain_rounding_kl']:.3f}"
        if padding.tp > 1:
            padded, tp, group = self.work / "slice-awq-padded", str(padding.tp), str(padding.group)
            self.commands.recipe("awq", "pad", "--model", str(out), "--out", str(padded), "--tp", tp, "--group", group)
            text += f"; padded for {tp} GPUs"
        return Result("awq", text, numbers)

    def answers(self) -> Result:
        """On GPUs the slice in 4 bit, as it would be served; a CPU would load vLLM for longer than it answers."""
        made = [self.work / f"slice-{name}" for name in ("awq-padded", "awq", "merged")]
        slices = [folder for folder in made if manifest.read(folder)] if self.profile.hardware.gpus else []
        trained = manifest.read(self._run(self.real) / "train") is not None
        if slices:
            words, target = ["--model", str(slices[0])], model_name(str(slices[0]))
        elif trained:
            words, target = ["--alpha", "1"], adapter_name(1)
        else:
            words, target = ["--model", "base"], "base"
        self._recipe("answers", "eval", self.real, *words)
        run = self._run(self.real)
        folder = results_folder(run, target, run / "data" / "val.parquet", mode=self.profile.answer.mode)
        answers = (folder / "predictions.jsonl").read_text(encoding="utf-8").splitlines()
        engine = (manifest.read(folder) or {})["inputs"]["answers"]["engine"][0]
        return Result("answers", f"{len(answers)} questions by {target} with {engine}", {"questions": len(answers)})

    def _recipe(self, step: str, command: str, overrides: str, *words: str) -> None:
        """A command about the smoke's blend."""
        # On a CPU that others use, more threads than idle cores are many times slower.
        threads = cpu_settings() if command == "train" and not self.profile.hardware.gpus else {}
        words = (command, BLEND, "-p", self.name, "--set", overrides, *words)
        self.commands.recipe(step, *words, defaults=threads)
