"""Decoding rules as a logits processor of vLLM (V1, class-based). Only the serve environment imports this module.

A server takes the class by name, ``--logits-processors inference.answering.vllm_rules:VllmRules``, and a request's
rule as ``vllm_xargs: {"recipe_rule": JSON}``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from vllm.v1.sample.logits_processor import AdapterLogitsProcessor

from inference.answering.decoding import Rule, rule_from_json
from inference.answering.engines.settings import RULE_ARGUMENT
from inference.answering.processors import ruled


class VllmRules(AdapterLogitsProcessor):  # type: ignore[misc,unused-ignore]
    """Each request's rule, from ``SamplingParams.extra_args``; requests without one are left alone."""

    @classmethod
    def validate_params(cls, sampling_params: Any) -> None:
        """Refuses a request whose rule is none, before it is queued."""
        _rule_of(sampling_params)

    def is_argmax_invariant(self) -> bool:
        return False

    def new_req_logits_processor(self, params: Any) -> Callable[[list[int], torch.Tensor], torch.Tensor] | None:
        rule = _rule_of(params)
        if rule is None or rule.is_free:
            return None
        return lambda written, logits: ruled(rule, written, logits)


def _rule_of(params: Any) -> Rule | None:
    text = (params.extra_args or {}).get(RULE_ARGUMENT)
    if text is None:
        return None
    try:
        return rule_from_json(text)
    except ValueError as error:
        raise ValueError(f"{RULE_ARGUMENT} is no decoding rule: {error}") from error
