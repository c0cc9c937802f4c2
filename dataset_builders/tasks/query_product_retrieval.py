"""Which of ten products fit a query best: one to three of a ranking, beside worse ones and finds of other queries.

https://huggingface.co/datasets/NingLab/ECInstruct
ecinstruct/dataset.json, task Query_Product_Ranking (invented, shortened; the output lists the best first):

    {"input": "{\\"query\\": \\"oak bread board\\", \\"product list\\": [\\"A: Bread Knife\\", \\"B: Oak Board\\"]}",
     "output": "B,A"}
"""

from __future__ import annotations

from collections import defaultdict
from itertools import takewhile

from dataset_builders.held_out import held_out
from dataset_builders.sources import ecinstruct
from dataset_builders.task import Questions, RawData, Seeded, TaskType, task
from dataset_builders.tasks._common import Recent, distinct, query_entity, retrieval
from dataset_builders.tasks._ecinstruct import field, ranked, title_entity
from dataset_builders.tasks._judgements import may_show, stems
from spine.task_types import RETRIEVED

_LISTED = 10
_TRIED = 40  # finds of other queries


@task(type=TaskType.RETRIEVAL, source="ecinstruct", track=3)
def build(raw: RawData, seeded: Seeded) -> Questions:
    # What somebody found who looked for something else; by whether it is held out.
    recent: defaultdict[bool, Recent[str]] = defaultdict(Recent)
    for row in ecinstruct.examples(raw, "Query_Product_Ranking"):
        query = field(row.input, "query")
        entity, wanted = query_entity(query), stems(query)
        own = [title for title in ranked(row) if may_show(entity, title_entity(title))]
        # What names most of what was wanted, from the best on; all that follow are worse, the last one in any case.
        right = list(takewhile(lambda title: 2 * len(wanted & stems(title)) > len(wanted), own[:-1]))  # noqa: B023
        if not right:
            continue
        if len(right) <= RETRIEVED and seeded.wants(entity):
            rng = seeded.rng("\n".join([query, *own]))
            tried = recent[held_out(entity)].sample(rng, _TRIED)
            found = distinct([*own, *(title for title in tried if wanted.isdisjoint(stems(title)))])[:_LISTED]
            if len(found) == _LISTED:
                fields, also = {"query": query, "count": len(right)}, map(title_entity, found)
                yield retrieval(rng, entity, fields, right, found[len(right) :], also)
        recent[held_out(title_entity(right[0]))].add(right[0])
