"""Whether what reviews of a product say answers a question about it.

https://huggingface.co/datasets/NingLab/ECInstruct
ecinstruct/dataset.json, task Answerability_Prediction (invented, shortened):

    {"input": "{\\"question\\": \\"Does the lid lock?\\", \\"document\\": [\\"A light jar.\\", \\"Nice colour!\\"]}",
     "output": "no"}
"""

from __future__ import annotations

from collections.abc import Iterator

from dataset_builders.raw import RawData
from dataset_builders.sources import ecinstruct
from dataset_builders.task import Question, Seeded, task
from dataset_builders.tasks._common import digest, placed
from dataset_builders.tasks._ecinstruct import field, snippets, yes_or_no
from spine.task_types import TaskType

_LONGEST = 4_000  # characters of all snippets: a longer row is left out, since one cut short may lose the answer


@task(type=TaskType.MULTIPLE_CHOICE, source="ecinstruct", track=1)
def build(raw: RawData, seeded: Seeded) -> Iterator[Question]:
    for row in ecinstruct.examples(raw, "Answerability_Prediction"):
        question, said = field(row.input, "question", 300), snippets(row)
        right, wrong = yes_or_no(row)
        document = "\n".join(said)
        if question and right and 0 < len(document) <= _LONGEST:
            options, (answer,) = placed(seeded.rng(f"{question}\n{document}"), [right], wrong)
            fields = {"question": question, "snippets": said, "options": options}
            yield Question(f"ecinstruct:{digest(document)}", fields, answer)
