"""A loaded model that answers prompts as the contest asks them: a batch at a time, one flag beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from inference.answering.engines.requests import Engine, requests_of
from inference.answering.questions import unscored
from inference.answering.rules import Mode, Rules


@dataclass(frozen=True)
class Answerer:
    """``max_length``: tokens of prompt and answer together; a longer prompt loses its middle."""

    engine: Engine
    rules: Rules
    mode: Mode
    max_length: int

    def answer(self, prompts: Sequence[str], is_multiple_choice: bool | None) -> list[str]:
        """Answers in the prompts' order; nothing but the prompts and the flag is looked at."""
        questions = [unscored(prompt, is_multiple_choice) for prompt in prompts]
        requests = requests_of(questions, self.rules, self.mode, self.max_length)
        texts = dict(self.engine.generate(requests))
        return [texts[request.index] for request in requests]
