"""What a blend's synthesis has to do: which datasets, how many rows, what is stored already, what is left to ask."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from dataset_builders.pools.choice import unpacked
from dataset_builders.synthesis import request
from dataset_builders.synthesis.budget import Price
from dataset_builders.synthesis.declare import Synthesis, load_synthesis, synthesis_names
from dataset_builders.synthesis.export import Tell, judge_anew, silent
from dataset_builders.synthesis.request import Settings, template_digest
from dataset_builders.synthesis.seeds import SeedFile, SeedRequest
from dataset_builders.synthesis.store import AGAIN, KEPT, REJECTED, Head, Store
from spine.errors import RecipeError, did_you_mean

_CLAIMED = 64  # seed rows that are taken at a time
_LOOKED_AT = 20  # seed rows of a dataset, from which the length of its requests is told
_ENOUGH = 20  # answers, from which on their mean length is taken


@dataclass
class Work:
    """One dataset: what it wants, and what it has. ``left``: seed rows that may still be asked about, at first."""

    synthesis: Synthesis
    head: Head
    seeds: SeedFile
    wanted: int
    kept: int = 0
    rejected: int = 0
    left: int = 0
    out: int = 0
    sent_back: int = 0  # first answers that an earlier run got, whose second ones are not there
    _begun: int = 0
    _claimed: deque[tuple[bytes, bytes]] = field(default_factory=deque)
    _unasked: Iterator[tuple[bytes, bytes]] = field(default_factory=lambda: iter(()))

    @classmethod
    def of(cls, synthesis: Synthesis, head: Head, seeds: SeedFile, wanted: int, store: Store) -> Work:
        """With what the store holds already."""
        counts, todo = store.tally(head), seeds.without(store.settled(head))
        work = cls(synthesis, head, seeds, wanted, counts.get(KEPT, 0), counts.get(REJECTED, 0), len(todo))
        work._unasked, work.sent_back = seeds.rows(iter(todo)), counts.get(AGAIN, 0)
        return work

    def next(self, store: Store) -> tuple[bytes, bytes] | None:
        """The next seed row that is ours to ask about; ``None`` where enough are out or there are no more."""
        while not self._claimed and self.kept + self.out < self.wanted:
            # Another process may be at work on the same dataset. Of what is stored, some that are out may be ours.
            self.kept = max(self.kept, store.tally(self.head).get(KEPT, 0) - self.out)
            rows = list(islice(self._unasked, min(_CLAIMED, max(0, self.wanted - self.kept))))
            if not rows:
                return None
            mine = store.claim(self.head, [digest for digest, _ in rows])
            self._claimed.extend(row for row in rows if row[0] in mine)
        if self._claimed and self.kept + self.out < self.wanted:
            self.out += 1
            self._begun += 1
            return self._claimed.popleft()
        return None

    @property
    def share(self) -> float:
        """Of what is wanted, that was asked for in this run: a dataset whose answers are all bad takes no more than
        its part."""
        return self._begun / max(1, self.wanted)


@dataclass(frozen=True)
class Estimate:
    """What a dataset may still take: ``requests`` if no answer is rejected, and about so many tokens."""

    name: str
    way: str
    wanted: int
    kept: int
    left: int
    requests: int
    asked: int
    answered: int

    def dollars(self, price: Price) -> float:
        return price.of(self.asked, self.answered)


def enhanced(names: Iterable[str], only: Sequence[str] = ()) -> list[str]:
    """Those of the datasets ``names`` that an LLM can enhance; ``only`` these, if any are given.

    Raises:
        RecipeError: one of ``only`` is not among them.
    """
    known = [name for name in names if name in synthesis_names()]
    for name in only:
        if name not in known:
            raise RecipeError(f"no synthesis for '{name}' in this blend", way_out=did_you_mean(name, known))
    return [name for name in known if name in only] if only else known


def prepare(
    wanted: Sequence[SeedRequest],
    files: Mapping[str, Path],
    store: Store,
    model: str,
    settings: Settings,
    tell: Tell = silent,
) -> list[Work]:
    """What each dataset wants and has; answers are judged anew where the rules have changed.

    Args:
        files: of seed rows, by dataset.
        tell: told of the answers that are judged.
    """
    works = []
    for seed_request in wanted:
        synthesis = load_synthesis(seed_request.name)
        head = store.head(seed_request.name, template_digest(synthesis), model, settings.text(synthesis))
        judge_anew(store, head, synthesis, tell)
        works.append(Work.of(synthesis, head, SeedFile(files[seed_request.name]), seed_request.rows, store))
    return works


def estimates(works: Sequence[Work], store: Store, settings: Settings) -> list[Estimate]:
    """Of each dataset; looks at the first seed rows that would be asked about."""
    return [_estimate(work, store, settings) for work in works]


def _estimate(work: Work, store: Store, settings: Settings) -> Estimate:
    counts = store.counts(work.head)
    answers, tokens = (sum(getattr(count, name) for count in counts) for name in ("answers", "answered"))
    length = tokens / answers if answers >= _ENOUGH else settings.tokens(work.synthesis)
    requests = min(work.left, max(0, work.wanted - work.kept))
    rows = [unpacked(row) for _, row in islice(work.seeds.rows(iter(range(len(work.seeds)))), _LOOKED_AT)]
    lengths = [request.estimated_tokens(request.first(work.synthesis, row)) for row in rows]
    each = sum(lengths) / max(1, len(lengths))
    return Estimate(
        work.synthesis.name, str(work.synthesis.task.llm), work.wanted, work.kept, work.left, requests,
        round(requests * each), round(requests * length),
    )  # fmt: skip
