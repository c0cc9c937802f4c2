"""Two to five products, to be ranked by how well they fit a query, each better or worse than the next.

https://huggingface.co/datasets/NingLab/ECInstruct
ecinstruct/dataset.json, task Query_Product_Ranking (invented, shortened; the output lists the best first):

    {"input": "{\\"query\\": \\"oak bread board\\", \\"product list\\": [\\"A: Bread Knife\\", \\"B: Oak Board\\"]}",
     "output": "B,A"}
"""

from __future__ import annotations

from dataset_builders.sources import ecinstruct
from dataset_builders.task import Question, Questions, RawData, Seeded, TaskType, task
from dataset_builders.tasks._common import query_entity
from dataset_builders.tasks._ecinstruct import SERVES, field, ranked, title_entity
from dataset_builders.tasks._esci import says_what, told
from dataset_builders.tasks._judgements import words_of
from spine.task_types import RANKED

# By place. Labels are not published; no two products of a list have the same one, hence ShopBench's own steps.
_WEIGHTS = (1.0, 0.1, 0.01, 0.001, 0.0)


@task(type=TaskType.RANKING, source="ecinstruct", track=3)
def build(raw: RawData, seeded: Seeded) -> Questions:
    for row in ecinstruct.examples(raw, "Query_Product_Ranking"):
        query, titles = field(row.input, "query"), ranked(row)
        if query and 2 <= len(titles) <= RANKED:
            shares = [told(query, words_of(title)) for title in titles]
            if not says_what(query) or shares[0] < max(SERVES, *shares) or shares[0] == min(shares):
                raw.lacking["whose best product has few of the query's words, or no more than others"] += 1
                continue
            weights = dict(zip(titles, _WEIGHTS, strict=False))
            seeded.rng("\n".join([query, *titles])).shuffle(titles)
            fields = {"query": query, "items": titles}
            truth = [weights[title] for title in titles]
            yield Question(query_entity(query), fields, truth, tuple(map(title_entity, titles)))
