"""A CSV table of pairs: one row a pair, one column a file, a name or a setting.

Tables come out of spreadsheets: a byte order mark, semicolons or tabs instead of commas, empty cells and empty lines
are all right. Everything else that is odd is said with its line and column, all of it at once.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from otreg.config.pair import BatchPair, PairConfig, completed, pair_beside
from otreg.config.parse import Problem, checked, nearest
from otreg.config.settings import RegisterConfig
from otreg.config.text_file import printable, read_text
from otreg.errors import SettingsError

LARGEST_FILE: Final = 50_000_000  # bytes
PAIR_COLUMNS: Final = tuple(name for name in PairConfig.model_fields if name != "settings")
SETTING_COLUMNS: Final = tuple(RegisterConfig.model_fields)


def read_table(file: Path, *, defaults: RegisterConfig) -> tuple[BatchPair, ...]:
    """The pairs of a table in their order, each with the settings of its row on top of ``defaults``.

    Paths are relative to the table. Raises InputFileError when there is no such file, SettingsError with a line for
    each thing that is wrong.
    """
    pairs: list[BatchPair] = []
    problems: list[str] = []
    rows = _rows(file, problems)
    for line, cells in rows:
        where = f"{file}:{line}"
        settings = {name: text for name, text in cells.items() if name in SETTING_COLUMNS}
        values: dict[str, Any] = {name: text for name, text in cells.items() if name in PAIR_COLUMNS}
        pair, found = checked(PairConfig, {**values, "settings": settings} if settings else values)
        problems += [f"{where}: {_sentence(problem)}" for problem in found]
        if pair is None:
            continue
        try:
            pairs.append(completed(pair_beside(pair, file.parent), defaults=defaults, where=where))
        except SettingsError as error:
            problems += error.problems
    if not pairs and not problems:
        problems.append(f"{file}:1: must hold a row for each pair; got none below the names of the columns")
    if problems:
        raise SettingsError(*problems)
    return tuple(pairs)


def _rows(file: Path, problems: list[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """The line and the cells of each row that are not empty, by column; what is wrong goes to ``problems``."""
    text = read_text(file, largest=LARGEST_FILE)
    first = text.lstrip().splitlines()[:1]
    delimiter = max(",;\t", key=first[0].count) if first else ","
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True, skipinitialspace=True)
    columns: list[str] = []
    line = 1
    try:
        for row in reader:
            # A cell may hold line ends; its row begins where the row before has ended.
            line, start = reader.line_num + 1, line
            cells = [cell.strip() for cell in row]
            if not any(cells):
                continue
            if not columns:
                columns = cells
                wrong = list(_wrong_columns(columns))
                problems += [f"{file}:{start}: {sentence}" for sentence in wrong]
                if wrong:
                    return
            elif len(cells) != len(columns):
                sentence = f"must have {len(columns)} cells, as the first line has; got {len(cells)}"
                problems.append(f"{file}:{start}: {sentence}. A cell with '{delimiter}' in it goes into quotes")
            else:
                yield start, {name: cell for name, cell in zip(columns, cells, strict=True) if cell}
    except csv.Error as error:
        problems.append(f"{file}:{reader.line_num}: is not a CSV table: {error}")
    if not columns and not problems:
        problems.append(f"{file}:1: must begin with the names of its columns, source,target,...; got an empty file")


def _wrong_columns(columns: list[str]) -> Iterator[str]:
    known = [*PAIR_COLUMNS, *SETTING_COLUMNS]
    for k, name in enumerate(columns):
        if name not in known:
            yield f"{printable(name) or f'column {k + 1}'}: unknown column; " + nearest(name, known).replace(
                "settings", "columns"
            )
        elif name in columns[:k]:
            yield f"{name}: is the name of two columns; remove one of them"
    for name in ("source", "target"):
        if name not in columns:
            yield f"{name}: must be a column; got {printable(', '.join(columns))}"


def _sentence(problem: Problem) -> str:
    keys = [str(key) for key in problem.keys if key != "settings"]
    return f"{'.'.join(keys)}: {problem.rule}" if keys else problem.rule
