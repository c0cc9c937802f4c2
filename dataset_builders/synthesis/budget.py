"""What synthesis may cost, in tokens or in money: nothing is sent that could go beyond it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from ruamel.yaml import YAML

from recipe.errors import RecipeError

_PRICES = Path(__file__).with_name("prices.yaml")
_AMOUNT = re.compile(r"(?P<dollar>\$)?(?P<number>\d+(?:\.\d+)?)\s*(?P<scale>[kM]?)\s*(?P<unit>usd|tok(?:en)?s?)?", re.I)
_SCALE = {"": 1, "k": 1_000, "m": 1_000_000}


class Price(NamedTuple):
    """US dollars for a million tokens."""

    asked: float
    answered: float

    def of(self, asked: int, answered: int) -> float:
        """US dollars."""
        return (asked * self.asked + answered * self.answered) / 1e6

    @classmethod
    def parse(cls, text: str) -> Price:
        """``0.15,0.60``: asked, answered."""
        try:
            asked, answered = map(float, text.split(","))
            if min(asked, answered) < 0:
                raise ValueError
        except ValueError as error:
            raise RecipeError(f"'{text}' is no price", way_out="--price 0.15,0.60 (USD per million)") from error
        return cls(asked, answered)


def price_of(model: str) -> Price | None:
    """From the table of prices; ``None`` where it does not know the model."""
    found = (YAML(typ="safe").load(_PRICES.read_text(encoding="utf-8")) or {}).get(model)
    return None if found is None else Price(*found)


@dataclass
class Budget:
    """``tokens`` or ``dollars`` at most, or neither. What is out counts with all that it may come to. ``price``:
    ``None`` where it is not known."""

    price: Price | None
    tokens: float = float("inf")
    dollars: float = float("inf")
    asked: int = 0
    answered: int = 0
    _out: tuple[int, int] = (0, 0)

    @classmethod
    def parse(cls, text: str | None, model: str, price: Price | None) -> Budget:
        """``2Mtokens``, ``5usd``, ``$5`` or nothing.

        Raises:
            RecipeError: it is something else, or money for a model whose price is not known.
        """
        known = price or price_of(model)
        if not text:
            return cls(known)
        found = _AMOUNT.fullmatch(text.strip())
        unit = found and (found["unit"] or ("usd" if found["dollar"] else "")).lower()
        if not found or not unit or (found["dollar"] and unit != "usd"):
            raise RecipeError(f"'{text}' is no budget", way_out="--budget 2Mtokens, or --budget 5usd")
        amount = float(found["number"]) * _SCALE[found["scale"].lower()]
        if unit != "usd":
            return cls(known, tokens=amount)
        if known is None:
            raise RecipeError(
                f"what {model} costs is not known",
                way_out="--price 0.15,0.60 (USD per million tokens asked, answered), or a budget in tokens",
            )
        return cls(known, dollars=amount)

    @property
    def spent(self) -> str:
        """As it is shown: tokens, and dollars where the price is known."""
        cost = f", {self.price.of(self.asked, self.answered):,.2f} USD" if self.price else ""
        return f"{self.asked + self.answered:,} tokens{cost}"

    @property
    def any_out(self) -> bool:
        """Whether anything is set aside."""
        return any(self._out)

    def reserve(self, asked: int, answered: int) -> bool:
        """Whether a request that may come to so many tokens can still go out; if so, they are set aside."""
        out = self._out[0] + asked, self._out[1] + answered
        all_asked, all_answered = self.asked + out[0], self.answered + out[1]
        dollars = self.price.of(all_asked, all_answered) if self.price else 0.0
        if all_asked + all_answered > self.tokens or dollars > self.dollars:
            return False
        self._out = out
        return True

    def settle(self, reserved: tuple[int, int], asked: int, answered: int) -> None:
        """A request is back, and came to this."""
        self._out = self._out[0] - reserved[0], self._out[1] - reserved[1]
        self.asked += asked
        self.answered += answered
