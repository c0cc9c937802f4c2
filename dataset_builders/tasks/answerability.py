"""Whether what reviews of a product say answers a question about it.

https://huggingface.co/datasets/NingLab/ECInstruct
ecinstruct/dataset.json, task Answerability_Prediction (invented, shortened):

    {"input": "{\\"question\\": \\"Does the lid lock?\\", \\"document\\": [\\"A light jar.\\", \\"Nice colour!\\"]}",
     "output": "no"}
"""

from __future__ import annotations

from dataset_builders.sources import ecinstruct
from dataset_builders.task import Questions, RawData, Seeded, TaskType, task
from dataset_builders.tasks._common import digest, multiple_choice
from dataset_builders.tasks._ecinstruct import field, snippets, yes_or_no

_LONGEST = 4_000  # characters of all snippets: a longer row is left out, since one cut short may lose the answer


@task(type=TaskType.MULTIPLE_CHOICE, source="ecinstruct", track=1, llm="reword")
def build(raw: RawData, seeded: Seeded) -> Questions:
    for row in ecinstruct.examples(raw, "Answerability_Prediction"):
        question, said = field(row.input, "question", 300), snippets(row)
        right, wrong = yes_or_no(row)
        document = "\n".join(said)
        if question and right and 0 < len(document) <= _LONGEST:
            rng, fields = seeded.rng(f"{question}\n{document}"), {"question": question, "snippets": said}
            yield multiple_choice(rng, f"ecinstruct:{digest(document)}", fields, right, wrong)
