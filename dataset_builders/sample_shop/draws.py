"""Random draws that belong to one row: they depend on (seed, kind, index) and on nothing drawn before.

``random.Random`` takes 6 us to seed, more than a whole row may cost here. A draw is instead one digit of a
512-bit hash, read in a mixed radix: 0.2 us, and the same on every machine.
"""

from __future__ import annotations

from base64 import b32encode
from collections.abc import Sequence
from hashlib import blake2b
from typing import TypeVar

T = TypeVar("T")
_LOW = 1 << 64  # below this many states left, the next digit would be visibly uneven


class Draw:
    """The stream of draws of row ``index`` of a ``kind`` of rows."""

    __slots__ = ("_key", "_state", "_turn")

    def __init__(self, seed: int, kind: str, index: int) -> None:
        self._key = f"{seed}/{kind}/{index}"
        self._turn = 0
        self._state = int.from_bytes(blake2b(self._key.encode()).digest())

    def below(self, n: int) -> int:
        """Uniform in 0 .. n-1."""
        if self._state < _LOW:
            self._refill()
        self._state, digit = divmod(self._state, n)
        return digit

    def _refill(self) -> None:
        self._turn += 1
        self._state = int.from_bytes(blake2b(f"{self._key}/{self._turn}".encode()).digest())

    def between(self, low: int, high: int) -> int:
        """Uniform in low .. high, both included."""
        return low + self.below(high - low + 1)

    def chance(self, percent: int) -> bool:
        return self.below(100) < percent

    def pick(self, items: Sequence[T]) -> T:
        if self._state < _LOW:  # as in below(), written out: this is what everything here spends its time on
            self._refill()
        self._state, digit = divmod(self._state, len(items))
        return items[digit]

    def some(self, items: Sequence[T], k: int) -> list[T]:
        """``k`` different ones (all of them if there are fewer), in random order."""
        pool = list(items)
        return [pool.pop(self.below(len(pool))) for _ in range(min(k, len(pool)))]

    def shuffled(self, items: Sequence[T]) -> list[T]:
        return self.some(items, len(items))

    def token(self, k: int) -> str:
        """``k`` capital letters and digits, at most 32."""
        return b32encode(blake2b(f"{self._key}/token".encode(), digest_size=20).digest())[:k].decode()
