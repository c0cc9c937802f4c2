"""Keeps questions of evaluation files out of training: by 8-grams of words, as Llama and Tulu do.

Wording that evaluation questions have in common ("Only respond with the results") is not counted, so that a
training question is judged by what it is about and not by how it is asked.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dataset_builders.own_questions import prompts
from dataset_builders.pools.likeness import Hashes, Words
from dataset_builders.raw import RawData
from spine.paths import shown

GRAM = 8  # words
SHARE = 0.5  # of a question's grams that an evaluation question has, from which on it is left out
_WORDING = 3  # evaluation questions that share a gram: it belongs to the way of asking
# What stands alone in a short question: a line, what follows its label, or a quote.
_PIECES = (re.compile(r"(?:^|: )([^\n:]+)$", re.MULTILINE), re.compile(r"'([^'\n]+)'"), re.compile(r'"([^"\n]+)"'))


class Found(NamedTuple):
    """Where a question stands already: ``place`` in an evaluation file, and which share of it (0 to 1)."""

    place: str
    share: float


@dataclass(frozen=True)
class Evaluation:
    """The grams and the short pieces of all evaluation questions, each with the number of one that holds it."""

    places: Sequence[str]
    grams: Hashes  # sorted
    owners: NDArray[np.int64]
    wording: Hashes  # sorted; the grams that tell nothing
    pieces: Mapping[bytes, int]

    @classmethod
    def load(cls, files: Sequence[Path]) -> Evaluation:
        """Reads files in ShopBench's or EC-Guide's form.

        Raises:
            RecipeError: a file is missing, or its rows have no ``input_field``.
        """
        asked = [(f"{shown(file)}, question {n}", text) for file in files for n, text in prompts(RawData(Path()), file)]
        texts = [text for _, text in asked]
        return cls([place for place, _ in asked], *_telling(Words.of([text] for text in texts)), _telling_pieces(texts))

    def find(self, words: Words) -> list[Found | None]:
        """For each question the evaluation question that it repeats, if any."""
        grams, inside = words.grams(GRAM)
        telling = inside & ~np.isin(grams, self.wording)
        owners = np.full(len(grams), -1, np.int64)
        if len(self.grams):
            at = np.minimum(np.searchsorted(self.grams, grams), len(self.grams) - 1)
            owners = np.where(self.grams[at] == grams, self.owners[at], -1)
        everywhere = np.ones(len(grams), dtype=np.bool_)
        rows = zip(words.split(owners, telling), words.split(words.hashes, everywhere), strict=True)
        return [self._judged(own, hashes) for own, hashes in rows]

    def _judged(self, owners: NDArray[np.int64], hashes: Hashes) -> Found | None:
        if len(owners):
            hits = owners[owners >= 0]
            share = len(hits) / len(owners)
            return Found(self.places[int(np.bincount(hits).argmax())], share) if share >= SHARE else None
        place = self.pieces.get(hashes.tobytes())  # too short for a gram: the whole of it, or nothing
        return None if place is None else Found(self.places[place], 1.0)


def _telling(words: Words) -> tuple[Hashes, NDArray[np.int64], Hashes]:
    """The grams that stand in few questions, sorted, and for each the first question it stands in; and the others."""
    grams, inside = words.grams(GRAM)
    owner = np.repeat(np.arange(len(words.starts)), np.diff(np.append(words.starts, len(words.hashes))))
    pairs = np.unique(np.stack([grams[inside], owner[inside].astype(np.uint64)]), axis=1)
    distinct, first, counts = np.unique(pairs[0], return_index=True, return_counts=True)
    few = counts < _WORDING
    return distinct[few], pairs[1][first[few]].astype(np.int64), distinct[~few]


def _telling_pieces(texts: Sequence[str]) -> dict[bytes, int]:
    """Short pieces (by the hashes of their words) that stand in few questions -> the first that has it."""
    held: defaultdict[bytes, list[int]] = defaultdict(list)
    for number, text in enumerate(texts):
        for piece in {text, *_pieces(text)}:
            held[Words.of([[piece]]).hashes.tobytes()].append(number)
    return {piece: numbers[0] for piece, numbers in held.items() if len(numbers) < _WORDING and len(piece) > 8}


def _pieces(text: str) -> Iterator[str]:
    for piece in _PIECES:
        yield from piece.findall(text)
