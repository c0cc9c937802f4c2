"""Budgets and prices."""

from __future__ import annotations

from pathlib import Path

import pytest

from dataset_builders.synthesis.budget import Budget, Price, prices
from spine.errors import RecipeError


@pytest.mark.parametrize(
    ("text", "tokens", "dollars"),
    [("2Mtokens", 2e6, None), ("500 tok", 500, None), ("5usd", None, 5.0), ("$0.5", None, 0.5), (None, None, None)],
)
def test_budgets(text: str | None, tokens: float | None, dollars: float | None) -> None:
    found = Budget.parse(text, "gpt-4o-mini", None)
    assert (found.tokens, found.dollars) == (tokens or float("inf"), dollars or float("inf"))
    assert found.price == prices().of("gpt-4o-mini") == Price(0.15, 0.60)


@pytest.mark.parametrize("text", ["5", "lots", "5eur", "-3usd", "$5tokens"])
def test_what_is_no_budget(text: str) -> None:
    with pytest.raises(RecipeError, match="is no budget"):
        Budget.parse(text, "gpt-4o-mini", None)


def test_money_needs_a_price() -> None:
    with pytest.raises(RecipeError, match="is not known") as caught:
        Budget.parse("5usd", "a model of my own", None)
    assert "--price" in str(caught.value)
    assert Budget.parse("5usd", "a model of my own", Price.parse("1,2")).price == Price(1.0, 2.0)


@pytest.mark.parametrize("text", ["cheap", "1", "1,2,3", "-1,2", "nan,1", "1,inf", ""])
def test_what_is_no_price(text: str) -> None:
    with pytest.raises(RecipeError, match="is no price"):
        Price.parse(text)


_PRICES = """as_of: 2026-04
source: https://example.org
models:
  m: {asked: 1, answered: 2.5}
"""


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("answered: 2.5", "answered: -2.5", r":4.*models\.m\.answered"),
        ("answered: 2.5", "answered: .nan", r":4.*models\.m\.answered"),
        ("answered: 2.5", "answered: '2.5'", r":4.*models\.m\.answered"),
        ("{asked: 1, answered: 2.5}", "[1, 2.5]", r":4.*models\.m"),
        ("answered", "anwsered", r":4.*models\.m\.answered"),
        ("2026-04", "2026-13", r":1.*as_of"),
        ("https", "somewhere", r":2.*source"),
    ],
)
def test_the_table_of_prices_is_strict(old: str, new: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "good.yaml").write_text(_PRICES)
    assert prices(tmp_path / "good.yaml").of("m") == Price(1.0, 2.5)
    (tmp_path / "prices.yaml").write_text(_PRICES.replace(old, new))
    with pytest.raises(RecipeError, match=told):
        prices(tmp_path / "prices.yaml")
