"""What several sections of the page on benchmarks are written with."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from typing import Any

Row = dict[str, Any]


def table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    """Lines of a Markdown table."""
    header = list(header)
    return [f"| {' | '.join(cells)} |" for cells in (header, ["---"] * len(header), *rows)]


def titled_lists(parts: dict[str, list[str]]) -> list[str]:
    """Lines with a list under each title, or the word that there is nothing."""
    lines = []
    for title, entries in parts.items():
        lines += ["", f"{title}: {'nothing.' if not entries else ''}".rstrip()]
        lines += ["", *(f"* {entry}" for entry in entries)] if entries else []
    return lines


def machine_words(machine: Row) -> str:
    versions = machine["versions"]
    device = "cpu (not measured on a GPU)" if machine["device"] == "cpu" else machine["device"]
    return (
        f"{machine['cpu']}, {machine['cores']} cores, {device}, "
        f"otreg {versions['otreg']} at commit {machine['commit']}, torch {versions['torch']}"
    )


def peers(versions: dict[str, str]) -> str:
    return ", ".join(f"{name} {found}" for name, found in versions.items())


def median(values: Iterable[float], words: str) -> str:
    found = list(values)
    return words.format(statistics.median(found)) if found else "–"


def percent(value: float, *, sign: bool = False) -> str:
    return f"{100 * value:{'+' if sign else ''}.2g} %"
