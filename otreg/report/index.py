"""The page over many results: a table with thumbnails that sorts by any column, to find the ones that went wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import otreg
from otreg.errors import InputError, OtregError
from otreg.io import atomic_write
from otreg.jobs.outputs import check_outputs
from otreg.report.page import resource, template, write_page
from otreg.report.result import REPORT, Result, read_record, read_result, result_folders
from otreg.report.result_page import PAGE, PREVIEW, result_page, write_result_preview
from otreg.report.words import number_text

INDEX = "index.html"


@dataclass(frozen=True)
class WrittenIndex:
    """The index over a folder of results. results: how many it lists; notes: what could not be shown."""

    index: Path
    results: int
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Column:
    """A column of figures: its head, and where report.json has them, as a path of keys."""

    head: str
    keys: tuple[str, ...]


_COLUMNS = (
    _Column("distance of the mass", ("divergence", "distance")),
    _Column("mean distance", ("quality", "distances", "symmetric", "mean")),
    _Column("mean (% of diagonal)", ("quality", "distances", "symmetric", "percent", "mean")),
    _Column("95 % within", ("quality", "distances", "symmetric", "percentile95")),
    _Column("overlap", ("quality", "overlap_mass")),
    _Column("smallest Jacobian", ("quality", "jacobian", "smallest")),
    _Column("seconds", ("seconds", "total")),
)


def write_index(
    folder: Path,
    *,
    pages: bool = False,
    overwrite: bool = False,
    on_result: Callable[[int, int], None] | None = None,
) -> WrittenIndex:
    """Writes index.html over all results below ``folder``, and preview.png where it is missing or older than a result.

    pages: the same for report.html, which takes several megabytes each. overwrite: replace an index that is there.
    on_result: called with how many results are done, and how many there are.
    A result that cannot be shown is listed with the reason. Raises OutputFileError before any work, InputFileError or
    InputError when there are no results.
    """
    index = folder / INDEX
    found = result_folders(folder)
    if not found:
        raise InputError(
            f"{folder}: must hold a {REPORT}, or folders with one; found none. Register with -d into a folder first"
        )
    check_outputs([index], inputs=[], overwrite=overwrite)
    rows, notes = [], []
    for done, one in enumerate(found):
        name = one.relative_to(folder).as_posix()
        try:
            record = read_record(one)
            notes += [f"{name}: {note}" for note in _complete(one, pages=pages)]
            rows.append(_row(name, one, record))
        except OtregError as error:
            notes.append(f"{name}: {error}")
            rows.append(_failed(name, str(error)))
        if on_result is not None:
            on_result(done + 1, len(found))
    text = template("index.html").render(
        title=folder.resolve().name,
        heads=[column.head for column in _COLUMNS],
        rows=rows,
        count=len(rows),
        converged=sum(row["converged"] for row in rows),
        style=_markup(resource("page.css") + resource("index.css")),
        script=_markup(resource("index.js")),
        version=otreg.__version__,
    )
    with atomic_write(index, overwrite=overwrite) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="replace")
    return WrittenIndex(index, len(rows), tuple(notes))


def _complete(folder: Path, *, pages: bool) -> Sequence[str]:
    """Writes what the index shows of a result and what is not there yet; returns what could not be shown."""
    missing = [name for name in (PREVIEW, *((PAGE,) if pages else ())) if _stale(folder, name)]
    if not missing:
        return ()
    result: Result = read_result(folder)
    if PREVIEW in missing:
        write_result_preview(result, folder / PREVIEW, overwrite=True)
    if PAGE in missing:
        write_page(result_page(result), folder / PAGE, overwrite=True)
    return result.notes


def _stale(folder: Path, name: str) -> bool:
    """Whether a file is missing, or older than the registration that it shows."""
    path = folder / name
    return not path.exists() or path.stat().st_mtime < (folder / REPORT).stat().st_mtime


def _row(name: str, folder: Path, record: Mapping[str, Any]) -> dict[str, Any]:
    values = [_at(record, column.keys) for column in _COLUMNS]
    return {
        "name": name,
        "page": quote(f"{name}/{PAGE}") if (folder / PAGE).exists() else "",
        "preview": quote(f"{name}/{PREVIEW}"),
        "converged": bool(record["converged"]),
        "status": str(record["status"]),
        "warnings": [str(sentence) for sentence in record["warnings"]],
        # What the table sorts by, and what it shows.
        "cells": [("" if value is None else repr(float(value)), number_text(value, 3)) for value in values],
    }


def _failed(name: str, reason: str) -> dict[str, Any]:
    cells = [("", "–")] * len(_COLUMNS)
    return {
        "name": name,
        "page": "",
        "preview": "",
        "converged": False,
        "status": reason,
        "warnings": [],
        "cells": cells,
    }


def _at(record: Mapping[str, Any], keys: Sequence[str]) -> float | None:
    value: Any = record
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value if isinstance(value, (int, float)) else None


def _markup(text: str) -> Any:
    from markupsafe import Markup

    return Markup(text)
