"""A folder of published files as a build sees it: which rows it takes of giant files, and which it could not read."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from spine.errors import RecipeError
from spine.paths import shown

T = TypeVar("T")
# Why a row is not asked about where its builder does not say it.
NO_QUESTION = "rows that gave no question"
# Of a larger file, an even sample of entities is read; packed text counts as five times its size.
MOST_BYTES = 2 << 30
_UNPACKED = 5
# A file is not judged by its first rows alone.
_LEAST_ROWS = 10_000
_MOST_ACCEPTED = 0.5  # of a file's rows; beyond, it is another kind of file


@dataclass
class RawData:
    """``folder`` holds one folder a source. Rows that cannot be read are noted and left out.

    Attributes:
        max_rejected: the share of a file's rows that may be left out; one row more and the build stops.
        most_bytes: what is read of one file before only a sample of its entities is taken.
        rejected: place (``file:line``) -> what is wrong there, in the order of reading.
        remarks: what a reader found of a whole file that leaves datasets without questions.
        lacking: reason -> sound rows that a dataset cannot ask about, since they lack what it asks for.
        watched: whether ``through`` counts; who goes through the questions then says of each that it was ``heard``.
        heard: questions that builders gave, and rows that they keep for later ones or were told to pass over.
        unheard: rows of the last pass in which nothing was heard.
    """

    folder: Path
    max_rejected: float = 0.01
    most_bytes: int = MOST_BYTES
    rejected: dict[str, str] = field(default_factory=dict)
    remarks: dict[str, None] = field(default_factory=dict)
    lacking: Counter[str] = field(default_factory=Counter)
    watched: bool = False
    heard: int = 0
    unheard: int = 0

    def __truediv__(self, name: str) -> Path:
        return self.folder / name

    def reject(self, place: str, problem: str) -> None:
        """Notes a row that is left out."""
        self.rejected[place] = problem

    def through(self, rows: Iterable[T]) -> Iterator[T]:
        """``rows``, one after the other; counted is each after which a builder gave neither a question nor a reason.

        A pass without any question or reason is one that the builder learns from: its rows are not left out.
        """
        begun = before = self.heard + self.lacking.total()
        silent = 0
        for row in rows:
            yield row
            if self.watched:
                now = self.heard + self.lacking.total()
                silent, before = silent + (now == before), now
        if before != begun:
            self.lacking[NO_QUESTION] += silent
        else:
            self.unheard = silent

    def judge(self, path: Path, rejected: int, read: int, *, ended: bool) -> None:
        """Stops the build when ``path`` has lost more of its rows than it may.

        Raises:
            RecipeError: with the first places and the way to allow more.
        """
        if not rejected or rejected <= self.max_rejected * max(read, 1 if ended else _LEAST_ROWS):
            return
        own = [(place, what) for place, what in self.rejected.items() if place.startswith(shown(path))]
        first = "".join(f"\n  {place}: {what}" for place, what in own[:5])
        share = rejected / max(read, 1)
        accept = f', or accept it: SET="max_rejected={share + 0.01:.2f}"' if share <= _MOST_ACCEPTED else ""
        of = f"{read:,}" if ended else f"the first {read:,}"
        raise RecipeError(
            f"{rejected:,} of {of} rows cannot be read; {self.max_rejected:.1%} may be left out. The first:{first}",
            where=shown(path),
            way_out=f"mend or fetch the file again{accept}",
        )

    def sieve(self, *paths: Path) -> Callable[[str], bool]:
        """Tells for an entity's name whether its rows are read: the same answer for every file of a join.

        A file of 20 GB is read as 10% of its products with all their reviews, not as its first 10%.
        """
        largest = max((path.stat().st_size * (_UNPACKED if path.suffix == ".gz" else 1) for path in paths), default=0)
        if largest <= self.most_bytes:
            return lambda key: True
        limit = int(self.most_bytes / largest * 2**64)
        return lambda key: int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest()) < limit
