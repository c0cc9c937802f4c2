"""What answers must hold to, whatever the task: each function raises ``Unfit`` or returns the text to use."""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from fractions import Fraction
from typing import Any

from dataset_builders.synthesis.declare import Unfit
from dataset_builders.tasks._common import one_line, spelled, words

# A seed text that speaks to whoever reads it as a model is no customer's or seller's; such rows are not asked about,
# and no answer may do so.
_TO_MODEL = re.compile(
    r"\b(?:ignore|disregard|forget|override|bypass)\b[^.!?\n]{0,40}\b(?:instructions?|prompts?|rules|guidelines)\b"
    r"|\b(?:ignorier\w*|vergiss)\b[^.!?\n]{0,40}\b(?:anweisung\w*|regeln)\b"
    r"|\b(?:ignora|ignore[zr]?|oublie[zr]?|olvida|dimentica)\b[^.!?\n]{0,40}\b(?:instruc\w+|istruzion\w+|consignes|reglas)\b"
    r"|(?:指示|命令|ルール)を(?:すべて|全て)?無視"
    r"|\b(?:system|developer) prompt\b|\byou are (?:now )?(?:an? |the )?(?:ai|assistant|language model|chatbot)\b"
    r"|\bas an? (?:ai|language model)\b|\b(?:respond|reply|answer|output) (?:only )?with\b"
    r"|<\||\[/?INST\]|</?(?:seed|system|assistant|user)>|^#+ ?(?:instruction|system|response)\b",
    re.I | re.M,
)
_JAPANESE = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]")
_KANA = re.compile(r"[\u3040-\u30ff]")
_WORD = re.compile(r"[^\W\d_]+")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)?")
# Small words that one of the five languages uses all the time and the others do not.
_SMALL = {
    "English": "the of and with is are for this that it to from you your by be which was were has have not in on at an",
    "German": "der das und mit für ist ein eine einer einem von zu auf nicht auch aus den dem im bei sind oder zum zur",
    "French": "le les des et avec pour est une du dans sur vous votre au aux ce cette pas sont ou qui vos",
    "Spanish": "el los las y con para es una del en su por se al lo sus este esta más muy",
    "Italian": "il gli e con per è una del della di da che al alla dei nel sono non più",
}
_WORDS_OF = {language: frozenset(text.split()) for language, text in _SMALL.items()}
LANGUAGES = (*_SMALL, "Japanese")
_OPERATIONS: dict[type, Callable[[Fraction, Fraction], Fraction]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_LONGEST_SUM = 200  # characters


def speaks_to_model(texts: Iterable[str]) -> bool:
    """Whether one of them gives a model instructions, as a planted review does."""
    return any(_TO_MODEL.search(text) for text in texts)


def within(phrase: str, text: str, what: str) -> str:
    """``phrase`` as ``text`` spells it; it must stand there as words of its own."""
    as_spelled = spelled(one_line(phrase), text)
    if as_spelled is None:
        raise Unfit(f"not in the {what}", f"{phrase!r} does not stand in the {what}; copy it word for word")
    return as_spelled


def absent(phrases: Iterable[str], text: str, what: str) -> None:
    """None of the ``phrases`` may stand in ``text``."""
    for phrase in phrases:
        if spelled(phrase, text):
            raise Unfit(f"stands in the {what}", f"{phrase!r} stands in the {what}, so it is no wrong choice")


def different(texts: Sequence[str]) -> None:
    """No two may be the same but for case and blanks."""
    seen: set[str] = set()
    for text in texts:
        flat = " ".join(text.casefold().split()).rstrip(".")
        if flat in seen:
            raise Unfit("two choices are the same", f"{text!r} is given twice; all must differ")
        seen.add(flat)


def counted(text: str, least: int, most: int, what: str) -> str:
    """``text``, which must have so many words; Japanese has no blanks, there three letters count as one."""
    count = len(text.split()) if not _JAPANESE.search(text) else -(-len(text) // 3)
    if not least <= count <= most:
        reason = f"the {what} is too {'short' if count < least else 'long'}"
        raise Unfit(reason, f"the {what} {text[:80]!r} has {count} words; {least} to {most} are wanted")
    return text


def among(choice: str, choices: Collection[str], what: str) -> str:
    """``choice`` as the list spells it."""
    listed = {other.casefold(): other for other in choices}.get(choice.casefold())
    if listed is None:
        raise Unfit(f"not among the {what}", f"{choice!r} is none of the {what} that were given")
    return listed


def in_language(text: str, language: str) -> str:
    """``text``, which must not be in another of the six languages. Names and numbers are in none."""
    kana, letters = len(_JAPANESE.findall(text)), len(_WORD.findall(text)) and sum(map(str.isalpha, text))
    if language == "Japanese":
        if not _KANA.search(text) and kana < 0.5 * max(letters, 1):
            raise Unfit("another language", f"Japanese was asked for, {text[:60]!r} is not")
        return text
    tokens = [word.lower() for word in _WORD.findall(text)]
    counts = {name: sum(token in small for token in tokens) for name, small in _WORDS_OF.items()}
    best = max(counts, key=lambda name: (counts[name], name == language))
    if kana > 0.1 * max(letters, 1) or (counts[best] >= 2 and counts[best] > 1.5 * counts[language]):
        raise Unfit("another language", f"{language} was asked for, {text[:60]!r} is not")
    return text


def numbers(text: str) -> set[str]:
    """``1.5`` and ``1,5`` are the same number."""
    return {number.replace(",", ".") for number in _NUMBER.findall(text)}


def same_numbers(source: str, text: str) -> None:
    """What is told in other words or another language keeps its numbers."""
    if missing := numbers(source) - numbers(text):
        raise Unfit("a number was lost", f"the number {min(missing)} is missing")
    if added := numbers(text) - numbers(source):
        raise Unfit("a number was added", f"the number {min(added)} does not stand in the given text")


def related(text: str, other: str) -> bool:
    """Whether they share a word of four letters or more, or its beginning."""
    return bool({word[:5] for word in words(text)} & {word[:5] for word in words(other)})


def computed(expression: str) -> Fraction:
    """The value of a sum of plain numbers with + - * / and brackets.

    Raises:
        Unfit: it is anything else.
    """
    try:
        if len(expression) > _LONGEST_SUM or "**" in expression or "//" in expression:
            raise ValueError
        return _value(ast.parse(expression.replace("×", "*").replace("÷", "/"), mode="eval").body)
    except (SyntaxError, ValueError, ZeroDivisionError, RecursionError, MemoryError) as error:
        raise Unfit("no calculation", f"{expression[:60]!r} is not numbers with + - * / and brackets") from error


def _value(node: ast.expr) -> Fraction:
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATIONS:
        return _OPERATIONS[type(node.op)](_value(node.left), _value(node.right))
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        return Fraction(str(node.value))
    raise ValueError


def texts_of(value: Any) -> list[str]:
    """All texts in a JSON value, at whatever depth."""
    if isinstance(value, str):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return [text for one in inner for text in texts_of(one)]
