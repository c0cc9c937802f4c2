"""Chat requests of OpenAI's API that hold a question: what becomes of them, and of their answers. Plain data.

A request holds a question if its messages are a single one, the user's. Any other is left alone, unless it has the
field ``recipe`` (``extra_body={"recipe": {...}}`` in openai's client), which also steers; then a system message of its
own may stand before the user's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from inference.answering.decoding import Rule, rule_from_json
from inference.answering.engines.requests import finished, request_of
from inference.answering.engines.settings import RULE_ARGUMENT
from inference.answering.rules import Mode, Rules
from spine.asked import Asked, asked, asked_as
from spine.errors import RecipeError, did_you_mean
from spine.prompts import clean, system_prompt
from spine.task_types import TaskType

FIELD = "recipe"  # of a request, and of its answer
_TOKEN = "token_id:"  # how vLLM writes a token where `return_tokens_as_token_ids` is set
# What binds an answer token by token already: with one of these a question is asked freely.
_GRAMMARS = ("response_format", "structured_outputs", "guided_json", "guided_regex", "guided_choice", "guided_grammar",
             "tools")  # fmt: skip
Body = dict[str, Any]


class Steering(BaseModel):
    """The field ``recipe`` of a request.

    Attributes:
        is_multiple_choice: what the contest tells beside a prompt; None: guessed.
        task_type: instead of what the prompt would be taken for.
        mode: instead of the server's.
        probabilities: of the options, where the question is multiple choice.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    is_multiple_choice: bool | None = None
    task_type: TaskType | None = None
    mode: Mode | None = None
    probabilities: bool = False


@dataclass(frozen=True)
class Posed:
    """A question on its way to vLLM.

    Attributes:
        body: the request that vLLM gets.
        told: what is told beside the answer, as its field ``recipe``.
        options: the first token of each option, where probabilities are wanted.
    """

    body: Body
    rule: Rule
    told: Mapping[str, Any]
    options: Mapping[str, int]

    def answered(self, response: Body) -> Body:
        """vLLM's answer as it is sent on."""
        for choice in response["choices"]:
            if isinstance(text := choice["message"].get("content"), str):  # a call of a tool has none
                choice["message"]["content"] = finished(text, self.rule)
        return {**response, FIELD: {**self.told, **self._probabilities(response["choices"][0])}}

    def _probabilities(self, choice: Body) -> dict[str, Any]:
        """Of the options among themselves, before the rule; and of everything else that might have been written."""
        if not self.options:
            return {}
        first = (choice.pop("logprobs") or {}).get("content") or [{"top_logprobs": ()}]
        found = {int(one["token"].removeprefix(_TOKEN)): math.exp(one["logprob"]) for one in first[0]["top_logprobs"]}
        given = {option: found.get(token, 0.0) for option, token in self.options.items()}
        whole = sum(given.values())
        if not whole:
            return {}
        return {"probabilities": {key: value / whole for key, value in given.items()}, "outside": max(0.0, 1 - whole)}


@dataclass
class Stream:
    """An answer that comes in pieces: what is passed on of it adds up to the finished answer."""

    posed: Posed
    _texts: dict[int, str] = field(default_factory=dict)  # of each choice, as vLLM writes it
    _sent: dict[int, int] = field(default_factory=dict)  # letters

    def passed_on(self, piece: Body) -> Body:
        """One piece as it is sent on."""
        for choice in piece.get("choices") or ():
            if isinstance(choice["delta"].get("content"), str):
                choice["delta"]["content"] = self._new(choice["index"], choice["delta"]["content"])
        return {**piece, FIELD: self.posed.told}

    def _new(self, index: int, text: str) -> str:
        self._texts[index] = self._texts.get(index, "") + text
        whole = finished(self._texts[index], self.posed.rule)
        begin = self._sent.get(index, 0)
        self._sent[index] = max(begin, len(whole))
        return whole[begin:]


@dataclass(frozen=True)
class Questioning:
    """How a server asks. ``model``: what it takes where a request names none. ``max_length``: prompt and answer."""

    rules: Rules
    model: str
    mode: Mode
    max_length: int

    def posed(self, body: Body) -> Posed | None:
        """The question that ``body`` holds; None where it is no question.

        Raises:
            RecipeError: ``recipe`` steers with something that there is not.
        """
        texts = _texts(body.get("messages"))
        if texts is None and FIELD in body:
            raise RecipeError(f"'{FIELD}' wants one message of the user, with or without a system message, of text")
        if texts is None or (texts[0] is not None and FIELD not in body):
            return None
        return self._posed(body, *texts, _steering(body))

    def refuse_unsound_rule(self, body: Body) -> None:
        """Of a request that brings a decoding rule of its own.

        Raises:
            RecipeError: it is one that the model has no tokens for, that takes too long, or that nothing could follow.
        """
        arguments = body.get("vllm_xargs")
        if not isinstance(arguments, dict | None):
            raise RecipeError("vllm_xargs wants an object")
        if not arguments or (given := arguments.get(RULE_ARGUMENT)) is None:
            return
        if grammar := _grammar(body):
            raise RecipeError(f"{RULE_ARGUMENT} or {grammar}, not both: both say which tokens may follow")
        try:
            rule_from_json(given, self.rules.vocabulary)
        except ValueError as error:
            raise RecipeError(f"{RULE_ARGUMENT} is no decoding rule: {error}") from error

    def _posed(self, body: Body, system: str | None, text: str, steering: Steering) -> Posed:
        text = clean(text)
        asks = asked_as(text, steering.task_type) if steering.task_type else asked(text, steering.is_multiple_choice)
        mode = Mode.FREE if _grammar(body) else steering.mode or self.mode
        prompt = self.rules.chat.defuse(text)
        rule = self.rules.rule(mode, asks, prompt)
        if isinstance(limit := body.get("max_completion_tokens") or body.get("max_tokens"), int):
            rule = replace(rule, max_new_tokens=limit)
        system = system_prompt(asks.type) if system is None else system
        request = request_of(0, self.rules.chat, system, prompt, rule, self.max_length)
        options = self.rules.options(asks) if steering.probabilities else {}
        if options and (body.get("stream") or body.get("logprobs")):
            raise RecipeError("probabilities come whole and alone: without stream and without logprobs")
        told = {**_told(asks), "mode": mode.value, "dropped_tokens": request.dropped}
        messages = [{"role": "system", "content": request.system}, {"role": "user", "content": request.prompt}]
        ours = {**_greedy(rule), **_logprobs(options)}
        theirs = {key: value for key, value in body.items() if key != FIELD and value is not None}
        rules = {} if rule.is_free else {RULE_ARGUMENT: rule.to_json()}
        whole = {"model": self.model, **ours, **theirs, "messages": messages}
        if asking := self.rules.chat.asking:  # vLLM renders the template itself
            whole["chat_template_kwargs"] = {**asking, **(body.get("chat_template_kwargs") or {})}
        return Posed({**whole, "vllm_xargs": {**(body.get("vllm_xargs") or {}), **rules}}, rule, told, options)


def _grammar(body: Body) -> str | None:
    """The field by which a request binds its answer itself."""
    free: tuple[object, ...] = ({"type": "text"}, None, [], {})
    return next((name for name in _GRAMMARS if body.get(name) not in free), None)


def _told(asks: Asked) -> dict[str, Any]:
    return {"task_type": asks.type.value, "listed": list(asks.listed or asks.words), "wanted": asks.wanted}


def _greedy(rule: Rule) -> Body:
    """As an evaluation decodes; the model's own generation config may say otherwise."""
    return {
        "temperature": 0.0,
        "repetition_penalty": 1.0,
        "max_completion_tokens": rule.max_new_tokens,
        "stop_token_ids": list(rule.end),
    }


def _logprobs(options: Mapping[str, int]) -> Body:
    """Not asked for by default: vLLM 0.32 leaves the `top_logprobs` of others that are in the same batch empty."""
    if not options:
        return {}
    return {"logprobs": True, "logprob_token_ids": list(options.values()), "return_tokens_as_token_ids": True}


def _texts(messages: Any) -> tuple[str | None, str] | None:
    """The system message, where there is one, and the user's."""
    match messages:
        case [{"role": "user", "content": content}]:
            system, text = None, _text(content)
        case [{"role": "system", "content": first}, {"role": "user", "content": content}]:
            system, text = _text(first), _text(content)
        case _:
            return None
    return None if text is None or (len(messages) == 2 and system is None) else (system, text)


def _text(content: Any) -> str | None:
    """A message's text, which may come in parts; None where it holds something else, as a picture."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else [None]
    texts = [part.get("text") if isinstance(part, dict) and part.get("type") == "text" else None for part in parts]
    return "\n".join(texts) if all(isinstance(text, str) for text in texts) else None  # type: ignore[arg-type]


def _steering(body: Body) -> Steering:
    given = body.get(FIELD)
    if given is None:
        return Steering()
    if not isinstance(given, dict):
        raise RecipeError(f"'{FIELD}' wants an object", way_out=f'{{"{FIELD}": {{"is_multiple_choice": true}}}}')
    known = Steering.model_fields
    if unknown := [name for name in given if name not in known]:
        raise RecipeError(f"{FIELD}.{unknown[0]}: no such field", way_out=did_you_mean(unknown[0], known))
    try:
        steering = Steering.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        raise RecipeError(f"{FIELD}.{first['loc'][0]}: {first['msg']}, not {first['input']!r}") from error
    if steering.task_type and steering.is_multiple_choice is not None:
        raise RecipeError(f"{FIELD}: is_multiple_choice or task_type, not both")
    return steering
