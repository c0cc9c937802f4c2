"""Which of four events causes an event, follows from it, prevents it, or is prevented by it.

https://github.com/hendrycks/test
mmlu/auxiliary_train.csv (no header; question, 4 choices, letter; invented):

    What will most likely happen if a puddle stands in the sun?,It freezes.,It dries up.,It turns green.,It boils.,B
"""

from __future__ import annotations

import re

from dataset_builders.sources import mmlu
from dataset_builders.task import Questions, RawData, Seeded, TaskType, task
from dataset_builders.tasks._common import mmlu_entity, multiple_choice

_LONGEST_STEM, _LONGEST_CHOICE = 180, 100  # characters; the rest are passages
_MOST_WORDS = 20

_WHICH = r"(?:what|which(?:(?: one)? of (?:these|the following))?(?: [a-z]+)?)"
_CAN = r"(?:(?:can|could|may|might|will|would|is|are|was|were) )?"
_LIKELY = r"(?:(?:most|likely|probably|directly|usually|typically|often|best|mainly|all|to) )*"
_ONE = r"(?:the|an?|one) (?:(?:most|likely|possible|probable|direct|main|primary|negative|positive|harmful) )*"
_CAUSE = r"(?:causes?|caused|leads? to|led to|results? in|resulted in)"
_HAPPEN = rf"{_CAN}{_LIKELY}(?:be the result|happen(?:s|ed)?|occurs?)(?: next| then| as a result)?"
_MAINLY = r"(?: (?:mainly|largely|primarily|partly|usually|often))?"
# Only where the words leave no doubt about what the event is and how the choices are related to it.
_STEMS = {
    "causes": (
        rf"{_WHICH} {_CAN}{_LIKELY}{_CAUSE} (?P<event>(?!by )(?!.* to ).+)\?",
        rf"{_WHICH} (?:is|was) {_ONE}(?:cause of|reason for|reason that|reason why) (?P<event>.+)\?",
        r"which (?:(?:statement|sentence|one|of these|of the following) )*(?:best )?explains why (?P<event>.+)\?",
        rf"(?P<event>[^.?!]+)\. {_WHICH} {_CAN}{_LIKELY}(?:caused|causes|explains) (?:this|it)(?: event| change)?\?",
        rf"(?P<event>.+?) (?:is|are|was|were){_MAINLY} caused by(?: what\?|:)?",
        rf"(?P<event>.+?){_MAINLY},? because(?: of)?:?",
        r"why do (?P<event>.+)\?",
    ),
    "follows": (
        rf"what {_HAPPEN} (?:if|when|after) (?P<event>.+)\?",
        rf"(?:if|when|after) (?P<event>[^,]+), what {_HAPPEN}\?",
        rf"(?P<event>[^.?!]+)\. what {_HAPPEN}\?",
        rf"{_WHICH} (?:is|are|was|would be|could be) {_ONE}(?:result|effect|consequence|outcome) of (?P<event>.+)\?",
        rf"{_WHICH} (?:is|are|was|were) caused by (?P<event>.+)\?",
        rf"(?P<event>.+?) {_CAN}{_LIKELY}{_CAUSE}(?: what\?|:)?",
        r"(?P<event>.+) is the reason (?:that|why|for):?",
        # "If a cup falls, it will": each choice goes on with the sentence.
        r"(?:if|when|after) (?P<event>[^,]+)(?:, then|,| then) (?P<rest>(?:it|they|he|she) (?:will|would|can|may))",
    ),
    "prevents": (
        rf"{_WHICH} {_CAN}{_LIKELY}(?:helps? )?(?:prevents?|stops?|avoids?) (?P<event>.+)\?",
        rf"{_WHICH} is {_ONE}way to (?:prevent|stop|avoid) (?P<event>.+)\?",
        r"how can (?:people|we|you|one|someone) (?:best )?(?:prevent|avoid) (?P<event>.+)\?",
        r"how (?:can|could) (?P<event>.+) be (?:prevented|avoided)\?",
        r"[^.?!]+\. what (?:can|could|would) (?:best )?prevent that (?P<event>.+)\?",
    ),
    "prevented": (rf"(?P<event>.+?) {_CAN}(?:helps? )?(?:to )?prevents?(?: what\?|:)?",),
}
_PATTERNS = [(relation, re.compile(stem, re.I)) for relation, stems in _STEMS.items() for stem in stems]
_TURNED = re.compile(r"\b(?:not|never|except|least|greatest|cannot)\b|n't\b|_", re.I)
# An event of its own: it does not go on with something said before, and nothing is asked in it.
_EVENT = re.compile(
    r"(?!(?:if|when|it|they|he|she|we|you|then|there|according)\b)"
    r"(?!.*\b(?:this|these|that|those|following|because|what|which|who|whose|how|why)\b)[^.?!:;]{4,}",
    re.I,
)
_NO_EVENT = re.compile(r"(?:all|none|both|neither|either|any|each) of |both |of |[a-d] and [a-d]\b", re.I)


@task(type=TaskType.MULTIPLE_CHOICE, source="mmlu", track=2, llm="construct")
def build(raw: RawData, seeded: Seeded) -> Questions:
    for item in mmlu.auxiliary(raw):
        if len(item.question) > _LONGEST_STEM or (found := _read(" ".join(item.question.split()))) is None:
            continue
        relation, event, rest = found
        options = [" ".join(choice.split()).rstrip(" .") for choice in item.choices]
        if len(set(filter(_is_event, options))) == len(options):
            right, *wrong = (f"{rest}{option}" for option in (options.pop(item.answer), *options))
            fields = {"event": event, "relation": relation}
            yield multiple_choice(seeded.rng(repr(item)), mmlu_entity(item.question), fields, right, wrong)


def _read(stem: str) -> tuple[str, str, str] | None:
    """The relation that a stem asks for, the event it asks about, and what each choice goes on from."""
    if _TURNED.search(stem):
        return None
    for relation, pattern in _PATTERNS:
        if found := pattern.fullmatch(stem):
            event = re.sub(r" from (?=\w+ing\b)", " ", found["event"].strip(" ,"))  # "stop ice from melting"
            rest = found.groupdict().get("rest")
            certain = _EVENT.fullmatch(event) and len(event.split()) <= _MOST_WORDS
            return (relation, event, f"{rest} " if rest else "") if certain else None
    return None


def _is_event(choice: str) -> bool:
    return 0 < len(choice) <= _LONGEST_CHOICE and not _NO_EVENT.match(choice)
