"""The answer to a customer's question, from what reviews of the product say.

https://huggingface.co/datasets/NingLab/ECInstruct
ecinstruct/dataset.json, task Answer_Generation (invented, shortened; the answer is another customer's):

    {"input": "{\\"question\\": \\"Does the lid lock?\\", \\"document\\": [\\"It clicks shut.\\", \\"Nice colour!\\"]}",
     "output": "Yes, it clicks shut and stays so."}
"""

from __future__ import annotations

import re
from itertools import accumulate

from dataset_builders.sources import ecinstruct
from dataset_builders.task import Question, Questions, RawData, Seeded, TaskType, task
from dataset_builders.tasks._common import digest, one_line
from dataset_builders.tasks._ecinstruct import field, snippets

_LONGEST = 2_000  # characters of all snippets; the best ones for the question come first
_LONGEST_ANSWER = 500
_NO_ANSWER = re.compile(r"\b(?:(?:don.?t|do not) (?:know|have (?:it|one))|not (?:really )?sure|no idea|sorry)\b", re.I)


@task(type=TaskType.GENERATION, source="ecinstruct", track=1, quotes=("snippets",))
def build(raw: RawData, seeded: Seeded) -> Questions:
    for row in ecinstruct.examples(raw, "Answer_Generation"):
        question, answer = field(row.input, "question", 300), one_line(row.output)
        said = snippets(row)
        shown = [text for text, length in zip(said, accumulate(map(len, said)), strict=True) if length <= _LONGEST]
        if question and shown and 0 < len(answer) <= _LONGEST_ANSWER and not _NO_ANSWER.search(answer):
            document = "\n".join(said)
            yield Question(f"ecinstruct:{digest(document)}", {"question": question, "snippets": shown}, answer)
