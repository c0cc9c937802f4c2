"""The export to 4 bit: checks first, then a backend in its environment, measures, a gate; whole or not at all.

A model that fails the gate is not kept; its report and the backend's log are, in ``<out>.rejected``.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from postprocess.awq import gate
from postprocess.awq.calibration import Texts, choose
from postprocess.awq.gemm import BITS, IN_ONE
from spine import child_job, manifest
from spine.atomic import require_free, whole_folder
from spine.chat import ChatTokenizer
from spine.checkpoint import INDEX, Checkpoint, copy_companions, open_checkpoint
from spine.child_job import OnProgress
from spine.code import code_of
from spine.environments import python
from spine.errors import RecipeError
from spine.manifest import Step
from spine.paths import ROOT, shown
from spine.stamp import stamp

NAME, QUALITY, LOG = "awq", "quality.json", "awq.log"
ENVIRONMENTS = {"gptqmodel": "quantize", "autoawq": "autoawq"}  # backend -> the environment that runs it
FORMATS = ("awq", "gptq")
GROUPS = (128, 64, 32)  # for which vLLM has kernels
ARCHITECTURES = ("LlamaForCausalLM", "Qwen2ForCausalLM")
# Of the model's size, on the disk: gptqmodel keeps a copy of the unquantised layers; AutoAWQ holds the model in memory.
SCRATCH = {"gptqmodel": 1.5, "autoawq": 0.5}
_WAYS_OUT = {
    "out of memory": "fewer or shorter texts (--max-tokens), or a GPU with more memory",
    "No space left on device": "free some space and run the same command again; nothing half-written was kept",
}


@dataclass(frozen=True)
class ExportJob:
    """What is exported, how, and to where.

    Attributes:
        texts: the files that texts are chosen from, by their names in ``calibration.choose``.
        max_tokens: longer texts are left out.
    """

    model: Path
    out: Path
    backend: str
    format: str
    group: int
    texts: Mapping[str, Path]
    max_tokens: int = 512


def check(job: ExportJob) -> Checkpoint:
    """The model's headers; refuses, before anything is loaded, what cannot be exported.

    Raises:
        RecipeError: an unknown architecture, a group size that does not fit, a folder that is in use, a full disk,
            an environment that is not installed.
    """
    model = open_checkpoint(job.model)
    _check_model(model, job)
    _check_group(model, job.group)
    _check_out(job)
    require_environments(job.backend)
    require_free(job.out.parent, model.nbytes * SCRATCH[job.backend], "the export")
    return model


def require_environments(backend: str) -> None:
    """
    Raises:
        RecipeError: an environment that the export needs is not installed.
    """
    for environment in {ENVIRONMENTS[backend], ENVIRONMENTS["gptqmodel"]}:  # which measures
        python(environment)


def step(job: ExportJob) -> Step:
    """The step that fills ``job.out``; everything the result depends on is among its inputs."""
    inputs = {
        "model": stamp(job.model),
        "backend": job.backend,
        "format": job.format,
        "group": job.group,
        "max_tokens": job.max_tokens,
        "texts": {name: stamp(path) for name, path in job.texts.items()},
        "environment": stamp(ROOT / "requirements" / f"{ENVIRONMENTS[job.backend]}.txt"),
        "code": code_of(__name__, _backend(job)),
    }
    return Step(job.out, NAME, inputs)


def export(job: ExportJob, on_progress: OnProgress) -> dict[str, Any]:
    """Quantises and measures; returns the report that also lies in the folder as ``quality.json``.

    Raises:
        RecipeError: ``check`` refuses, the texts will not do, a backend failed, or the result did not pass the gate.
    """
    model, done = check(job), step(job)
    texts = choose(ChatTokenizer.load(str(job.model)), job.max_tokens, **job.texts)
    with whole_folder(job.out) as folder:
        scratch = folder / "scratch"
        try:
            made = _quantised(job, texts, folder, scratch, on_progress)
            _complete(model, job, made, folder, scratch)
            report = _measured(job, texts, made, folder, scratch, on_progress)
            if report["faults"]:
                raise RecipeError(
                    "the export did not pass: " + "; ".join(report["faults"]),
                    where=shown(_rejected(job.out) / QUALITY),
                    way_out="more calibration texts (--calibration), a smaller --group, or another --backend",
                )
        except RecipeError as error:
            _keep_report(folder, job.out)
            where = error.where and error.where.replace(folder.name, _rejected(job.out).name)
            raise RecipeError(error.what, where=where, way_out=error.way_out) from error
        shutil.rmtree(scratch)
        shutil.rmtree(_rejected(job.out), ignore_errors=True)
        outputs = sorted(path.name for path in folder.iterdir() if path.name != LOG)
        done.finish(outputs, written_in=folder, calibration=texts.used, **made)
    return report


def _backend(job: ExportJob) -> str:
    return f"postprocess.awq.backends.{job.backend}"


def read_report(folder: Path) -> dict[str, Any]:
    """``quality.json`` of a finished export."""
    found: dict[str, Any] = json.loads((folder / QUALITY).read_text(encoding="utf-8"))
    return found


def _check_model(model: Checkpoint, job: ExportJob) -> None:
    where = shown(job.model / "config.json")
    if model.config.get("quantization_config"):
        raise RecipeError("the model is quantised already", where=where)
    architecture = (model.config.get("architectures") or ["none"])[0]
    if architecture not in ARCHITECTURES:
        raise RecipeError(f"{architecture} is not known here; known: {', '.join(ARCHITECTURES)}", where=where)
    if job.backend == "autoawq" and job.format != "awq":
        raise RecipeError(f"AutoAWQ does not write {job.format}", way_out="--backend gptqmodel")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        if not (job.model / name).is_file():
            raise RecipeError(f"the model folder has no {name}", where=shown(job.model))


def _check_group(model: Checkpoint, group: int) -> None:
    """Groups must divide what each linear layer reads; packing needs multiples of 8 of what it puts out."""
    config = model.config
    heads = config["num_attention_heads"]
    head = config.get("head_dim") or config["hidden_size"] // heads
    read = {
        "hidden_size": config["hidden_size"],
        "num_attention_heads x head_dim": heads * head,
        "intermediate_size": config["intermediate_size"],
    }
    where = shown(model.folder / "config.json")
    put_out = config.get("num_key_value_heads", heads) * head
    if put_out % IN_ONE:
        raise RecipeError(f"{put_out} outputs of k_proj are no multiple of {IN_ONE}", where=where)
    if bad := [f"{name} {size}" for name, size in read.items() if size % group]:
        fitting = [str(size) for size in GROUPS if not any(features % size for features in read.values())]
        way_out = f"--group {' or '.join(fitting)}" if fitting else f"none of {', '.join(map(str, GROUPS))} does"
        raise RecipeError(f"groups of {group} do not divide {', '.join(bad)}", where=where, way_out=way_out)


def _check_out(job: ExportJob) -> None:
    if job.out.resolve() == job.model.resolve() or job.model.resolve().is_relative_to(job.out.resolve()):
        raise RecipeError("the export would replace the model it is made from", where=shown(job.out))
    manifest.refuse_foreign(job.out, NAME)


def _quantised(job: ExportJob, texts: Texts, folder: Path, scratch: Path, on_progress: OnProgress) -> dict[str, Any]:
    """Runs the backend; what it wrote lies in ``scratch/model``."""
    wanted = {
        "model": job.model, "out": scratch / "model", "texts": texts.calibration,
        "group": job.group, "format": job.format, "max_tokens": job.max_tokens,
    }  # fmt: skip
    made = _run(ENVIRONMENTS[job.backend], _backend(job), wanted, folder, scratch, on_progress)
    if made["used"] != len(texts.calibration):
        raise RecipeError(f"{job.backend} used {made['used']} of {len(texts.calibration)} calibration texts")
    return {"backend": job.backend, **made}


def _run(
    environment: str, module: str, job: Mapping[str, Any], folder: Path, scratch: Path, on_progress: OnProgress
) -> dict[str, Any]:
    made: dict[str, Any] = child_job.run(
        environment, module, job, on_progress, log=folder / LOG, scratch=scratch / "tmp", ways_out=_WAYS_OUT
    )
    return made


def _complete(model: Checkpoint, job: ExportJob, made: Mapping[str, Any], folder: Path, scratch: Path) -> None:
    """Takes the backend's weights; config, tokenizer, templates and cards are the original's."""
    written = scratch / "model"
    for path in [*written.glob("*.safetensors"), *written.glob(INDEX)]:
        path.rename(folder / path.name)
    copy_companions(job.model, folder)
    config = {key: value for key, value in model.config.items() if key not in ("dtype", "torch_dtype")}
    name = "dtype" if "dtype" in model.config else "torch_dtype"
    stated = json.loads((written / "config.json").read_text(encoding="utf-8"))["quantization_config"]
    config |= {name: made["dtype"], "quantization_config": quantization_config(job, stated)}
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def quantization_config(job: ExportJob, stated: Mapping[str, Any]) -> dict[str, Any]:
    """What vLLM and transformers must be told; of what the backend ``stated``, only what describes the tensors."""
    if job.format == "awq":
        form = {"zero_point": True, "version": "gemm", "modules_to_not_convert": None}
    else:
        form = {key: stated[key] for key in ("desc_act", "sym", "checkpoint_format", "lm_head") if key in stated}
    return {"quant_method": job.format, "bits": BITS, "group_size": job.group, **form}


def _measured(
    job: ExportJob, texts: Texts, made: Mapping[str, Any], folder: Path, scratch: Path, on_progress: OnProgress
) -> dict[str, Any]:
    wanted = {"model": job.model, "export": folder, "texts": texts.held_out, "group": job.group}
    found = _run(ENVIRONMENTS["gptqmodel"], "postprocess.awq.quality", wanted, folder, scratch, on_progress)
    how = {"backend": made["backend"], "version": made["version"], "converted": made["converted"]}
    how |= {"format": job.format, "bits": BITS}
    report = {"faults": gate.faults(found), **how, "group": job.group, "calibration": texts.used, **found}
    (folder / QUALITY).write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return report


def _rejected(out: Path) -> Path:
    return out.with_name(f"{out.name}.rejected")


def _keep_report(folder: Path, out: Path) -> None:
    kept = [folder / name for name in (QUALITY, LOG) if (folder / name).is_file()]
    if kept:
        shutil.rmtree(_rejected(out), ignore_errors=True)
        _rejected(out).mkdir()
        for path in kept:
            path.rename(_rejected(out) / path.name)
