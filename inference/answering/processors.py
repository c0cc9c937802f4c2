"""Decoding rules on logits, and as a logits processor of transformers. Only the serve environment imports this."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from transformers import LogitsProcessor

from inference.answering.decoding import Rule


def ruled(rule: Rule, written: Sequence[int], logits: torch.Tensor) -> torch.Tensor:
    """Logits (vocabulary,) of the token that follows ``written``, as ``rule`` has them. Tokens that the model does not
    have are none: an error here is the end of a server."""
    step = rule.step(written)
    bias = {token: value for token, value in step.bias.items() if token < len(logits)}
    if bias:
        tokens = torch.tensor(list(bias), device=logits.device)
        values = torch.tensor(list(bias.values()), dtype=logits.dtype, device=logits.device)
        logits = logits.index_add(0, tokens, values)
    if allowed := sorted(token for token in step.allowed or () if token < len(logits)):
        tokens = torch.tensor(allowed, device=logits.device)
        only = torch.full_like(logits, float("-inf"))
        logits = only.index_copy(0, tokens, logits[tokens])
    return logits


class TransformersRules(LogitsProcessor):  # type: ignore[misc,unused-ignore]
    """For one batch of ``generate``: ``rules`` in the order of the batch, prompts padded to ``prompt_length``."""

    def __init__(self, rules: Sequence[Rule], prompt_length: int) -> None:
        self.rules, self.prompt_length = rules, prompt_length

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """``input_ids``: (batch, tokens so far); ``scores``: (batch, vocabulary)."""
        scores = scores.clone()
        for row, (rule, ids) in enumerate(zip(self.rules, input_ids[:, self.prompt_length :].tolist(), strict=True)):
            ended = any(token in rule.end for token in ids)
            if not rule.is_free and not ended:  # what follows an end is padding
                scores[row] = ruled(rule, ids, scores[row])
        return scores
