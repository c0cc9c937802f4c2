"""A blend's synthesis put together: which datasets, how many rows, what is stored already, what is left to ask."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from dataset_builders.pools.choice import unpacked
from dataset_builders.synthesis import request
from dataset_builders.synthesis.budget import Price
from dataset_builders.synthesis.declare import load_synthesis, synthesis_names
from dataset_builders.synthesis.export import Tell, export, judge_anew, silent
from dataset_builders.synthesis.plan import SeedFile, SeedRequest
from dataset_builders.synthesis.report import write_report
from dataset_builders.synthesis.request import Settings, template_digest
from dataset_builders.synthesis.run import Work
from dataset_builders.synthesis.store import Store
from dataset_builders.task import load_task
from spine.errors import RecipeError, did_you_mean

_LOOKED_AT = 20  # seed rows of a dataset, from which the length of its requests is told
_ENOUGH = 20  # answers, from which on their mean length is taken


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
    for one in wanted:
        synthesis, task = load_synthesis(one.name), load_task(one.name)
        head = store.head(one.name, template_digest(synthesis), model, settings.text(synthesis))
        judge_anew(store, head, synthesis, task, tell)
        works.append(Work.of(synthesis, task, head, SeedFile(files[one.name]), one.rows, store))
    return works


def estimates(works: Sequence[Work], store: Store) -> list[Estimate]:
    """Of each dataset; looks at the first seed rows that would be asked about."""
    return [_estimate(work, store) for work in works]


def _estimate(work: Work, store: Store) -> Estimate:
    counts = store.counts(work.head)
    answers, tokens = (sum(getattr(count, name) for count in counts) for name in ("answers", "answered"))
    length = tokens / answers if answers >= _ENOUGH else work.synthesis.tokens
    requests = min(work.left, max(0, work.wanted - work.kept))
    rows = [unpacked(row) for _, row in islice(work.seeds.rows(iter(range(len(work.seeds)))), _LOOKED_AT)]
    lengths = [request.estimated_tokens(request.first(work.synthesis, row)) for row in rows]
    each = sum(lengths) / max(1, len(lengths))
    return Estimate(
        work.synthesis.name, str(work.task.llm), work.wanted, work.kept, work.left, requests,
        round(requests * each), round(requests * length),
    )  # fmt: skip


def export_all(
    store: Store, folder: Path, names: Iterable[str], model: str | None = None, tell: Tell = silent
) -> Mapping[str, int]:
    """Questions written, by dataset; and the report beside them."""
    counts = {name: export(store, load_synthesis(name), folder, model, tell) for name in names}
    write_report(store, folder, tell)
    return counts


def roomy(wanted: SeedRequest, room: float) -> SeedRequest:
    """With some to spare for near-duplicates and rows that are too long."""
    return replace(wanted, rows=int(wanted.rows * room) + 1)
