"""The texts a quantisation is calibrated on, and others on which its quality is measured: chosen, rendered, counted.

The winners calibrated on the contest's 96 question-answer pairs (their slides). A file of such pairs can be given;
otherwise as many rows of the blend are taken, held-out ones first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow  # type: ignore[import-untyped,unused-ignore]
import pyarrow.parquet as pq  # type: ignore[import-untyped,unused-ignore]
from tokenizers import Tokenizer

from spine.chat import ChatTokenizer, Message
from spine.errors import RecipeError
from spine.forms import question_rows
from spine.given import given
from spine.manifest import digest
from spine.paths import shown
from spine.prompts import clean, system_prompt
from spine.raw_rows import place
from spine.task_types import answer_text

PAIRS = 96  # the contest's public questions
HELD_OUT = 40


@dataclass(frozen=True)
class Texts:
    """Rendered conversations, none of them in both lists. ``used`` says where they come from and what was left out."""

    calibration: tuple[str, ...]
    held_out: tuple[str, ...]
    used: str


def choose(
    tokenizer: ChatTokenizer,
    max_tokens: int,
    *,
    pairs: Path | None = None,
    validation: Path | None = None,
    training: Path | None = None,
) -> Texts:
    """Chooses texts; the same ones every time.

    Args:
        max_tokens: longer texts are left out, and counted.
        pairs: a file to calibrate on, all of it: ShopBench's form (JSON, JSON lines), or Parquet with ``messages``.
        validation: rows that were not trained on. ``HELD_OUT`` are kept for measuring; without ``pairs``, the others
            are calibrated on. Without ``validation``, a third of ``pairs`` is kept for measuring.
        training: rows that fill the calibration texts up to ``PAIRS`` where validation rows are too few.

    Raises:
        RecipeError: an unreadable file, or too few texts.
    """
    given = _rendered(pairs, tokenizer) if pairs else []
    # By digest: an order that neither depends on the mixing nor on a random generator's version.
    spare = sorted(set(_rendered(validation, tokenizer)) - set(given), key=digest) if validation else []
    if not validation:
        given = sorted(given, key=digest)
        kept = min(HELD_OUT, len(given) // 3)
        held_out, calibration, origin = given[:kept], given[kept:], shown(pairs) if pairs else "nothing"
    elif pairs:
        held_out, calibration, origin = spare[:HELD_OUT], given, shown(pairs)
    else:
        held_out, calibration = spare[:HELD_OUT], spare[HELD_OUT : HELD_OUT + PAIRS]
        origin = f"{len(calibration)} validation rows"
        if training and len(calibration) < PAIRS:
            more = sorted(set(_rendered(training, tokenizer)) - set(spare), key=digest)[: PAIRS - len(calibration)]
            calibration, origin = calibration + more, f"{origin} and {len(more)} training rows"
    fitting, measured = (_fitting(texts, tokenizer, max_tokens) for texts in (calibration, held_out))
    if not fitting or not measured:
        raise RecipeError(
            f"{len(fitting)} texts to calibrate on and {len(measured)} to measure with, of {len(calibration)} and "
            f"{len(held_out)}; the others are longer than {max_tokens} tokens",
            where=origin,
            way_out="--max-tokens, or another --calibration file",
        )
    used = f"{len(fitting)} of {len(calibration)} used ({origin}){_left_out(calibration, fitting, max_tokens)}"
    used += f"; measured on {len(measured)} others{_left_out(held_out, measured, max_tokens)}"
    return Texts(tuple(fitting), tuple(measured), used)


def tokens(model: str, texts: Sequence[str]) -> list[list[int]]:
    """Texts as the model reads them, by its tokenizer.json: AutoTokenizer may take another algorithm."""
    tokenizer = Tokenizer.from_file(str(Path(model) / "tokenizer.json"))
    return [found.ids for found in tokenizer.encode_batch(list(texts), add_special_tokens=False)]


def _left_out(before: Sequence[str], after: Sequence[str], max_tokens: int) -> str:
    missing = len(before) - len(after)
    return f"; {missing} longer than {max_tokens} tokens" if missing else ""


def _fitting(texts: Sequence[str], tokenizer: ChatTokenizer, max_tokens: int) -> list[str]:
    encoded = tokenizer.tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
    return [text for text, found in zip(texts, encoded, strict=True) if len(found) <= max_tokens]


def _rendered(path: Path, tokenizer: ChatTokenizer) -> list[str]:
    """The conversations of a file as the model reads them, each once."""
    try:
        rows = _rows_of_parquet(path) if path.suffix == ".parquet" else _pairs(path, tokenizer)
        return list(dict.fromkeys(tokenizer.render(row) for row in rows))
    except (OSError, pyarrow.ArrowException) as error:
        raise RecipeError(f"cannot be read: {error}", where=shown(path)) from error


def _rows_of_parquet(path: Path) -> Iterable[list[Message]]:
    with pq.ParquetFile(path) as file:
        if "messages" not in file.schema_arrow.names:
            raise RecipeError("has no column messages", where=shown(path))
        rows: list[list[Message]] = file.read(columns=["messages"])["messages"].to_pylist()
        return rows


def _pairs(path: Path, tokenizer: ChatTokenizer) -> Iterator[list[Message]]:
    """Question and answer as they are trained on, with the system prompt of their type."""
    rows, unit = question_rows(path)
    for number, row in rows:
        where = place(path, unit, number)
        try:
            found = given(row)
        except ValueError as error:
            raise RecipeError(str(error), where=where) from error
        if found.truth is None:
            raise RecipeError("there is no answer", where=where)
        yield [
            {"role": "system", "content": system_prompt(found.type)},
            {"role": "user", "content": tokenizer.defuse(found.prompt)},
            {"role": "assistant", "content": tokenizer.defuse(clean(answer_text(found.type, found.truth)))},
        ]
