"""Five reviews, to be ranked from positive to negative; each has another sentiment.

https://huggingface.co/datasets/NingLab/ECInstruct
ecinstruct/dataset.json, task Sentiment_Analysis (invented, shortened):

    {"input": "It broke in a week.", "options": "[\\"A: very positive\\", \\"B: positive\\", ...]",
     "output": "E: very negative", "task": "Sentiment_Analysis", "setting": "IND_Diverse_Instruction"}
"""

from __future__ import annotations

from collections import defaultdict

from dataset_builders.held_out import held_out
from dataset_builders.sources import ecinstruct
from dataset_builders.task import Question, Questions, RawData, Seeded, TaskType, task
from dataset_builders.tasks._common import one_line
from dataset_builders.tasks._ecinstruct import lettered, review_entity

# With their weights: ShopBench's ranking has weights from 0 to 1.
_SENTIMENTS = {"very positive": 1.0, "positive": 0.75, "neutral": 0.5, "negative": 0.25, "very negative": 0.0}
_LONGEST = 500  # characters of a review; what is cut off might be the verdict


@task(type=TaskType.RANKING, source="ecinstruct", track=3, llm="reword", rates=True)
def build(raw: RawData, seeded: Seeded) -> Questions:
    # All of them at once (10,000 are published): a negative one is rare, and asked about beside many others.
    reviews: dict[str, str] = {}
    for row in ecinstruct.examples(raw, "Sentiment_Analysis"):
        review, sentiment = one_line(str(row.input)), lettered(row)[0]
        if sentiment in _SENTIMENTS and 0 < len(review) <= _LONGEST:
            reviews[review] = sentiment
    sides: defaultdict[tuple[str, bool], list[str]] = defaultdict(list)
    for review, sentiment in reviews.items():
        sides[sentiment, held_out(review_entity(review))].append(review)
    for review, sentiment in reviews.items():
        own = review_entity(review)
        others = [sides[other, held_out(own)] for other in _SENTIMENTS if other != sentiment]
        if seeded.wants(own) and all(others):
            rng = seeded.rng(own)
            listed = [review, *map(rng.choice, others)]
            rng.shuffle(listed)
            also = tuple(review_entity(other) for other in listed if other != review)
            yield Question(own, {"items": listed}, [_SENTIMENTS[reviews[item]] for item in listed], also)
