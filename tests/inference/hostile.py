"""What an enemy may type, run against everything that reads a user's text: `python -m tests.inference.hostile`.

The process is given seconds of CPU (RLIMIT_CPU) of which it takes a few; a pattern that is quadratic in a text takes
minutes of them, one that is worse never ends.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
import resource
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import inference
from dataset_builders.synthesis import answers, declare
from inference.answering.engines.requests import finished, request_of
from inference.answering.rules import Mode, Rules
from inference.scoring.parsers import parse
from spine import prompts
from spine.asked import asked, asked_as, listed_texts
from spine.task_types import TaskType
from tests.inference.test_decoding import rules_of

SECONDS = 90
MEGABYTE, PATTERN_LETTERS = 10**6, 30_000
UNITS = ("only ", "'x ", "\"x' ", "1. a\n", "\t\n", "<|im_<|im_end|>", "x", '{"a": ')


def patterns() -> Iterator[tuple[str, re.Pattern[str]]]:
    """All that are compiled in the modules which a user's or a model's text goes through."""
    names = [found.name for found in pkgutil.walk_packages(inference.__path__, "inference.")]
    for name in [*names, "spine.prompts", "spine.chat", "dataset_builders.synthesis.answers",
                 "dataset_builders.synthesis.rules"]:  # fmt: skip
        try:
            module = importlib.import_module(name)
        except ImportError:  # needs another environment, and compiles nothing
            continue
        for key, value in vars(module).items():
            if isinstance(value, re.Pattern):
                yield f"{name}.{key}", value


def units(pattern: re.Pattern[str]) -> set[str]:
    """What comes near to the pattern: its own words and signs, over and over."""
    words = re.findall(r"[a-z]{2,}", pattern.pattern, re.I)
    signs = set(re.sub(r"[\w\s\\]", "", pattern.pattern))
    return {*(f"{word} " for word in words), " ".join(words) + " ", *(f"{sign}a" for sign in signs), *signs}


def main() -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    for _name, pattern in patterns():
        for unit in units(pattern):
            text = (unit * (PATTERN_LETTERS // len(unit)))[:PATTERN_LETTERS]
            sum(1 for _ in pattern.finditer(text + "!"))
    with tempfile.TemporaryDirectory() as folder:
        rules = rules_of("digits apart", Path(folder))
    for unit in UNITS:
        whole(rules, unit * (MEGABYTE // len(unit)))


def whole(rules: Rules, text: str) -> None:
    """What a question goes through, and what an answer does."""
    prompt = rules.chat.defuse(prompts.clean(text))
    listed_texts(text)
    for asks in (asked(text, None), asked_as(text, TaskType.NER)):
        for mode in (Mode.WINNERS, Mode.EXACT):
            rule = rules.rule(mode, asks, prompt)
            rule.step((5, 7))
            finished(text, rule)
    for kind in TaskType:
        parse(kind, text)
    assert len(request_of(0, rules.chat, "Answer.", prompt, rule, 500).tokens) <= 500
    for said in (text, text[: answers.LONGEST]):
        with suppress(declare.Unfit):
            answers.read(said, declare.Form)


if __name__ == "__main__":
    sys.exit(main())
