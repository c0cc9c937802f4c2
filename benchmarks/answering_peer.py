"""Answering as one writes it by hand, in the serve environment (see ``spine.child_job``)."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from inference.answering.answer import LONGEST
from inference.answering.engines.requests import Request, finished, requests_of
from inference.answering.questions import read_questions
from inference.answering.rules import Mode, Rules
from spine.chat import ChatTokenizer
from spine.child_job import Teller, serve

ASKED = 12  # questions of each dataset: one at a time, all of them would take seven minutes


def loop(model: str, requests: list[Request], chat: ChatTokenizer) -> list[str]:
    """``model.generate``, one question at a time, with the decoding rules."""
    import torch
    from transformers import AutoModelForCausalLM

    from inference.answering.processors import TransformersRules

    loaded: Any = AutoModelForCausalLM.from_pretrained(model, dtype="auto").eval()
    _ready()
    found = []
    for request in requests:
        tokens = torch.tensor([request.tokens])
        with torch.inference_mode():
            written = loaded.generate(
                input_ids=tokens, attention_mask=torch.ones_like(tokens), do_sample=False, temperature=None, top_p=None,
                top_k=None, max_new_tokens=request.rule.max_new_tokens, eos_token_id=list(request.rule.end),
                pad_token_id=request.rule.end[0],
                logits_processor=[TransformersRules([request.rule], len(request.tokens))],
            )  # fmt: skip
        own = [token for token in written[0, len(request.tokens) :].tolist() if token not in request.rule.end]
        found.append(finished(chat.tokenizer.decode(own), request.rule))
    return found


def vllm(model: str, requests: list[Request], chat: ChatTokenizer) -> list[str]:
    """``LLM.generate`` on all prompts, with vLLM's own defaults and no rules."""
    from vllm import LLM, SamplingParams

    llm = LLM(model=model, max_model_len=LONGEST)
    _ready()
    prompts: list[Any] = [{"prompt_token_ids": list(request.tokens)} for request in requests]
    parameters = [
        SamplingParams(temperature=0, max_tokens=request.rule.max_new_tokens, stop_token_ids=list(request.rule.end))
        for request in requests
    ]
    written = llm.generate(prompts, parameters, use_tqdm=False)
    return [finished(one.outputs[0].text, request.rule) for one, request in zip(written, requests, strict=True)]


def adapter(model: str, out: str) -> None:
    """A LoRA adapter with random factors, as large as the recipe's."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    shape = LoraConfig(r=64, lora_alpha=32, target_modules="all-linear", init_lora_weights=False)
    get_peft_model(AutoModelForCausalLM.from_pretrained(model), shape).save_pretrained(out)


_began = 0.0


def _ready() -> None:
    global _began
    _began = time.monotonic()


def work(job: Mapping[str, str], tell: Teller) -> tuple[float, list[str]] | None:
    """Seconds and answers to the prompts of ``recipe eval``; loading the model does not count."""
    if job["what"] == "adapter":
        return adapter(job["model"], job["out"])
    chat = ChatTokenizer.load(job["model"])
    mode = Mode.EXACT if job["what"] == "loop" else Mode.FREE
    questions = read_questions(Path(job["questions"]), limit=ASKED)
    requests = requests_of(questions, Rules.of(job["model"], chat), mode, LONGEST)
    answers = {"loop": loop, "vllm": vllm}[job["what"]](job["model"], requests, chat)
    return time.monotonic() - _began, answers


if __name__ == "__main__":
    serve(work)
