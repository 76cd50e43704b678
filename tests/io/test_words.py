"""Words found all at once are those that Python finds one by one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otreg.io.words import Words

WORD = st.text("0123456789/-+_f.", min_size=1, max_size=22).map(str.encode)
BLANKS = st.text(" \t\r\v\f", min_size=1, max_size=2).map(str.encode)
LINE = st.lists(st.tuples(WORD, BLANKS), min_size=1, max_size=5).map(
    lambda parts: b" " + b"".join(map(b"".join, parts))
)


@settings(max_examples=100)
@given(lines=st.lists(LINE, max_size=6))
def test_words_are_those_of_split(lines: list[bytes]) -> None:
    words = Words(lines)
    split = [line.split() for line in lines]
    assert words.texts == [word for line in split for word in line]
    assert words.counts.tolist() == [len(line) for line in split]
    assert [words.texts[first] for first in words.firsts] == [line[0] for line in split]


NUMBER = st.integers(0, 10**18 - 1)


@given(numbers=st.lists(st.tuples(NUMBER, NUMBER, NUMBER), min_size=1, max_size=5), part=st.integers(0, 2))
def test_numbers_between_slashes_are_read(numbers: list[tuple[int, int, int]], part: int) -> None:
    words = Words([b"f %d/%d/%d %d/%d/%d" % (row + row[::-1]) for row in numbers])
    corners = np.flatnonzero(np.arange(3 * len(numbers)) % 3)
    found = words.whole_numbers(corners, slashes=part)
    assert found is not None
    assert found.tolist() == [value for row in numbers for value in (row[part], row[2 - part])]


@pytest.mark.parametrize(
    "word", [b"-1", b"+1", b"1_0", b"1.0", b"x", b"/1", b"9999999999999999999", b"0" * 19, b"\xb2", b"1\x00"]
)
def test_what_is_not_digits_only_is_left_to_python(word: bytes) -> None:
    assert Words([b"1 2", word]).whole_numbers(np.arange(3)) is None


@pytest.mark.parametrize("word", [b"1", b"1/2", b"1//", b"1//x"])
def test_a_slash_of_another_word_does_not_count(word: bytes) -> None:
    assert Words([word + b" 1//2"]).whole_numbers(np.array([0]), slashes=2) is None
