"""From a prompt to a score: the kind of question, how it may be answered, what the answer says, its worth.

``answering`` asks a model, ``scoring`` tells what its answers are worth, ``evaluate`` is both, ``serving`` is vLLM's
server with our rules. What a contest's question asks for, and how an answer to it is read and scored:

>>> from inference.answering.questions import unscored
>>> question = unscored("Which one is a fruit?\\n0. a fork\\n1. a fig\\nAnswer:", is_multiple_choice=True)
>>> question.type.value, question.asked.listed
('multiple-choice', (0, 1))

>>> from inference.scoring.parsers import parse
>>> parse(question.type, "1. a fig")
1

>>> from dataclasses import replace
>>> from inference.scoring.scores import score
>>> scores, answers, not_computed = score([replace(question, truth=1, task="fruit", track=2)], ["1. a fig"])
>>> scores.tracks[2].score
1.0

With a model, in the serve environment: ``answer.Answerer(answer.Setup(model=folder)).answer(prompts, True)``, from
``inference.answering.answer``.
"""
