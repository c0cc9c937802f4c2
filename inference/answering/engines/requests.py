"""From questions to what an engine is given: the prompt as tokens, the decoding rule; truncation; sorting."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from inference.answering.decoding import Rule, cut
from inference.answering.questions import Question
from inference.answering.rules import Mode, Rules
from spine.chat import ChatTokenizer
from spine.mixture import Mixture
from spine.prompts import system_prompt


@dataclass(frozen=True, slots=True)
class Request:
    """One question as a model is asked it.

    Attributes:
        tokens: of the whole prompt, from the chat template's first on.
        system, prompt: the texts that the template was given.
        dropped: tokens of the question that were left out in its middle, because it was too long.
    """

    index: int
    tokens: tuple[int, ...]
    rule: Rule
    system: str = ""
    prompt: str = ""
    dropped: int = 0


class Engine(Protocol):
    """Answers requests in any order, as they are ready."""

    def generate(self, requests: Sequence[Request]) -> Iterator[tuple[int, str]]:
        """Yields (index of the request, answer)."""
        ...


@runtime_checkable
class Tells(Protocol):
    """An engine that tells each step, with how many tokens it has written in all. Those on Ray are elsewhere."""

    on_step: Callable[[int], None]


class LoadedEngine(Engine, Protocol):
    """A model with adapters, whose shares can be changed between runs."""

    def mix(self, mixture: Mixture) -> None:
        """Sets the shares of the following runs; an adapter that ``mixture`` lacks has none."""
        ...


def requests_of(questions: Sequence[Question], rules: Rules, mode: Mode, max_length: int) -> list[Request]:
    """A request for each question, in the questions' order.

    Args:
        max_length: tokens that prompt and answer may have together.
    """
    made = []
    for index, question in enumerate(questions):
        prompt = rules.chat.defuse(question.prompt)
        rule = rules.rule(mode, question.asked, prompt)
        made.append(request_of(index, rules.chat, system_prompt(question.asked.type), prompt, rule, max_length))
    return made


def request_of(index: int, chat: ChatTokenizer, system: str, prompt: str, rule: Rule, max_length: int) -> Request:
    """The request for one defused ``prompt``; without its middle where it is too long.

    It is shortened as text: whoever renders ``system`` and ``prompt`` anew, as a server does, gets the same tokens.
    """
    head, tail = chat.around(system)
    tokens = _encode(chat, head + prompt + tail)
    room = max_length - rule.max_new_tokens
    if len(tokens) <= room:
        return Request(index, tokens, rule, system, prompt)
    # Head and tail say what is asked, and lists stand at the end: the middle of the question goes.
    offsets = chat.tokenizer.encode(prompt, add_special_tokens=False).offsets
    kept, short = len(offsets), prompt
    while kept and len(tokens) > room:  # again where the seam takes more tokens than the whole did
        kept = max(0, kept - (len(tokens) - room))
        short = chat.defuse(_without_middle(prompt, offsets, kept)).strip()  # templates strip it, too
        tokens = _encode(chat, head + short + tail)
    return Request(index, tokens, rule, system, short, len(offsets) - kept)


def _without_middle(text: str, offsets: Sequence[tuple[int, int]], kept: int) -> str:
    """A third of the ``kept`` tokens of ``text`` from its beginning, two thirds from its end."""
    last = kept * 2 // 3
    begin = offsets[kept - last - 1][1] if kept > last else 0
    end = offsets[-last][0] if last else len(text)
    return text[:begin] + text[max(begin, end) :]


def _encode(chat: ChatTokenizer, text: str) -> tuple[int, ...]:
    return tuple(chat.tokenizer.encode(text, add_special_tokens=False).ids)


def finished(text: str, rule: Rule) -> str:
    """An engine's text as the answer that is scored."""
    return cut(text.strip(), rule.words)
