"""Two to five products, to be ranked by how well they fit a query, each better or worse than the next.

https://huggingface.co/datasets/NingLab/ECInstruct
ecinstruct/dataset.json, task Query_Product_Ranking (invented, shortened; the output lists the best first):

    {"input": "{\\"query\\": \\"oak bread board\\", \\"product list\\": [\\"A: Bread Knife\\", \\"B: Oak Board\\"]}",
     "output": "B,A"}
"""

from __future__ import annotations

from collections.abc import Mapping

from dataset_builders.pools.fitness import MOST_RANKED
from dataset_builders.sources import ecinstruct
from dataset_builders.task import Question, Questions, RawData, Seeded, TaskType, task
from dataset_builders.tasks._common import distinct, one_line, query_entity
from dataset_builders.tasks._ecinstruct import field, title_entity

# By place. Labels are not published; no two products of a list have the same one, hence ShopBench's own steps.
_WEIGHTS = (1.0, 0.1, 0.01, 0.001, 0.0)


@task(type=TaskType.RANKING, source="ecinstruct", track=3)
def build(raw: RawData, seeded: Seeded) -> Questions:
    for row in ecinstruct.examples(raw, "Query_Product_Ranking"):
        query, ranked = field(row.input, "query"), _ranked(row)
        if query and 2 <= len(ranked) <= MOST_RANKED:
            weights = dict(zip(ranked, _WEIGHTS, strict=False))
            seeded.rng("\n".join([query, *ranked])).shuffle(ranked)
            fields = {"query": query, "items": ranked}
            truth = [weights[title] for title in ranked]
            yield Question(query_entity(query), fields, truth, tuple(map(title_entity, ranked)))


def _ranked(row: ecinstruct.Example) -> list[str]:
    """The titles, best first; none unless the output orders exactly those that are listed."""
    listed = row.input.get("product list") if isinstance(row.input, Mapping) else None
    lines = [str(line).partition(":") for line in listed] if isinstance(listed, list) else []
    titles = {letter: one_line(title, 200) for letter, _, title in lines}
    order = [letter.strip() for letter in row.output.split(",")]
    whole = sorted(order) == sorted(titles) and len(distinct(filter(None, titles.values()))) == len(lines)
    return [titles[letter] for letter in order] if whole else []
