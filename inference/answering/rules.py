"""Makes decoding rules for questions, in one model's tokens, in one of three modes.

``winners``: additive biases, as the winning team submitted them; ``exact``: an answer that the question allows, and
no other; ``free``: whatever the model says. Source of the winners' numbers: their code (KDD Cup 2024).
"""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property

from inference.answering.decoding import Choice, Piece, Rule, Spans
from spine.asked import Asked
from spine.chat import ChatTokenizer
from spine.errors import RecipeError
from spine.models import model_files
from spine.task_types import RETRIEVED, TaskType

_ADDED, _NONE, _PROMPT_TOKEN = 100.0, -100.0, 1.0
# SmolLM2-135M untrained, 60 NER questions of EC-Guide, micro F1 by boost: 0 .000, 2 .015, 5 .040, 8 .041, 12 .046. Of
# the answers to its 3,715 questions, 97% are phrases of what is taken for the text.
_SPAN_BOOST = 5.0
# Of a text, from its beginning; each word is tokenised twice and looked at before every token.
_SPAN_WORDS, _SPAN_LETTERS = 2_000, 20_000
_WORDS = 15
# New tokens at most. The winners' are for Qwen2's tokenizer, in which `20` is two tokens and an answer's end is one.
_WINNERS_TOKENS = {
    TaskType.MULTIPLE_CHOICE: 1,
    TaskType.RETRIEVAL: 8,
    TaskType.RANKING: 9,
    TaskType.NER: 15,
    TaskType.GENERATION: 50,
}
_FREE_TOKENS = {
    TaskType.MULTIPLE_CHOICE: 8,
    TaskType.RETRIEVAL: 24,
    TaskType.RANKING: 24,
    TaskType.NER: 32,
    TaskType.GENERATION: 96,
}
_WORD = re.compile(r"[^\s,;]+")
_QUOTES = re.compile(r"(?<!\w)['\"]|['\"](?!\w)")
_QUOTED = range(20, 5_001)  # letters of a text in quotes
_LABELLED = re.compile(r"^[ \t]*[\w()/]+(?: [\w()/]+){0,2} ?[:：][ \t]*(\S.*)$", re.MULTILINE)
_LETTER = re.compile(r"\w")
_AROUND = ".!?:'\"()[]{}"


class Mode(StrEnum):
    """How far an answer is bound."""

    WINNERS = "winners"
    EXACT = "exact"
    FREE = "free"


@dataclass
class Rules:
    """Rules in the tokens of ``chat``'s model. ``end``: the tokens with which it ends an answer."""

    chat: ChatTokenizer
    end: tuple[int, ...]
    _choices: dict[tuple[tuple[str, ...], int, int], Choice] = field(default_factory=dict)

    @classmethod
    def of(cls, model: str, chat: ChatTokenizer) -> Rules:
        """For a model's folder or name; its generation config may name further ends beside the turn's."""
        return cls(chat, end_tokens(model, chat))

    @cached_property
    def vocabulary(self) -> int:
        """How many tokens the tokenizer knows."""
        return max(self.chat.tokenizer.get_vocab().values()) + 1

    def rule(self, mode: Mode, asked: Asked, prompt: str) -> Rule:
        """How the question ``prompt``, which asks for ``asked``, may be answered."""
        kind = asked.type
        if mode is Mode.FREE:
            return Rule(_FREE_TOKENS[kind], self.end)
        if mode is Mode.WINNERS:
            words = _WORDS if kind is TaskType.GENERATION else None
            return Rule(_WINNERS_TOKENS[kind], self.end, tuple(self._biases(kind, prompt).items()), words=words)
        if kind is TaskType.GENERATION:
            return Rule(_FREE_TOKENS[kind], self.end)
        if kind is TaskType.NER:
            return Rule(_FREE_TOKENS[kind], self.end, spans=self._spans(prompt))
        items, least, most = _bounds(asked)
        if not items:  # it lets choose in a way that is not understood: any answer may be the right one
            return Rule(_FREE_TOKENS[kind], self.end)
        choice = self._choice(items, least, most)
        return Rule(choice.longest, self.end, choice=choice)

    def options(self, asked: Asked) -> dict[str, int]:
        """The first token of each option of multiple choice; none where two options begin with the same."""
        if asked.type is not TaskType.MULTIPLE_CHOICE:
            return {}
        items, least, most = _bounds(asked)
        if not items:
            return {}
        first = [piece[0] for piece in self._choice(items, least, most).first]
        return dict(zip(items, first, strict=True)) if len(set(first)) == len(first) else {}

    def _biases(self, kind: TaskType, prompt: str) -> dict[int, float]:
        bias = {token: _NONE for word in ("None", "none", " None", " none") for token in self._if_one(word)}
        if kind is TaskType.NER:
            favoured = {*self._ids(prompt), *self._ids(","), *self.end}
            return bias | dict.fromkeys(favoured, _PROMPT_TOKEN)
        if kind is TaskType.GENERATION:
            return bias
        highest = 20 if kind is TaskType.RETRIEVAL else 5
        texts = [str(number) for number in range(highest + 1)]
        if kind is not TaskType.MULTIPLE_CHOICE:
            texts.append(",")
        return bias | {token: _ADDED for text in texts for token in self._behind("", text)}

    def _choice(self, items: tuple[str, ...], least: int, most: int) -> Choice:
        key = (items, least, most)
        if key not in self._choices:
            later = tuple(self._behind(items[0], f",{item}") for item in items) if most > 1 else ()
            self._choices[key] = Choice(tuple(self._behind("", item) for item in items), later, least, most)
        return self._choices[key]

    def _spans(self, prompt: str) -> Spans:
        words = [word.strip(_AROUND) for word in _WORD.findall(_data(prompt)[:_SPAN_LETTERS])]
        words = [word for word in words if word][:_SPAN_WORDS]
        bare = tuple(self._behind("", word) for word in words)
        spaced = tuple(self._behind("a", f" {word}") for word in words)
        return Spans(bare, spaced, self._behind("a", ","), _SPAN_BOOST)

    def _behind(self, before: str, text: str) -> Piece:
        """The tokens of ``text`` where it stands in an answer behind ``before``; the answer begins a line.

        A tokenizer may join ``text`` with what is before it, or put a blank in front where it stands alone. Then it
        is taken with that, which every parser forgives.
        """
        context = self._ids(f"\n{before}")
        whole = self._ids(f"\n{before}{text}")
        piece = whole[len(context) :] if whole[: len(context)] == context else self._ids(text)
        if not piece or self.chat.tokenizer.decode(list(piece)).strip() != text.strip():
            raise RecipeError(f"this model's tokenizer cannot write {text!r} in an answer", way_out="take --mode free")
        return piece

    def _ids(self, text: str) -> Piece:
        return tuple(self.chat.tokenizer.encode(text, add_special_tokens=False).ids)

    def _if_one(self, text: str) -> Iterable[int]:
        """A word of several tokens shares them with others, so it is left alone."""
        piece = self._ids(text)
        return piece if len(piece) == 1 else ()


def _bounds(asked: Asked) -> tuple[tuple[str, ...], int, int]:
    """The items of an answer, and how many of them at least and at most; no items where none were found."""
    if asked.words:
        return asked.words, 1, 1
    items = tuple(str(number) for number in asked.listed)
    if asked.type is TaskType.RETRIEVAL and asked.wanted is None:
        return items, 1, min(RETRIEVED, len(items))
    most = min(asked.wanted or 1, len(items))
    return items, most, most


def _data(prompt: str) -> str:
    """The part of a prompt that phrases are to be copied from: what stands in quotes or behind a label."""
    found = [*_quoted(prompt), *_LABELLED.findall(prompt)]
    return "\n".join(found) or prompt


def _quoted(text: str) -> Iterator[str]:
    """From a quote that opens to the next of its kind that closes. As a pattern it would look for the end of each quote
    through all that may stand in it."""
    marks = [found.start() for found in _QUOTES.finditer(text)]
    ends = {kind: [at for at in marks if text[at] == kind and not _LETTER.match(text, at + 1)] for kind in "'\""}
    done = 0
    for begin in (at for at in marks if not (at and _LETTER.match(text, at - 1))):
        after = ends[text[begin]]
        at = bisect_left(after, begin + 1 + _QUOTED.start)
        if begin >= done and at < len(after) and after[at] - begin - 1 in _QUOTED:
            yield text[begin + 1 : after[at]]
            done = after[at] + 1


def end_tokens(model: str, chat: ChatTokenizer) -> tuple[int, ...]:
    """The end of a turn, and what ``generation_config.json`` names.

    Raises:
        RecipeError: the tokenizer does not know its own end.
    """
    turn = chat.tokenizer.token_to_id(chat.end)
    if turn is None:
        raise RecipeError(f"the tokenizer of {model} has no token for its end of turn {chat.end!r}")
    files = model_files(model, (), optional=("generation_config.json",))
    named: object = None
    if "generation_config.json" in files:
        named = json.loads(files["generation_config.json"].read_text(encoding="utf-8")).get("eos_token_id")
    further = named if isinstance(named, list) else [named]
    return tuple(dict.fromkeys([turn, *(token for token in further if isinstance(token, int))]))
