"""Which questions of a stream a blend takes first: those whose entities have the lowest hashes.

That is an even sample of all there are, the same in whatever order they come, and it is known early of most questions
that they will not be in it: those need not be worked out.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator

import orjson

from dataset_builders.held_out import HELD_OUT_SEED, held_out
from dataset_builders.task import Origin, Question, Seeded
from spine.task_types import TaskType

# Questions kept beyond the rows wanted, to stand in for near-duplicates and rows in evaluation files.
_SPARE = 1.15


class Lowest:
    """The ``size`` questions of lowest rank, packed; memory holds no more."""

    def __init__(self, size: int) -> None:
        self._size, self._heap, self._number = size, list[tuple[int, int, bytes]](), 0
        self.limit = 2**64 if size else 0  # ranks from here on will not be taken

    def offer(self, rank: int, packed: bytes) -> None:
        if rank >= self.limit:
            return
        self._number += 1
        heapq.heappush(self._heap, (-rank, self._number, packed))
        if len(self._heap) > self._size:
            heapq.heappop(self._heap)
            self.limit = -self._heap[0][0] + 1

    def taken(self) -> Iterator[bytes]:
        """From the lowest rank on; where ranks are equal, by what is asked. Each is let go of as it is given."""
        waiting, self._heap = self._heap, []
        waiting.sort(key=lambda held: (-held[0], held[2]), reverse=True)
        while waiting:
            yield waiting.pop()[2]


class Choice:
    """One stream of questions, and of each side those that a blend takes first, with some to spare."""

    def __init__(self, task: str, seed: int, *, train: int, val: int) -> None:
        sizes = {"train": train, "val": val}
        self.sides = {side: Lowest(int(wanted * _SPARE) + 8 if wanted else 0) for side, wanted in sizes.items()}
        self._ranks = {"train": Seeded(seed, task), "val": Seeded(HELD_OUT_SEED, task)}
        self.asked = self.refused = 0

    def wants(self, entity: str, key: str) -> bool:
        """See ``task.Seeded``."""
        side = "val" if held_out(entity) else "train"
        self.asked += 1
        if self._ranks[side].digest(f"{entity}\0{key}") < self.sides[side].limit:
            return True
        self.refused += 1
        return False

    def offer(self, question: Question) -> str:
        """The side that the question is on. Those made by an LLM are taken before all others."""
        side = "val" if held_out(question.entity) else "train"
        rank, lowest = self._ranks[side].digest(f"{question.entity}\0{question.key}"), self.sides[side]
        rank >>= 32 if question.origin else 0
        if rank < lowest.limit:  # most are not packed at all
            lowest.offer(rank, packed(question))
        return side


def packed(question: Question) -> bytes:
    """A question as text: a third of the memory. What is asked comes first, so that it decides the order."""
    parts = (question.fields, question.truth, question.entity, question.also, question.type, question.key)
    return orjson.dumps([*parts, question.origin and tuple(question.origin)], option=orjson.OPT_SORT_KEYS)


def unpacked(text: bytes) -> Question:
    """The same question."""
    fields, truth, entity, also, kind, key, origin = orjson.loads(text)
    kind, origin = kind and TaskType(kind), origin and Origin(*origin)
    return Question(entity, fields, truth, tuple(also), kind, key, origin)
