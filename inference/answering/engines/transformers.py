"""The engine `transformers`: batches of similar length through ``generate``, on a CPU or a GPU.

Only the serve environment imports this module.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, logging

from inference.answering.decoding import Rule
from inference.answering.engines.requests import Request, finished
from inference.answering.engines.settings import dtype_on_cpu
from inference.answering.processors import TransformersRules
from spine.chat import ChatTokenizer
from spine.mixture import Mixture

# Rows of one batch times its longest sequence, prompt and answer: memory and waste are bounded by this.
_TOKENS = 8_192
_ROWS = 32


class TransformersEngine:
    """A model with adapters, whose shares can be changed between runs (``mix``)."""

    def __init__(self, model: Path, chat: ChatTokenizer, adapters: Mixture, dtype: str = "auto") -> None:
        self.on_step: Callable[[int], None] = lambda tokens: None
        self._written = 0
        logging.disable_progress_bar()
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        dtype = dtype if self.device == "cuda" else dtype_on_cpu(dtype)
        loaded: Any = AutoModelForCausalLM.from_pretrained(model, dtype=dtype, local_files_only=True)
        self._own_scaling: dict[Any, dict[str, float]] = {}
        self._base_weights: dict[Any, torch.Tensor] = {}  # on a CPU, where they are overwritten
        if names := {part.folder: f"part{number}" for number, part in enumerate(adapters.parts)}:
            from peft import PeftModel

            (first, name), *others = names.items()
            loaded = PeftModel.from_pretrained(loaded, first, adapter_name=name)
            for folder, name in others:
                loaded.load_adapter(folder, name)
            loaded.base_model.set_adapter([*names.values()])
            layers = [module for module in loaded.modules() if hasattr(module, "lora_A")]
            self._own_scaling = {layer: dict(layer.scaling) for layer in layers}
            if self.device == "cpu":
                self._base_weights = {layer: layer.get_base_layer().weight.data.clone() for layer in layers}
        self.model = loaded.to(self.device).eval()
        self.chat, self._names = chat, names
        self.mix(adapters)

    def mix(self, mixture: Mixture) -> None:
        """Sets the shares: LoRA's own scales times these.

        On a CPU the sum is made in the weights, in fp32 and rounded once, as a merge does it. Beside them LoRA takes as
        long as everything else: 37 questions took SmolLM2-135M 47 s on one thread, 22 s so.
        """
        shares = {name: mixture.shares.get(folder, 0.0) for folder, name in self._names.items()}
        for layer, own in self._own_scaling.items():
            layer.scaling.update({name: scaling * shares[name] for name, scaling in own.items()})
        for layer, weight in self._base_weights.items():
            result = weight.float()
            for name in (name for name in self._own_scaling[layer] if shares[name]):
                result = result + layer.get_delta_weight(name).float()
            layer.get_base_layer().weight.data = result.to(weight.dtype)
            layer.merged_adapters = [*self._names.values()]  # PEFT then adds nothing

    def generate(self, requests: Sequence[Request]) -> Iterator[tuple[int, str]]:
        """Yields (index, answer), batch by batch, the longest first: what does not fit in memory fails at once."""
        return answers(self.model, self.chat, requests, self._told)

    def _told(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """A processor that changes nothing. input_ids: (rows, tokens)."""
        self._written += len(input_ids)
        self.on_step(self._written)
        return scores


def answers(
    model: Any, chat: ChatTokenizer, requests: Sequence[Request], told: Callable[[torch.Tensor, torch.Tensor], Any]
) -> Iterator[tuple[int, str]]:
    """Yields (index, answer) of a loaded ``model``, see ``TransformersEngine.generate``.

    Args:
        told: a logits processor behind our rules.
    """
    for batch in batches(requests):
        longest = max(len(request.tokens) for request in batch)
        pad = batch[0].rule.end[0]  # masked out, whatever it is
        rows = [[pad] * (longest - len(request.tokens)) + list(request.tokens) for request in batch]
        mask = [[0] * (longest - len(r.tokens)) + [1] * len(r.tokens) for r in batch]
        rules = [request.rule for request in batch]
        written = model.generate(
            input_ids=torch.tensor(rows, device=model.device),
            attention_mask=torch.tensor(mask, device=model.device),
            max_new_tokens=max(rule.max_new_tokens for rule in rules),
            do_sample=False, temperature=None, top_p=None, top_k=None, use_cache=True,
            eos_token_id=list(rules[0].end), pad_token_id=pad,
            logits_processor=[TransformersRules(rules, longest), told],
        )  # fmt: skip
        for request, ids in zip(batch, written[:, longest:].tolist(), strict=True):
            yield request.index, finished(chat.tokenizer.decode(_answer_of(ids, request.rule)), request.rule)


def batches(requests: Sequence[Request]) -> Iterator[list[Request]]:
    """Requests of like kind and length together: a batch takes as long as its longest prompt and answer."""
    batch: list[Request] = []
    for request in sorted(requests, key=lambda r: (-r.rule.max_new_tokens, -len(r.tokens), r.index)):
        first = batch[0] if batch else request
        room = max(len(first.tokens), len(request.tokens)) + first.rule.max_new_tokens
        same = first.rule.max_new_tokens == request.rule.max_new_tokens
        if batch and (not same or len(batch) == _ROWS or room * (len(batch) + 1) > _TOKENS):
            yield batch
            batch = []
        batch.append(request)
    if batch:
        yield batch


def _answer_of(ids: Sequence[int], rule: Rule) -> list[int]:
    ids = ids[: rule.max_new_tokens]
    ends = [at for at, token in enumerate(ids) if token in rule.end]
    return list(ids[: ends[0]] if ends else ids)
