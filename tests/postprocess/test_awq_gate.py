"""The gate, with figures that were measured on good and on corrupted exports."""

from __future__ import annotations

from typing import Any

import pytest

from postprocess.awq.gate import faults, summary

FINE = {"norm x q": 1.0015, "norm x k": 1.0011, "norm x gate": 0.9965, "norm x v x o": 0.9755, "norm x up x down": 0.99}


def report(kl: float | None, rtn: float | None, **norms: float | None) -> dict[str, Any]:
    def version(value: float | None) -> dict[str, Any]:
        return {"kl": value, "top1_agreement": 0.78, "perplexity": 28.9}

    second = {**FINE, **{name.replace("_", " "): ratio for name, ratio in norms.items()}}
    return {
        "reference": {"kl": 0.0, "top1_agreement": 1.0, "perplexity": 24.9},
        "export": version(kl),
        "rtn": version(rtn),
        "layers": [{"norms": FINE}, {"norms": second}],
    }


def test_smollm2_by_gptqmodel_passes() -> None:
    assert faults(report(0.1765, 0.3839)) == []


@pytest.mark.parametrize(("kl", "rtn"), [(0.060, 0.006), (9.8, 0.483), (0.38, 0.38)])
def test_an_export_that_is_no_better_than_rounding_is_refused(kl: float, rtn: float) -> None:
    """The first two: AutoAWQ as it is, on a CPU, padded tiny Qwen2 and SmolLM2."""
    assert faults(report(kl, rtn)) == [f"KL {kl:.4f} nats per token; plain rounding reaches {rtn:.4f}"]


@pytest.mark.parametrize("ratio", [0.79, 1.21, 48.0, 4e-4])
def test_norms_that_are_off_are_refused_though_the_outputs_look_well(ratio: float) -> None:
    (fault,) = faults(report(0.0047, 0.0062, norm_x_q=ratio))
    assert fault == f"norms off by more than 20%: layer 1: norm x q {ratio:.3g} times the original"


def test_norms_within_a_fifth_pass() -> None:
    assert faults(report(0.0047, 0.0062, norm_x_q=0.81, norm_x_k=1.19)) == []


def test_what_is_not_finite_is_refused() -> None:
    assert "its outputs are not finite" in faults(report(None, 0.4, norm_x_k=None))
    assert "layer 1: norm x k not finite" in faults(report(0.1, 0.4, norm_x_k=None))[0]
    assert "nothing to compare with" in faults(report(0.1, None))[0]
    assert summary(report(None, 0.4))[0] == ("KL, nats per token", "0.0000", "not finite", "0.4000")


def test_many_faults_are_counted() -> None:
    bad = report(0.1, 0.4)
    bad["layers"] = [{"norms": {"norm x q": 3.0}}] * 30
    assert faults(bad)[0].endswith("layer 4: norm x q 3 times the original and 25 more")
