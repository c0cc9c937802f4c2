"""Everything that the page says, as JSON values: ``report.json`` is ``Facts.as_json()``. Knows no files."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from inference.scoring.compare import Difference

SCHEMA = 1  # of report.json; another number where a key's meaning has changed
DONE, OUTDATED, NOT_RUN = "done", "out of date", "not run"


@dataclass(frozen=True)
class StepFact:
    """One command of the flow.

    Attributes:
        blend: "" where it belongs to none.
        state: DONE, OUTDATED or NOT_RUN.
        why: it is not done.
        seconds: what it took.
    """

    name: str
    kind: str
    blend: str
    command: str
    needs: tuple[str, ...]
    state: str
    why: str
    seconds: float | None


@dataclass(frozen=True)
class Cell:
    """A row's score on a track, with its 95% interval.

    Attributes:
        constant: what one answer to all questions of a task would score.
        beside_base: the difference to the first row on the same questions.
    """

    model: str
    questions: int
    score: float | None
    low: float | None
    high: float | None
    constant: float | None
    beside_base: Difference | None


@dataclass(frozen=True)
class Row:
    """``cells``: by track, 1 to 5; ``waiting``: tracks not answered yet; ``published``: the winners' scores."""

    name: str
    cells: dict[str, Cell]
    waiting: list[str]
    published: dict[str, float]


@dataclass(frozen=True)
class Gains:
    """Row ``b`` beside row ``a``: by task type and overall of the models that answer all questions."""

    a: str
    b: str
    model_a: str
    model_b: str
    types: list[Difference]
    overall: Difference | None


@dataclass(frozen=True)
class BlendFact:
    """A blend as it was built: ``shares`` of its rows by source, type and use of an LLM; None before that."""

    name: str
    why: str
    parent: str | None
    yaml: str
    rows: int | None = None
    tokens: int | None = None
    trained_tokens: int | None = None
    held_out: int | None = None
    made_by_llm: int | None = None
    dropped: dict[str, int] | None = None
    shares: dict[str, dict[str, float]] | None = None


@dataclass(frozen=True)
class Loss:
    """A training's curve, in nats per answer token: (step, loss)."""

    blend: str
    parent: str | None
    training: list[tuple[int, float]]
    held_out: list[tuple[int, float]]


@dataclass(frozen=True)
class Curve:
    """A wise-ft sweep of one blend on one track, or on all (``overall``).

    Attributes:
        chosen: weights that ``tracks.yaml`` gives the blend on this track.
        best: the weight with the best score.
        published: the winners' scores by weight, where they have shown them.
    """

    blend: str
    track: str
    weights: list[float]
    scores: list[float]
    low: list[float]
    high: list[float]
    chosen: list[float]
    best: float
    published: list[tuple[float, float]] = field(default_factory=list)


@dataclass(frozen=True)
class Quality:
    """A 4-bit export beside the model it was made from.

    Attributes:
        compared: (measure, original, export, plain rounding), in words.
        layers: relative errors of what each layer puts out: (export, plain rounding); None: not finite.
        nbytes, nbytes_before: of the folders.
    """

    name: str
    kl: float | None
    kl_rounded: float | None
    texts: int
    tokens: int
    compared: list[tuple[str, str, str, str]]
    layers: list[tuple[float | None, float | None]]
    nbytes: int
    nbytes_before: int | None


@dataclass(frozen=True)
class Answer:
    """``row``: of the table."""

    row: str
    model: str
    text: str
    score: float


@dataclass(frozen=True)
class Example:
    """A question with what each row's model answered. ``prompt`` and ``truth`` are shortened; "": not known here."""

    task: str
    type: str
    track: int | None
    metric: str
    prompt: str
    truth: str
    answers: list[Answer]


@dataclass(frozen=True)
class Facts:
    """``headline`` and ``verdicts``: sentences; ``cost``: the time, times GPUs or cores; ``notes``: what the numbers do
    not say; ``again``: the command that goes on with the steps; ``again_report``: the one that makes the page;
    ``empty``: the page's sections without content, each with the command that fills it."""

    title: str
    headline: str
    verdicts: list[str]
    notes: list[str]
    profile: str
    purpose: str
    base_model: str
    data: str
    machine: str
    finished: str | None
    seconds: float
    cost: str
    versions: dict[str, list[str]]
    commits: list[str]
    again: str
    again_report: str
    folder: str
    questions: str
    steps: list[StepFact]
    rows: list[Row]
    gains: list[Gains]
    blends: list[BlendFact]
    losses: list[Loss]
    curves: list[Curve]
    exports: list[Quality]
    examples: list[Example]
    empty: dict[str, str]

    def as_json(self) -> dict[str, Any]:
        return {"schema": SCHEMA, **asdict(self)}
