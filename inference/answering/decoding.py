"""How an answer may be written, token by token, as plain data: every engine follows the same rules.

A rule is asked before each token what it allows; it looks at the tokens so far and remembers nothing. It becomes JSON
and comes back, because vLLM runs it in another process. ``inference.answering.rules`` makes the rules.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from itertools import chain
from typing import Annotated

from pydantic import Field, TypeAdapter

Token = Annotated[int, Field(ge=0, lt=2**31)]
Piece = tuple[Token, ...]
Boost = Annotated[float, Field(ge=-1e4, le=1e4)]  # added to a logit
# A rule may come from outside. Pieces of which one can be read as several others have more ways to be read than there
# are atoms; those of our own rules have a few. Each way is compared with each item.
_COMPARED = 20_000
_PHRASE = 64  # tokens of a phrase that is looked for in a text
_LONGEST = 4 * 2**20  # letters of a rule as JSON
_SENTENCE_END = re.compile(r"(?<=[.!?])[\"')\]]*\s+|(?<=[。！？])|\n+")


@dataclass(frozen=True, slots=True)
class NextToken:
    """What holds for the next token: the ids that may follow (None: any), and what is added to logits."""

    allowed: frozenset[int] | None = None
    bias: Mapping[int, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Choice:
    """An answer made of distinct items of a list: one option, three numbers, a permutation.

    Attributes:
        first: the tokens of each item where it comes first.
        later: the tokens of each item behind another one, the separator included.
        least, most: how many items an answer has.
    """

    first: tuple[Piece, ...]
    later: tuple[Piece, ...]
    least: int
    most: int

    def allowed(self, written: Piece, end: frozenset[int]) -> frozenset[int]:
        """The tokens that may follow ``written``."""
        tokens: set[int] = set()
        ways: list[tuple[int, frozenset[int]]] = [(0, frozenset())]  # to read it: where one is, the items so far
        seen, compared = set(ways), 0
        while ways:
            at, used = ways.pop()
            compared += len(self.first)
            if at == len(written) and len(used) >= self.least:
                tokens |= end
            if len(used) == self.most:
                continue
            for item, piece in enumerate(self.later if used else self.first):
                if item in used:
                    continue
                rest = written[at : at + len(piece)]
                if len(rest) < len(piece):
                    if piece[: len(rest)] == rest:
                        tokens.add(piece[len(rest)])
                elif rest == piece and (way := (at + len(piece), used | {item})) not in seen and compared < _COMPARED:
                    seen.add(way)
                    ways.append(way)
        return frozenset(tokens)

    @property
    def longest(self) -> int:
        """Tokens of the longest answer, without an end."""
        later = sorted((len(piece) for piece in self.later), reverse=True)[: self.most - 1]
        return max((len(piece) for piece in self.first), default=1) + sum(later)


@dataclass(frozen=True, slots=True)
class Spans:
    """Phrases that stand in a text: the tokens that go on with one are favoured, others stay possible.

    Attributes:
        bare: the tokens of each word where nothing stands before it.
        spaced: the tokens of each word behind a blank.
        separator: the tokens of the comma between phrases.
        boost: is added to the logits of the tokens that go on with a phrase of the text, and of separator and end
            where a word of it ends.
    """

    bare: tuple[Piece, ...]
    spaced: tuple[Piece, ...]
    separator: Piece
    boost: Boost

    def favoured(self, written: Piece, end: frozenset[int]) -> dict[int, float]:
        phrase = self._phrase(written)
        tokens: set[int] = set()
        if len(phrase) > _PHRASE:
            return {}
        for start in range(len(self.bare)):
            for first in (self.bare[start], self.spaced[start]):
                tokens |= self._after(phrase, (first, *self.spaced[start + 1 : start + 2 + _PHRASE]), end)
        return dict.fromkeys(tokens, self.boost)

    def _phrase(self, written: Piece) -> Piece:
        for at in range(len(written) - 1, -1, -1):
            if written[at] in self.separator:
                return written[at + 1 :]
        return written

    def _after(self, phrase: Piece, words: Sequence[Piece], end: frozenset[int]) -> set[int]:
        """What follows ``phrase`` where it is a beginning of ``words``."""
        for word in words:
            if len(phrase) < len(word):
                return {word[len(phrase)]} if word[: len(phrase)] == phrase else set()
            if phrase[: len(word)] != word:
                return set()
            phrase = phrase[len(word) :]
            if not phrase:  # a word ends here: another may follow, another phrase, or nothing
                following = words[1:]
                return {*self.separator, *end, *(following[0][:1] if following else ())}
            words = words[1:]
        return set()


@dataclass(frozen=True, slots=True)
class Rule:
    """How one question may be answered.

    Attributes:
        max_new_tokens: the answer's length at most, the end included where there is room for it.
        end: the tokens that end an answer.
        bias: is added to logits at every step.
        choice, spans: see there.
        words: the answer is cut after the sentence in which it passes so many words (``cut``).
    """

    max_new_tokens: int
    end: Piece
    bias: tuple[tuple[Token, Boost], ...] = ()
    choice: Choice | None = None
    spans: Spans | None = None
    words: int | None = None

    def step(self, written: Sequence[int]) -> NextToken:
        """What may follow the tokens ``written`` so far."""
        end = frozenset(self.end)
        if self.choice:
            return NextToken(allowed=_allowed(self.choice, tuple(written), end) or end)
        if self.spans:
            bias = dict(self.bias)
            for token, boost in self.spans.favoured(tuple(written), end).items():
                bias[token] = bias.get(token, 0.0) + boost
            return NextToken(bias=bias)
        return NextToken(bias=dict(self.bias))

    @property
    def is_free(self) -> bool:
        """Whether every token may follow with its own probability."""
        return not (self.bias or self.choice or self.spans)

    def to_json(self) -> str:
        return _schema().dump_json(self).decode()


@lru_cache(maxsize=100_000)  # the same few states come up for every question of a task
def _allowed(choice: Choice, written: Piece, end: frozenset[int]) -> frozenset[int]:
    return choice.allowed(written, end)


def rule_from_json(text: object, vocabulary: int = 2**31) -> Rule:
    """The rule that ``to_json`` wrote, here or elsewhere.

    Args:
        vocabulary: how many tokens the model knows.

    Raises:
        ValueError: it is none, or one that no answer can follow.
    """
    if not isinstance(text, str) or len(text) > _LONGEST:
        raise ValueError(f"it wants a text of at most {_LONGEST:,} letters")
    rule = _schema().validate_json(text, strict=True)
    choice, spans = rule.choice, rule.spans
    if choice and not (0 <= choice.least <= choice.most <= len(choice.first) and choice.most > 0):
        raise ValueError("least and most do not fit the number of items")
    if choice and len(choice.later) not in ({len(choice.first)} if choice.most > 1 else {0, len(choice.first)}):
        raise ValueError("each item wants its tokens behind another one")
    if choice and not (all(choice.first) and all(choice.later) and len(set(choice.first)) == len(choice.first)):
        raise ValueError("an item without tokens, or two that are the same")
    if spans and len(spans.bare) != len(spans.spaced):
        raise ValueError("each word wants its tokens with and without a blank")
    if beyond := [token for token in _tokens(rule) if token >= vocabulary]:
        raise ValueError(f"the model has no token {beyond[0]}: it knows {vocabulary:,}")
    return rule


def _tokens(rule: Rule) -> Iterator[int]:
    yield from rule.end
    yield from (token for token, _ in rule.bias)
    choices, spans = rule.choice, rule.spans
    for pieces in (choices.first, choices.later) if choices else ():
        yield from chain.from_iterable(pieces)
    for pieces in (spans.bare, spans.spaced, (spans.separator,)) if spans else ():
        yield from chain.from_iterable(pieces)


@cache
def _schema() -> TypeAdapter[Rule]:
    return TypeAdapter(Rule)


def cut(text: str, words: int | None) -> str:
    """``text`` up to the end of the sentence in which it passes ``words`` words (the winners' rule, at 15)."""
    if words is None:
        return text
    count = start = 0
    for end in [*(sentence.end() for sentence in _SENTENCE_END.finditer(text)), len(text)]:
        count += len(text[start:end].split())
        if count > words:
            return text[:end].rstrip()
        start = end
    return text
