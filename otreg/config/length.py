"""Lengths as users write them: ``1%`` of the target's diagonal, or a number in the unit of the files.

Inside the library every length is a fraction of the target's diagonal; a :class:`Length` remembers which of the two was
written until the target has been read and its diagonal is known.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
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
        number, share = text, False
        if isinstance(text, str):
            share = text.strip().endswith("%")
            number = text.strip().removesuffix("%").strip()
        try:
            value = math.nan if isinstance(number, bool) else float(number)  # type: ignore[arg-type]
        except (TypeError, ValueError):
            value = math.nan
        if not (value > 0 and math.isfinite(value)):
            raise ArgumentError(
                f"must be a positive length; got {text!r}. "
                "Write a share of the target's diagonal (1%) or a plain number in the unit of the files (0.5)"
            )
        return Length(value / 100, "diagonal") if share else Length(value, "file")

    def in_frame(self, diagonal: float) -> float:
        """The length as a fraction of the target's diagonal, which is ``diagonal`` units of the files."""
        return self.value if self.unit == "diagonal" else self.value / diagonal

    def __str__(self) -> str:
        # Multiplying by 100 may leave a trace (0.07 * 100 = 7.000000000000001); 15 digits are what a double holds.
        return f"{self.value * 100:.15g}%" if self.unit == "diagonal" else f"{self.value!r}"
