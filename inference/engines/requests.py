"""From questions to what an engine is given: the prompt as tokens, the decoding rule; truncation; sorting."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from inference.decoding import Rule, cut
from inference.questions import Question
from inference.rules import Mode, Rules
from recipe.chat import ChatTokenizer
from recipe.prompts import system_prompt


@dataclass(frozen=True, slots=True)
class Request:
    """One prompt in tokens. ``dropped``: tokens of the question left out in its middle, because it was too long."""

    index: int
    tokens: tuple[int, ...]
    rule: Rule
    dropped: int = 0


class Engine(Protocol):
    """Answers requests in any order, as they are ready."""

    def generate(self, requests: Sequence[Request]) -> Iterator[tuple[int, str]]:
        """Yields (index of the request, answer)."""
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
        head, tail = _around(rules.chat, system_prompt(question.asked.type), prompt)
        made.append(_request(index, rules.chat, (head, prompt, tail), rule, max_length))
    return made


def _around(chat: ChatTokenizer, system: str, prompt: str) -> tuple[str, str]:
    """What the chat template puts in front of the user's text, and behind it."""
    mark = "\u241f"  # a sign that no template changes; templates strip blanks
    messages = [{"role": "system", "content": system}, {"role": "user", "content": mark}]
    text = chat.template.render(messages=messages, add_generation_prompt=True, **chat.special)
    head, _, tail = text.partition(mark)
    return head, tail


def _request(index: int, chat: ChatTokenizer, text: tuple[str, str, str], rule: Rule, max_length: int) -> Request:
    tokens = _encode(chat, "".join(text))
    room = max_length - rule.max_new_tokens
    over = len(tokens) - room
    if over <= 0:
        return Request(index, tokens, rule)
    # Head and tail say what is asked, and lists stand at the end: the middle of the question goes.
    head, body, tail = (_encode(chat, part) for part in text)
    kept = max(0, room - len(head) - len(tail))
    begin = kept - kept * 2 // 3
    shortened = (*head, *body[:begin], *body[len(body) - (kept - begin) :], *tail)
    return Request(index, shortened, rule, len(body) - kept)


def _encode(chat: ChatTokenizer, text: str) -> tuple[int, ...]:
    return tuple(chat.tokenizer.encode(text, add_special_tokens=False).ids)


def finished(text: str, rule: Rule) -> str:
    """An engine's text as the answer that is scored."""
    return cut(text.strip(), rule.words)
