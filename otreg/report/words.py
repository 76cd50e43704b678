"""Numbers as they stand on pages and pictures."""

from __future__ import annotations


def number_text(value: float | int | None, digits: int = 4) -> str:
    """A number with so many digits that count, a dash where there is none."""
    if value is None:
        return "–"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.{digits}g}"


def length_text(value: float | None) -> str:
    """A length with its unit."""
    return "–" if value is None else f"{value:.4g} file unit{'' if value == 1 else 's'}"


def percent_text(value: float | None) -> str:
    """A percentage."""
    return "–" if value is None else f"{value:.3g} %"
