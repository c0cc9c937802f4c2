"""Questions with what each model answered: of every task the worst, the best, and those that changed most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from inference.answering.questions import Question
from inference.scoring.predictions import Prediction, key
from recipe.report.facts import Answer, Example
from recipe.report.scores import Evaluations
from recipe.walk.rows import ALL_AROUND
from spine.task_types import answer_text

MOST = 240
_PROMPT, _ANSWER = 1_500, 400  # letters that are shown
Answers = dict[str, tuple[str, Prediction]]  # by row: the model's name, and its answer


def examples(found: Evaluations, questions: Sequence[Question], most: int = MOST) -> list[Example]:
    """At most about ``most`` questions, as many of each task, by the last row's answers; the worst come first."""
    known = {key(question): question for question in questions}
    answered = _answers(found)
    tasks: dict[str, list[str]] = {}
    for name, answers in answered.items():
        tasks.setdefault(next(iter(answers.values()))[1].task, []).append(name)
    each = max(2, most // max(1, len(tasks)))
    chosen: list[tuple[float, int, str]] = []
    for names in tasks.values():
        worst_first = sorted(_striking(names, answered, each), key=lambda name: _last(answered[name]))
        chosen += [(_last(answered[name]), at, name) for at, name in enumerate(worst_first)]  # of each task in turn
    return [_example(known.get(name), answered[name]) for _, _, name in sorted(chosen)]


def _answers(found: Evaluations) -> dict[str, Answers]:
    """By question: what each row's model for the question's track has answered. Without a score it is left out."""
    answered: dict[str, Answers] = {}
    for line in found.subject.lines:
        for track, folder in line.folders.items():
            for one in found.answers(folder) or []:
                own = one.track if one.track in line.folders else ALL_AROUND
                if one.score is not None and track == own:
                    answered.setdefault(one.question, {})[line.name] = (line.models[track], one)
    return answered


def _striking(names: Sequence[str], answered: Mapping[str, Answers], count: int) -> list[str]:
    """In turn the worst, the best, the one that gained most, the one that lost most, the next worst ..."""
    by_score = sorted(names, key=lambda name: (_last(answered[name]), name))
    by_change = sorted(names, key=lambda name: (_last(answered[name]) - _first(answered[name]), name))
    turns = zip(by_score, reversed(by_score), reversed(by_change), by_change, strict=True)
    return list(dict.fromkeys(name for turn in turns for name in turn))[:count]


def _first(answers: Answers) -> float:
    return next(iter(answers.values()))[1].score or 0.0


def _last(answers: Answers) -> float:
    return answers[next(reversed(answers))][1].score or 0.0


def _example(question: Question | None, answers: Answers) -> Example:
    given = [
        Answer(row, model, shortened(one.answer, _ANSWER), one.score or 0.0) for row, (model, one) in answers.items()
    ]
    truth = "" if question is None or question.truth is None else answer_text(question.type, question.truth)
    prompt = shortened(question.prompt if question else "", _PROMPT)
    first = next(iter(answers.values()))[1]
    return Example(first.task, first.type, first.track, first.metric, prompt, shortened(truth, _ANSWER), given)


def shortened(text: str, letters: int) -> str:
    """The middle is what is least missed: instructions stand at the beginning, what is asked at the end."""
    if len(text) <= letters:
        return text
    return f"{text[: letters // 2]} [… {len(text) - letters:,} letters …] {text[-letters // 2 :]}"
