"""Judges a report of ``quality``: an export that lost what plain rounding would have kept is refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# AWQ's clipping shrinks norms by a few percent; the failures seen were off by factors of 8 to 300.
NORM_TOLERANCE = 0.2
_NAMED = 5  # faults of one kind that are named; the report has all


def faults(report: Mapping[str, Any]) -> list[str]:
    """What speaks against the export, in words; nothing when it passes.

    It must be closer to the original than plain rounding in the same groups (KL, on the same texts), and in every
    layer the norms in which AWQ's scales cancel out must be those of the original within ``NORM_TOLERANCE``.
    """
    return [*_outputs(report), *_norms(report)]


def _outputs(report: Mapping[str, Any]) -> list[str]:
    export, rtn = report["export"]["kl"], report["rtn"]["kl"]
    if None in report["export"].values():
        return ["its outputs are not finite"]
    if rtn is None:
        return ["the plainly rounded model's outputs are not finite, so there is nothing to compare with"]
    if export >= rtn:
        return [f"KL {export:.4f} nats per token; plain rounding reaches {rtn:.4f}"]
    return []


def _norms(report: Mapping[str, Any]) -> list[str]:
    wrong = [
        f"layer {index}: {name} {'not finite' if ratio is None else f'{ratio:.3g} times the original'}"
        for index, layer in enumerate(report["layers"])
        for name, ratio in layer["norms"].items()
        if ratio is None or abs(ratio - 1) > NORM_TOLERANCE
    ]
    more = f" and {len(wrong) - _NAMED} more" if len(wrong) > _NAMED else ""
    return [f"norms off by more than {NORM_TOLERANCE:.0%}: {'; '.join(wrong[:_NAMED])}{more}"] if wrong else []


def summary(report: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
    """Rows of a table: what, the original, the export, plain rounding."""
    versions = [report[name] for name in ("reference", "export", "rtn")]

    def row(what: str, key: str, form: str) -> tuple[str, str, str, str]:
        first, second, third = ("not finite" if v[key] is None else format(v[key], form) for v in versions)
        return what, first, second, third

    return [
        row("KL, nats per token", "kl", ".4f"),
        row("the same most likely token", "top1_agreement", ".1%"),
        row("perplexity", "perplexity", ".2f"),
    ]
