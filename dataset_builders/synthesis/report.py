"""The quality of what was made, in numbers, in a picture, and answer by answer."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from dataset_builders.pools.likeness import NearDuplicates, Words, answer_of, texts_of
from dataset_builders.synthesis.declare import Synthesis, Unfit, load_synthesis, synthesis_names
from dataset_builders.synthesis.export import Tell, current_heads, export, questions_of, silent, told
from dataset_builders.synthesis.store import AGAIN, KEPT, REJECTED, Head, Record, Store
from dataset_builders.task import Question
from spine.atomic import write_text
from spine.look import ACCENT, GREY, SOFT, WORSE, picture

_MOST = 20_000  # kept answers of a dataset that are read and compared with each other
_CHUNK = 512
_KEPT = (ACCENT, SOFT)
_REJECTED = (WORSE, "#cc7262", "#dd9c90", "#eac3bb", GREY, "#aab3bb", "#cdd3d8")


@dataclass
class Quality:
    """Of one dataset's answers under its present template, by one model.

    Attributes:
        second: kept answers that were sent back once.
        open: sent back, and the second answer is not there yet.
        reasons: of those rejected.
        sent_back: why first answers were sent back; known while the second one is not there or is bad, too.
        near_duplicates: of the questions looked at, those nearly the same as one before, with the same answer.
        words: of the trained answer, as p5, p50, p95.
        seconds: of waiting, per answer.
    """

    dataset: str
    way: str
    model: str
    kept: int = 0
    second: int = 0
    open: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    asked: int = 0
    answered: int = 0
    seconds: float = 0.0
    questions: int = 0
    near_duplicates: int = 0
    words: tuple[float, float, float] = (0.0, 0.0, 0.0)

    @property
    def judged(self) -> int:
        return self.kept + sum(self.reasons.values())

    @property
    def acceptance(self) -> float:
        """Share of seed rows whose answer is kept, 0 to 1."""
        return self.kept / max(1, self.judged)


def qualities(store: Store, tell: Tell = silent) -> list[Quality]:
    """Of everything that was asked with the present templates."""
    known = [load_synthesis(name) for name in synthesis_names()]
    measured = [
        quality(store, head, synthesis, tell) for synthesis in known for head in current_heads(store, synthesis)
    ]
    return [each for each in measured if each.judged or each.open]


def quality(store: Store, head: Head, synthesis: Synthesis, tell: Tell = silent) -> Quality:
    """Of the answers of ``head``; of many, some are read."""
    result = Quality(synthesis.name, str(synthesis.task.llm), head.model)
    reasons: Counter[str] = Counter()
    for count in store.counts(head):
        result.asked += count.asked
        result.answered += count.answered
        result.seconds += count.seconds
        result.kept += count.answers * (count.state == KEPT)
        result.second += count.twice * (count.state == KEPT)
        result.open += count.answers * (count.state == AGAIN)
        reasons[count.reason] += count.answers * (count.state == REJECTED)
    result.reasons = {reason: count for reason, count in reasons.most_common() if count}
    result.seconds = round(result.seconds / max(1, result.judged + result.open), 3)
    records = told(store.records(head, KEPT, _MOST), head.dataset, min(_MOST, result.kept), tell)
    _look(result, records, synthesis)
    return result


def _look(result: Quality, records: Iterator[Record], synthesis: Synthesis) -> None:
    near, lengths = NearDuplicates(), list[int]()
    chunk: list[Question] = []

    def sieve() -> None:
        words = Words.of(texts_of(question) for question in chunk)
        answers = [answer_of(question.type or synthesis.task.type, question) for question in chunk]
        result.near_duplicates += near.sieve(words, answers).count(False)
        lengths.extend(len(answer.split()) for answer in answers)
        chunk.clear()

    for record in records:
        chunk += _questions(record, synthesis)
        if len(chunk) >= _CHUNK:
            sieve()
    if chunk:
        sieve()
    result.questions = len(lengths)
    if lengths:
        p5, p50, p95 = np.percentile(lengths, (5, 50, 95)).tolist()
        result.words = (p5, p50, p95)


def _questions(record: Record, synthesis: Synthesis) -> list[Question]:
    try:
        return questions_of(record, synthesis)
    except Unfit:  # the rules have changed since
        return []


def export_all(
    store: Store, folder: Path, names: Iterable[str], model: str | None = None, tell: Tell = silent
) -> Mapping[str, int]:
    """Questions written, by dataset; and the report beside them."""
    counts = {name: export(store, load_synthesis(name), folder, model, tell) for name in names}
    write_report(store, folder, tell)
    return counts


def write_report(store: Store, folder: Path, tell: Tell = silent) -> list[Quality]:
    """Writes ``report.json``, ``report.md`` and ``report.png`` to ``folder``."""
    measured = qualities(store, tell)
    rows = [asdict(each) | {"acceptance": round(each.acceptance, 4)} for each in measured]
    write_text(folder / "report.json", json.dumps(rows, ensure_ascii=False, indent=1) + "\n")
    write_text(folder / "report.md", _markdown(measured))
    if measured:
        draw(folder / "report.png", measured)
    return measured


def _markdown(measured: Sequence[Quality]) -> str:
    head = ("dataset", "way", "model", "judged", "kept", "of them sent back once", "near-duplicates",
            "words of an answer, p5 p50 p95", "s a row", "rejected because")  # fmt: skip
    lines = ["# What was made\n", "![acceptance by dataset](report.png)\n", _row(head), _row(["---"] * len(head))]
    for each in measured:
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in each.reasons.items()) or "-"
        words = " ".join(f"{value:.0f}" for value in each.words)
        share = f"{each.near_duplicates / max(1, each.questions):.1%}"
        cells = (each.dataset, each.way, each.model, f"{each.judged:,}", f"{each.kept:,} ({each.acceptance:.0%})",
                 f"{each.second:,}", share, words, f"{each.seconds:.2f}", reasons)  # fmt: skip
        lines.append(_row(cells))
    return "\n".join(lines) + "\n"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def draw(path: Path, measured: Sequence[Quality]) -> None:
    """One bar a dataset: kept at once, kept after it was sent back, and rejected by the most common reasons."""
    from matplotlib.ticker import PercentFormatter

    common = sum((Counter(each.reasons) for each in measured), Counter[str]())
    reasons = [reason for reason, _ in common.most_common(len(_REJECTED) - 1)]
    parts: Mapping[str, Sequence[int]] = {
        "kept": [each.kept - each.second for each in measured],
        "kept, sent back once": [each.second for each in measured],
        **{reason: [each.reasons.get(reason, 0) for each in measured] for reason in reasons},
        "other reasons": [sum(n for reason, n in each.reasons.items() if reason not in reasons) for each in measured],
    }
    models = sorted({each.model for each in measured})
    names = [each.dataset if len(models) == 1 else f"{each.dataset}, {each.model}" for each in measured]
    with picture(path, 10, 1.6 + 0.3 * len(measured)) as figure:
        axes = figure.add_subplot()
        places, left = np.arange(len(measured)), np.zeros(len(measured))
        for (name, counts), colour in zip(parts.items(), (*_KEPT, *_REJECTED), strict=False):
            widths = np.array(counts) / [max(1, each.judged) for each in measured]
            if widths.any():
                axes.barh(places, widths, 0.7, left=left, color=colour, label=name)
            left += widths
        for place, each in enumerate(measured):
            axes.text(1.01, place, f"{each.kept:,} of {each.judged:,}", va="center", fontsize=8)
        axes.set_yticks(places, names)
        axes.set(xlim=(0, 1), ylim=(len(measured) - 0.5, -0.5))
        axes.xaxis.set_major_formatter(PercentFormatter(1))
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        kept, judged = sum(each.kept for each in measured), sum(each.judged for each in measured)
        axes.set_title(f"{kept:,} of {judged:,} answers of {', '.join(models)} are kept")
        figure.legend(loc="outside lower center", ncols=3)


def samples(store: Store, name: str, state: int | None) -> Iterator[tuple[Head, Record, list[Question]]]:
    """The answers of a dataset, of every model, with the questions that they make."""
    synthesis = load_synthesis(name)
    for head in current_heads(store, synthesis):
        for record in store.records(head, state):
            yield head, record, _questions(record, synthesis)
