"""A text file as lines, some of which hold a point each: writing replaces the coordinates, and keeps all other text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from otreg.errors import FormatError
from otreg.io.numbers import as_text


@dataclass(frozen=True)
class TextLines:
    """All lines of a file, without the newline that separates them, as they were."""

    lines: tuple[bytes, ...]

    @staticmethod
    def of(data: bytes) -> TextLines:
        """The lines of a text file. Raises FormatError for binary data."""
        if b"\0" in data:
            raise FormatError("must be a text file; found binary data")
        if b"\n" not in data and b"\r" in data:
            data = data.replace(b"\r", b"\n")
        return TextLines(tuple(data.split(b"\n")))

    def replaced(self, rows: npt.NDArray[np.int64], values: npt.NDArray[np.float64], first: int) -> bytes:
        """The file with new numbers in the words ``first``, ``first + 1``, ... of the lines ``rows``.

        values: (len(rows), k). Words are separated by blanks; what follows the replaced words stays, and so does the
        whole line where the words are these numbers already, however they are spelled.
        """
        lines = list(self.lines)
        k = values.shape[1]
        numbers = values.reshape(-1).tolist()
        texts = [t.encode("ascii") for t in as_text(values.reshape(-1))]
        for start, row in zip(range(0, len(numbers), k), rows.tolist(), strict=True):
            line = lines[row]
            words = line.split(None, first + k)
            if _says(words[first : first + k], numbers[start : start + k]):
                continue
            words[first : first + k] = texts[start : start + k]
            end = b"\r" if line.endswith(b"\r") and len(words) == first + k else b""
            lines[row] = b" ".join(words) + end
        return b"\n".join(lines)


def numbers_of(words: Sequence[bytes], numbers: Sequence[int], what: str) -> npt.NDArray[np.float64]:
    """(m, k) numbers out of the words of m rows, one row after the other, k words each.

    numbers: the line number of each row, counted from 1. Raises FormatError that names the line of the first bad word.
    """
    if not numbers:
        return np.zeros((0, 0))
    try:
        return np.fromiter(map(float, words), np.float64, len(words)).reshape(len(numbers), -1)
    except ValueError:
        place, word = next((i, word) for i, word in enumerate(words) if not is_number(word))
        line, shown = numbers[place * len(numbers) // len(words)], ascii(word[:40].decode("latin-1"))
        raise FormatError(f"line {line}: {what} must be a number; found {shown}") from None


def _says(words: list[bytes], numbers: list[float]) -> bool:
    """Whether words are the texts of these numbers; some, as the normals of an STL file, were never read as numbers."""
    try:
        for word, number in zip(words, numbers, strict=True):
            if float(word) != number:
                return False  # mostly at the first word already
    except ValueError:
        return False
    return True


def is_number(word: bytes | str) -> bool:
    """Whether a word reads as a float, NaN and infinities included."""
    try:
        float(word)
    except ValueError:
        return False
    return True
