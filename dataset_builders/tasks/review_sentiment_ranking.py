"""Five reviews, to be ranked from positive to negative; each has another sentiment.

https://huggingface.co/datasets/NingLab/ECInstruct
ecinstruct/dataset.json, task Sentiment_Analysis (invented, shortened):

    {"input": "It broke in a week.", "options": "[\\"A: very positive\\", \\"B: positive\\", ...]",
     "output": "E: very negative", "task": "Sentiment_Analysis", "setting": "IND_Diverse_Instruction"}
"""

from __future__ import annotations

import re
from collections import defaultdict

from dataset_builders.given_away import tells_stars
from dataset_builders.held_out import held_out
from dataset_builders.sources import ecinstruct
from dataset_builders.task import Question, Questions, RawData, Seeded, TaskType, task
from dataset_builders.tasks._common import one_line
from dataset_builders.tasks._ecinstruct import lettered, review_entity

# With their weights: ShopBench's ranking has weights from 0 to 1.
_SENTIMENTS = {"very positive": 1.0, "positive": 0.75, "neutral": 0.5, "negative": 0.25, "very negative": 0.0}
_LONGEST = 500  # characters of a review; what is cut off might be the verdict
# What only the discontent write, and what the content do. Stars are given in haste: a writer who sends the thing back
# is not content whatever the label says, and beside others that cannot be ranked.
_BACK = re.compile(
    r"(?<!not )(?<!never )(?<!n't )(?<!not be )(?<!n't be )\bdisappoint|\breturn(?:ed|ing)\b"
    r"|\b(?:sen[dt]|going|went) (?:\w+ )?back"
    r"|\brefund|\bwast(?:e|ed)\b|\b(?:horrib|terrib|awful|hideous|useless|junk|garbage)|\bnot worth|n't buy|\bnot buy"
    r"|\bunflattering|(?:not|n't) (?:\w+ )?(?:flattering|recommend)|\bworst|\bridiculous"
)
_GLAD = re.compile(
    r"\b(?<!not )(?<!wanted to )(?:love[ds]?|perfect(?:ly)?|great|happy|excellent|wonderful|fantastic|amazing|awesome"
    r"|gorgeous|highly recommend)\b"
)


@task(type=TaskType.RANKING, source="ecinstruct", track=3, llm="reword", rates=True)
def build(raw: RawData, seeded: Seeded) -> Questions:
    # All of them at once (10,000 are published): a negative one is rare, and asked about beside many others.
    reviews: dict[str, str] = {}
    for row in ecinstruct.examples(raw, "Sentiment_Analysis"):
        review, sentiment = one_line(str(row.input)), lettered(row)[0]
        if sentiment in _SENTIMENTS and 0 < len(review) <= _LONGEST:
            if tells_stars(review):  # here, or it would cost every question that shows it
                raw.lacking["its text tells the stars"] += 1
            elif _may_be(review.lower(), _SENTIMENTS[sentiment]):
                reviews[review] = sentiment
                raw.heard += 1
            else:
                raw.lacking["its words speak against its sentiment"] += 1
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


def _may_be(review: str, weight: float) -> bool:
    """Whether no word of a review, in lower case, speaks against its sentiment."""
    if weight >= 0.5:
        return not _BACK.search(review)
    return bool(_BACK.search(review)) or not _GLAD.search(review)
