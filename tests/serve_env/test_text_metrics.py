"""The metrics of texts beside formulas written anew from their description, and beside the models used directly."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.scoring import metrics
from inference.scoring.metrics import NotComputed

words = st.sampled_from(
    ["the", "oak", "Oak", "boards", "board,", "running", "runs", "40cm", "(oiled)", "-", "é", "木", ","]
)
sentences = st.lists(words, max_size=9).map(" ".join) | st.text(max_size=12)
japanese = st.lists(st.sampled_from(["木の", "まな板", "40cm", "オイル", " ", "BOARD", "。"]), max_size=7).map("".join)


def longest_common(one: list[str], other: list[str]) -> int:
    if not one or not other:
        return 0
    row = [0] * (len(other) + 1)
    for word in one:
        before = row[:]
        for at, second in enumerate(other, start=1):
            row[at] = before[at - 1] + 1 if word == second else max(before[at], row[at - 1])
    return row[-1]


def rouge_l(prediction: str, truth: str) -> float:
    from nltk.stem.porter import PorterStemmer

    stem = PorterStemmer().stem
    cut = [
        [stem(word) if len(word) > 3 else word for word in re.split("[^a-z0-9]+", text.lower()) if word]
        for text in (prediction, truth)
    ]
    common = longest_common(*cut)
    if not common:
        return 0.0
    precision, recall = common / len(cut[0]), common / len(cut[1])
    return 2 * precision * recall / (precision + recall)


def bleu(prediction: str, truth: str, tokens: Callable[[str], list[str]]) -> float:
    """Papineni's BLEU of 1- to 4-grams on one sentence; the k-th empty match counts as 1 / 2**k ("exp" smoothing)."""
    said, meant = tokens(prediction.strip("\n").split("\n")[0].lower()), tokens(truth.lower())
    logs, empty = 0.0, 0
    for n in range(1, 5):
        grams = [Counter(tuple(text[at : at + n]) for at in range(len(text) - n + 1)) for text in (said, meant)]
        total, common = sum(grams[0].values()), sum((grams[0] & grams[1]).values())
        if n == 1 and not common:  # no word in common
            return 0.0
        if not total:
            return 0.0
        empty += not common
        logs += math.log((common or 2.0**-empty) / total) / 4
    brevity = 1.0 if len(said) >= len(meant) else math.exp(1 - len(meant) / len(said))
    return brevity * math.exp(logs)


def tokens_13a(text: str) -> list[str]:
    text = f" {text} ".replace("&quot;", '"').replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">")
    text = text.replace("<skipped>", "").replace("-\n", "").replace("\n", " ")
    text = re.sub(r"([{-~\[-` -&(-+:-@/])", r" \1 ", text)
    text = re.sub(r"([^0-9])([.,])", r"\1 \2 ", text)
    text = re.sub(r"([.,])([^0-9])", r" \1 \2", text)
    text = re.sub(r"([0-9])(-)", r"\1 \2 ", text)
    return text.split()


def tokens_mecab(text: str) -> list[str]:
    import ipadic
    import MeCab

    return MeCab.Tagger(ipadic.MECAB_ARGS + " -Owakati").parse(text.strip()).strip().split()


@settings(deadline=None)
@given(sentences, sentences)
def test_rouge_l(prediction: str, truth: str) -> None:
    assert metrics.scorer("rougel")(prediction, truth) == pytest.approx(rouge_l(prediction, truth), abs=1e-9)


@settings(deadline=None)
@given(sentences, sentences)
def test_bleu(prediction: str, truth: str) -> None:
    assert metrics.scorer("bleu")(prediction, truth) == pytest.approx(bleu(prediction, truth, tokens_13a), abs=1e-9)


@settings(deadline=None)
@given(japanese, japanese)
def test_bleu_in_japanese(prediction: str, truth: str) -> None:
    expected = bleu(prediction, truth, tokens_mecab)
    assert metrics.scorer("jp-bleu")(prediction, truth) == pytest.approx(expected, abs=1e-9)


def test_only_the_first_line_counts_for_bleu() -> None:
    title = "Oak bread board with a juice groove"
    for name in ("bleu", "jp-bleu"):
        score = metrics.scorer(name)
        assert score(f"\n{title.upper()}\nand more words that are wrong", title) == pytest.approx(1.0)
        assert score("", title) == score("\n", title) == 0.0


def test_sentences_are_compared_as_the_model_itself_compares_them() -> None:
    from sentence_transformers import SentenceTransformer

    texts = ["A toggle switch is worked by a lever.", "A switch with a lever", "", "木のまな板", "Bananas are yellow."]
    folder = metrics._sentence_folder("all-MiniLM-L6-v2")
    model = SentenceTransformer(str(folder), device="cpu")
    score = metrics.scorer("sent-transformer")
    for one, other in pairwise(texts):
        a, b = (model.encode([text])[0].astype("float64") for text in (one, other))
        cosine = float(a @ b / math.sqrt((a @ a) * (b @ b)))
        assert score(one, other) == pytest.approx(max(0.0, cosine), abs=1e-6)
    both = (score(texts[0], texts[1]) + score(texts[0], texts[4])) / 2
    assert score(texts[0], texts[0]) == pytest.approx(1.0) and score(texts[0], texts[1]) > 0.6
    assert score(texts[0], [texts[1], texts[4]]) == pytest.approx(both, abs=0.05)


def test_a_model_that_is_not_there_is_no_score_of_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECIPE_METRIC_MODELS", "/nonexistent")
    with pytest.raises(NotComputed, match="RECIPE_METRIC_MODELS"):
        metrics.scorer("multilingual-sent-transformer")
