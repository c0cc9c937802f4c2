"""What synthesis may cost, in tokens or in money: nothing is sent that could go beyond it."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from spine.errors import RecipeError
from spine.yamlfile import read_yaml

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
            if not (0 <= asked < math.inf and 0 <= answered < math.inf):  # nor is either of them nan
                raise ValueError
        except ValueError as error:
            raise RecipeError(f"'{text}' is no price", way_out="--price 0.15,0.60 (USD per million)") from error
        return cls(asked, answered)


_Dollars = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class _Listed(_Strict):
    asked: _Dollars
    answered: _Dollars


class Prices(_Strict):
    """``prices.yaml``. ``as_of``: year and month of the ``source``."""

    as_of: Annotated[str, Field(pattern=r"^\d{4}-(0[1-9]|1[0-2])$")]
    source: Annotated[str, Field(pattern="^https://")]
    models: dict[str, _Listed]

    def of(self, model: str) -> Price | None:
        """``None`` where the model is not listed."""
        listed = self.models.get(model)
        return None if listed is None else Price(listed.asked, listed.answered)


@cache
def prices(path: Path = _PRICES) -> Prices:
    """The table of prices.

    Raises:
        RecipeError: it holds something else, with the line.
    """
    file = read_yaml(path)
    try:
        return Prices.model_validate(file.data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise RecipeError(
            f"{'.'.join(map(str, first['loc']))}: {first['msg']}", where=file.where(*first["loc"])
        ) from None


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
        known = price or prices().of(model)
        if not text:
            return cls(known)
        match = _AMOUNT.fullmatch(text.strip())
        unit = match and (match["unit"] or ("usd" if match["dollar"] else "")).lower()
        if not match or not unit or (match["dollar"] and unit != "usd"):
            raise RecipeError(f"'{text}' is no budget", way_out="--budget 2Mtokens, or --budget 5usd")
        amount = float(match["number"]) * _SCALE[match["scale"].lower()]
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
