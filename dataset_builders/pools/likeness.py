"""Which questions are nearly the same, and which an evaluation file asks already: both by overlapping words.

Texts become arrays of 64-bit word hashes, and all that follows is array arithmetic: about 30 us a question.
Near-duplicates are found by MinHash with banding (Broder 1997) and confirmed by the exact Jaccard index, so a pair
that is removed really is that alike.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataset_builders.task import Question
from spine.task_types import TaskType

Hashes = NDArray[np.uint64]

NEAR = 0.8  # Jaccard index of the sets of shingles from which on two questions with one answer are near-duplicates
SHINGLE = 3  # words
# Chance that a pair is compared at all, at a Jaccard index of 0.8: 98.5%; at 0.9: 99.98%; at 0.5: 40%.
_BANDS, _ROWS = 8, 4
_FEW = 20  # questions, too few to tell what is common to them
_COMPARED = 8  # candidates of one bucket: enough to find a likeness, few enough that a crowd does not cost its square

# Japanese and Chinese write words together: there every letter counts as one. \0 ends a text.
_WORD = re.compile(r"\0|[\u3040-\u30ff\u3400-\u9fff]|[^\W_\u3040-\u30ff\u3400-\u9fff]+")
_MOST_WORDS_KNOWN = 200_000
_random = np.random.default_rng(2024)
_FACTORS = _random.integers(1, 2**63, size=(_BANDS * _ROWS, 1), dtype=np.uint64) * np.uint64(2) + np.uint64(1)
_PLACES = _random.integers(1, 2**63, size=32, dtype=np.uint64) * np.uint64(2) + np.uint64(1)


def hash64(text: str) -> int:
    """64 bits of a text, the same on every machine; never 0, which ends a text."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest()) or 1


class _Words(dict[str, int]):
    """Word -> its hash, remembered; a text of a shop has few different ones."""

    def __missing__(self, word: str) -> int:
        if len(self) > _MOST_WORDS_KNOWN:
            self.clear()
        hashed = self[word] = 0 if word == "\0" else hash64(word)
        return hashed


_known = _Words()


@dataclass(frozen=True)
class Words:
    """The words of some questions one after the other; a 0 ends each text, ``starts`` are where questions begin."""

    hashes: Hashes
    starts: NDArray[np.int64]

    @classmethod
    def of(cls, questions: Iterable[Sequence[str]]) -> Words:
        """Of each question all its texts."""
        hashes: list[int] = []
        starts: list[int] = []
        for texts in questions:
            starts.append(len(hashes))
            hashes += map(_known.__getitem__, _WORD.findall("\0".join((*texts, "")).casefold()))
            if len(hashes) == starts[-1] or hashes[-1]:
                hashes.append(0)
        return cls(np.array(hashes, dtype=np.uint64), np.array(starts, dtype=np.int64))

    def grams(self, n: int) -> tuple[Hashes, NDArray[np.bool_]]:
        """The hash of the ``n`` words from each place on, and whether they stand within one text.

        Near the end of a text the words that are left count as one gram, so that short texts have some, too.
        """
        size = len(self.hashes)
        padded = np.concatenate([self.hashes, np.zeros(n, dtype=np.uint64)])
        grams = np.zeros(size, dtype=np.uint64)
        inside = np.ones(size, dtype=np.bool_)
        for place in range(n):
            word = padded[place : place + size]
            inside &= word != 0
            grams += np.where(inside, word * _PLACES[place], 0)
        return _mixed(grams), inside

    def split(self, values: NDArray[Any], where: NDArray[np.bool_]) -> list[NDArray[Any]]:
        """``values`` question by question, those ``where`` it holds."""
        ends = np.append(self.starts[1:], len(self.hashes))
        return [values[a:b][where[a:b]] for a, b in zip(self.starts, ends, strict=True)]


def _mixed(values: Hashes) -> Hashes:
    """Spreads sums of products over all 64 bits (the finaliser of splitmix64)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def texts_of(question: Question, common: Collection[str] = ()) -> list[str]:
    """The texts that make a question what it is: all its fields, but the ``common`` ones."""
    return [text for text in _texts(question.fields.values()) if text not in common]


def common_texts(questions: Sequence[Question]) -> frozenset[str]:
    """What more than half of the questions say: the five sentiments, the name of an entity type. It belongs to the
    way of asking."""
    counts = Counter(text for question in questions for text in set(texts_of(question)))
    return frozenset(text for text, count in counts.items() if 2 * count > len(questions) > _FEW)


def _texts(values: Iterable[Any]) -> Iterator[str]:
    for value in values:
        if isinstance(value, str):
            yield value
        elif isinstance(value, list | tuple):
            yield from _texts(value)


def answer_of(task_type: TaskType, question: Question) -> str:
    """The answer as what it says, not where it stands: the text of the right option, the items in their order."""
    truth, fields = question.truth, question.fields
    if isinstance(truth, int):
        options = fields.get("options")
        return str(truth) if options is None else str(options[truth])
    if isinstance(truth, str):
        return truth
    items = fields.get("items")
    if items is None:
        return "\n".join(sorted(map(str, truth)))
    if task_type is TaskType.RANKING:
        order = sorted(range(len(items)), key=lambda at: (-float(truth[at]), items[at]))
        return "\n".join(items[at] for at in order)
    return "\n".join(sorted(items[int(position) - 1] for position in truth))


@dataclass
class NearDuplicates:
    """Remembers the questions that were kept; tells of a new one whether it is nearly one of them."""

    _buckets: dict[int, list[int]] = field(default_factory=dict)
    _kept: list[Hashes] = field(default_factory=list)

    def sieve(self, words: Words, answers: Sequence[str]) -> list[bool]:
        """For each question whether it is new; those that are will be remembered."""
        grams, _ = words.grams(SHINGLE)
        sets = [np.unique(shingles) for shingles in words.split(grams, words.hashes != 0)]
        bands = _bands(sets)
        return [self._is_new(shingles, own, answer) for shingles, own, answer in zip(sets, bands, answers, strict=True)]

    def _is_new(self, shingles: Hashes, bands: Sequence[int], answer: str) -> bool:
        if not len(shingles):
            return True
        seal = hash64(answer)  # another answer makes it another question: a passage may be asked about twice
        buckets = [self._buckets.setdefault(band ^ seal, []) for band in bands]
        for other in dict.fromkeys(at for bucket in buckets for at in bucket[:_COMPARED]):
            common = len(np.intersect1d(shingles, self._kept[other], assume_unique=True))
            if common >= NEAR * (len(shingles) + len(self._kept[other]) - common):
                return False
        for bucket in buckets:
            if len(bucket) < _COMPARED:
                bucket.append(len(self._kept))
        self._kept.append(shingles)
        return True


def _bands(sets: Sequence[Hashes]) -> list[list[int]]:
    """For each set of shingles its bands: two sets share one with a chance that grows steeply with their likeness."""
    filled = [shingles if len(shingles) else np.zeros(1, dtype=np.uint64) for shingles in sets]
    flat = np.concatenate(filled)
    starts = np.cumsum([0, *map(len, filled[:-1])])
    lowest = np.minimum.reduceat(_mixed(flat * _FACTORS), starts, axis=1)  # (permutations, questions)
    rows = lowest.reshape(_BANDS, _ROWS, -1) * _PLACES[:_ROWS, None]
    bands: list[list[int]] = _mixed(rows.sum(axis=1, dtype=np.uint64) + _PLACES[-_BANDS:, None]).T.tolist()
    return bands
