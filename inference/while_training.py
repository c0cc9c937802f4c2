"""An axolotl plugin that scores a model while it trains: held-out questions, asked at each look at the held-out loss.

``recipe show v8 --set eval_questions=40`` names it in the YAML; runs inside axolotl. The scores go where the loss goes:
to the log, to ``trainer_state.json`` and to a tracker. Training itself is not changed by it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from accelerate.utils import gather_object
from axolotl.integrations.base import BasePlugin
from transformers import TrainerCallback

from inference.answering.engines.requests import requests_of
from inference.answering.engines.transformers import answers
from inference.answering.questions import Question, read_questions
from inference.answering.rules import Mode, Rules
from inference.scoring.scores import score
from spine.chat import ChatTokenizer
from spine.errors import RecipeError
from spine.task_types import TaskType

SCORE = "eval_score"


class ScoredPlugin(BasePlugin):  # type: ignore[misc]
    """See the module. ``eval_questions`` of the YAML: how many."""

    def add_callbacks_post_trainer(self, cfg: Any, trainer: Any) -> list[TrainerCallback]:
        questions = chosen(Path(cfg.test_datasets[0]["path"]), cfg.eval_questions)
        chat = ChatTokenizer.load(cfg.base_model)
        return [_Asks(trainer, questions, Rules.of(cfg.base_model, chat), cfg.sequence_len)]


def chosen(held_out: Path, count: int) -> list[Question]:
    """``count`` questions of a run's held-out rows, of as many datasets as there are, the same ones each time.

    Generated texts are not among them: they take longest, and their metrics need the serve environment.

    Raises:
        RecipeError: there are none.
    """
    questions = [question for question in read_questions(held_out) if question.type is not TaskType.GENERATION]
    if not questions:
        raise RecipeError("holds no question with one right answer", where=str(held_out), way_out="eval_questions=0")
    turns: list[int] = []
    asked: Counter[str] = Counter()
    for question in questions:
        turns.append(asked[question.task])
        asked[question.task] += 1
    return [questions[at] for at in sorted(range(len(questions)), key=turns.__getitem__)[:count]]


class _Asks(TrainerCallback):  # type: ignore[misc]
    """Each process asks its share; the first one scores them all."""

    def __init__(self, trainer: Any, questions: Sequence[Question], rules: Rules, max_length: int) -> None:
        self._trainer, self._questions, self._chat = trainer, questions, rules.chat
        self._requests = requests_of(questions, rules, Mode.EXACT, max_length)

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        accelerator = self._trainer.accelerator
        model = accelerator.unwrap_model(self._trainer.model)
        share = self._requests[accelerator.process_index :: accelerator.num_processes]
        was_training = model.training
        model.eval()
        with accelerator.autocast():
            own = list(answers(model, self._chat, share, lambda ids, logits: logits))
        model.train(was_training)
        texts = dict(gather_object(own))
        scores, _, _ = score(self._questions, [texts[at] for at in range(len(self._questions))])
        tracks = {f"{SCORE}_track{number}": track.score for number, track in scores.tracks.items()}
        found = {SCORE: scores.overall.score, **tracks}
        self._trainer.log({name: round(value, 4) for name, value in found.items() if value is not None})
