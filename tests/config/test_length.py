"""Lengths are read as users write them, and refuse what is no length."""

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from otreg.config import Length
from otreg.errors import ArgumentError


@pytest.mark.parametrize(
    ("text", "value", "unit"),
    [
        ("1%", 0.01, "diagonal"),
        (" 2.5 % ", 0.025, "diagonal"),
        ("0.5", 0.5, "file"),
        ("1e-3", 1e-3, "file"),
        (3, 3.0, "file"),
        (0.25, 0.25, "file"),
    ],
)
def test_a_share_is_of_the_diagonal_and_a_number_is_in_file_units(text, value, unit):
    length = Length.parse(text)
    assert (length.value, length.unit) == (pytest.approx(value), unit)


def test_a_length_becomes_a_fraction_of_the_diagonal():
    assert Length.parse("2%").in_frame(50.0) == pytest.approx(0.02)
    assert Length.parse("2").in_frame(50.0) == pytest.approx(0.04)


@pytest.mark.parametrize("text", ["", "%", "abc", "5mm", "0", "0%", "-1%", "nan", "inf", "1,5", True, None, [1]])
def test_what_is_no_length_is_refused_with_rule_value_and_remedy(text):
    with pytest.raises(ArgumentError) as failure:
        Length.parse(text)
    message = str(failure.value)
    assert message.startswith("must be a positive length; got ")
    assert repr(text) in message
    assert "1%" in message


@example(0.07, "diagonal")  # 0.07 * 100 is 7.000000000000001
@example(0.99999, "diagonal")
@example(5e-324, "diagonal")
@given(st.floats(0, 1e306, exclude_min=True), st.sampled_from(["diagonal", "file"]))
def test_what_is_written_reads_back_the_same(value, unit):
    assert Length.parse(str(Length(value, unit))) == Length(value, unit)


@pytest.mark.parametrize(
    ("value", "text"), [(0.01, "1%"), (0.5, "50%"), (1e-4, "0.01%"), (0.0255, "2.55%"), (1.0, "100%")]
)
def test_shares_are_written_as_people_write_them(value, text):
    assert str(Length(value, "diagonal")) == text


@pytest.mark.parametrize("value", [0.0, -1.0, math.inf, math.nan])
def test_a_length_made_in_code_must_be_positive_and_finite(value):
    with pytest.raises(ArgumentError, match="positive and finite"):
        Length(value, "file")
