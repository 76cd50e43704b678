"""Lengths as users write them: ``1%`` of the target's diagonal, or a number in the unit of the files.

Inside the library every length is a fraction of the target's diagonal; a :class:`Length` remembers which of the two was
written until the target has been read and its diagonal is known.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from otreg.errors import ArgumentError

Unit = Literal["diagonal", "file"]


@dataclass(frozen=True)
class Length:
    """A positive length: ``value`` diagonals of the target, or ``value`` units of the files."""

    value: float
    unit: Unit

    def __post_init__(self) -> None:
        if not (self.value > 0 and math.isfinite(self.value)):
            raise ArgumentError(f"a length must be positive and finite; got {self.value:g}")

    @staticmethod
    def parse(text: object) -> Length:
        """The length that a flag or a configuration value means: ``"1%"``, ``"0.5"``, ``0.5`` or a Length.

        Raises ArgumentError that says the rule, the value and what to write instead.
        """
        if isinstance(text, Length):
            return text
        share = isinstance(text, str) and text.strip().endswith("%")
        try:
            if isinstance(text, str) and share:
                # In decimals, so that what is written is the value, to the last digit, and back again.
                value = float(Decimal(text.strip().removesuffix("%").strip()).scaleb(-2))
            else:
                value = math.nan if isinstance(text, bool) else float(text)  # type: ignore[arg-type]
        except (TypeError, ValueError, ArithmeticError):
            value = math.nan
        if not (value > 0 and math.isfinite(value)):
            raise ArgumentError(
                f"must be a positive length; got {text!r}. "
                "Write a share of the target's diagonal (1%) or a plain number in the unit of the files (0.5)"
            )
        return Length(value, "diagonal" if share else "file")

    def in_frame(self, diagonal: float) -> float:
        """The length as a fraction of the target's diagonal, which is ``diagonal`` units of the files."""
        return self.value if self.unit == "diagonal" else self.value / diagonal

    def __str__(self) -> str:
        if self.unit == "file":
            return f"{self.value!r}"
        percents = Decimal(repr(self.value)).scaleb(2).normalize()
        return f"{percents:f}%" if -9 < percents.adjusted() < 15 else f"{percents}%"
