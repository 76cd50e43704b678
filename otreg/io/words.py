"""The words of many lines of text, and the whole numbers among them, without a Python loop over all words."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import final

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]

BLANK = np.isin(np.arange(256), list(b" \t\n\r\x0b\x0c"))  # what separates words for bytes.split
_NEWLINE, _SLASH, _ZERO = b"\n/0"
_DIGITS = 18  # all numbers of so many fit into 64 bits


@final
class Words:
    """The words of lines of which each has one at least, and no newline inside.

    counts, firsts: how many words each line has, and which of all words is its first.
    """

    def __init__(self, lines: Sequence[bytes]) -> None:
        self._text = b"\n".join([*lines, b""])
        self._bytes = np.frombuffer(self._text, dtype=np.uint8)
        blank = BLANK[self._bytes]
        self._begins = np.flatnonzero(~blank & np.concatenate([[True], blank[:-1]]))
        ends = np.searchsorted(self._begins, np.flatnonzero(self._bytes == _NEWLINE))
        self.counts: Integers = np.diff(ends, prepend=0)
        self.firsts: Integers = ends - self.counts

    @cached_property
    def texts(self) -> list[bytes]:
        """All words, one line after the other."""
        return self._text.split()

    def whole_numbers(self, words: Integers, *, slashes: int = 0) -> Integers | None:
        """The number in each of the words: behind so many slashes, up to the next slash or the end of the word.

        None unless all of them are digits only, and not too many: there Python's own ``int`` must decide.
        """
        places = self._begins[words]
        if slashes:
            found = np.flatnonzero(self._bytes == _SLASH)
            which = np.searchsorted(found, places) + slashes - 1
            if (which >= len(found)).any():
                return None
            places = found[which] + 1
            if (np.searchsorted(self._begins, places, side="right") - 1 != words).any():
                return None  # the slash is that of another word
        numbers = np.zeros(len(words), np.int64)
        going_on = np.arange(len(words))
        for k in range(_DIGITS + 1):
            byte = self._bytes[places[going_on] + k]  # there is one: a newline ends the text, and every number
            digit = byte.astype(np.int64) - _ZERO
            ended = BLANK[byte] | (byte == _SLASH)
            if not (ended | ((digit >= 0) & (digit <= 9))).all() or (k == 0 and ended.any()):
                return None
            going_on, digit = going_on[~ended], digit[~ended]
            if not len(going_on):
                return numbers
            numbers[going_on] = 10 * numbers[going_on] + digit
        return None
