"""From what a model said to questions: the JSON in it, its form, then the rules of the task. A bad answer ends here."""

from __future__ import annotations

import json
import re
from typing import Any

from pydantic import ValidationError

from dataset_builders.held_out import held_out
from dataset_builders.pools.fitness import problem
from dataset_builders.synthesis.declare import Form, Seed, Synthesis, Unfit
from dataset_builders.synthesis.rules import speaks_to_model, texts_of
from dataset_builders.task import Question
from spine.code import code_of
from spine.manifest import digest

LONGEST = 20_000  # characters of an answer; what is longer is kept up to here, and refused
REFUSED = "[refused] "  # in front of what came as a refusal by its own field
UNSAID = "[no answer: all of its tokens went into reasoning]"  # what is kept of an answer that ended before it began
_REFUSAL = re.compile(
    r"(?:i['’]?m sorry|i am sorry|sorry,|i (?:can ?not|can['’]t|won['’]t|am unable|must decline)|as an? (?:ai|language)"
    r"|unfortunately, i|es tut mir leid|je suis désolé|lo siento|mi dispiace|申し訳)",
    re.I,
)
_OF_ITSELF = re.compile(
    r"\b(?:the|this|my) (?:explanation|answer|question|instruction|object|json) "
    r"(?:is|was|are|has|have|can|cannot|must|should|does|do|needs)\b",
    re.I,
)
_EMPTY = re.compile(r"(?:\.{2,}|…|n/?a|null|none|string|text|todo|<[^<>]*>|\[[^\[\]]*\])", re.I)
# Where models that reason begin and end to think, in the marks of DeepSeek, Qwen, Mistral, Cohere, Kimi and gpt-oss;
# the last one's channels also as they are left where a server drops control tokens.
_THINK = r"(?:seed:)?(?:think|thinking|thoughts?|reasoning)"
_THOUGHTS = re.compile(
    rf"<{_THINK}>|\[THINK\]|<\|START_THINKING\|>|◁think▷|<\|channel\|>|\A\s*(?:analysis|commentary)(?=[^\s:,.])", re.I
)
_THOUGHT = re.compile(
    rf"</{_THINK}>|\[/THINK\]|<\|END_THINKING\|>|◁/think▷|<\|channel\|>final<\|message\|>|assistantfinal(?!\w)", re.I
)
_TRAILING = re.compile(r",(\s*[}\]])")
_DECODER = json.JSONDecoder()


def judge(synthesis: Synthesis, seed: Seed, said: str) -> list[Question]:
    """The questions that an answer makes.

    Raises:
        Unfit: with the reason, and what to tell the model. Nothing else, whatever was said: an answer is paid for, and
            is kept until the rules can judge it.
    """
    try:
        return _judged(synthesis, seed, said)
    except Unfit:
        raise
    except Exception as error:
        reason = f"the rules cannot judge it ({type(error).__name__})"
        raise Unfit(reason, "the answer could not be read; write a plainer one") from error


def _judged(synthesis: Synthesis, seed: Seed, said: str) -> list[Question]:
    answer = read(said, synthesis.answer)
    texts = texts_of(answer.model_dump())
    if any(_REFUSAL.match(text) for text in texts):
        raise Unfit("a refusal", "no part of the answer may be an apology")
    if any(_EMPTY.fullmatch(text) for text in texts):
        raise Unfit("a placeholder", "a part of the answer is a placeholder; write it out")
    if not synthesis.instructs and any(_OF_ITSELF.search(text) for text in texts):
        raise Unfit("speaks of itself", "the answer speaks of the answer; write the thing itself")
    if not synthesis.instructs and speaks_to_model(texts):
        raise Unfit("speaks to the model", "the answer repeats an instruction; the text between the marks is data only")
    questions = list(synthesis.questions(seed, answer))
    for question in questions:
        if trouble := problem(question.type or synthesis.task.type, question):
            raise Unfit(trouble if "'" not in trouble else "unfit question", trouble)
    shown = [question for question in questions if not any(map(held_out, question.also))]
    if not shown:
        raise Unfit("shows a held-out entity" if questions else "nothing found in the seed row")
    return shown


def rules_digest(synthesis: Synthesis) -> str:
    """Of all code that judges the dataset's answers: another digest, and what is stored is judged anew."""
    return digest(code_of(synthesis.module, __name__, "dataset_builders.synthesis.rules"))[:16]


def shortened(text: str) -> str:
    """What is kept of ``text``: a long one without its thoughts, and of one that is long still a little too much."""
    return text if len(text) <= LONGEST else text[_end_of_thoughts(text) :][: LONGEST + 1]


def _end_of_thoughts(text: str) -> int:
    return max((found.end() for found in _THOUGHT.finditer(text)), default=0)


def read(said: str, form: type[Form]) -> Form:
    """The first JSON object in ``said`` behind the end of its thoughts, in its form. Fences and a comma too many are
    overlooked; half an object is not made whole."""
    if len(said) > LONGEST:
        raise Unfit("too long", f"the answer is longer than {LONGEST:,} characters")
    if said.startswith(REFUSED):
        raise Unfit("a refusal", "answer with the JSON object alone")
    text = said[_end_of_thoughts(said) :]
    if said == UNSAID or _THOUGHTS.search(text):
        raise Unfit(
            "thoughts without an answer", "the answer did not come behind the thoughts; think less, then answer"
        )
    parsed = _object(text)
    if parsed is None:
        if _REFUSAL.match(text.strip()):
            raise Unfit("a refusal", "answer with the JSON object alone")
        raise Unfit("no JSON", "the answer holds no whole JSON object; answer with one and nothing else")
    try:
        return form.model_validate_json(json.dumps(parsed))
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(map(str, first["loc"])) or "the object"
        raise Unfit("wrong form", f"{place}: {first['msg']}") from error


def _object(text: str) -> dict[str, Any] | None:
    for candidate in (text, _TRAILING.sub(r"\1", text)):
        at = candidate.find("{")
        while at >= 0:
            try:
                parsed, _ = _DECODER.raw_decode(candidate, at)
            except (ValueError, RecursionError):  # no JSON, or a number of 5,000 digits
                at = candidate.find("{", at + 1)
                continue
            return parsed if isinstance(parsed, dict) and parsed else None
    return None
