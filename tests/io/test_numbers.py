"""Numbers in text files: the shortest decimal that reads back as the same number, whoever finds its digits."""

import math

import numpy as np
import pytest

from otreg.io.numbers import as_text


def bit_patterns(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(0, 2**64, 20_000, dtype=np.uint64).view(np.float64)


def magnitudes(rng: np.random.Generator) -> np.ndarray:
    return 10 ** rng.uniform(-8, 20, 20_000) * rng.choice([-1, 1], 20_000)


def decimals(rng: np.random.Generator) -> np.ndarray:
    return np.round(rng.normal(size=20_000) * 1000, 4)


def powers_and_neighbours(_rng: np.random.Generator) -> np.ndarray:
    powers = np.concatenate([10.0 ** np.arange(-12, 24), 2.0 ** np.arange(-60, 80)])
    return np.concatenate([powers, -powers, np.nextafter(powers, 0), np.nextafter(powers, np.inf)])


@pytest.mark.parametrize("values_of", [bit_patterns, magnitudes, decimals, powers_and_neighbours])
def test_float64_is_written_as_repr_writes_it(values_of):
    values = values_of(np.random.default_rng(3))
    assert as_text(values) == [repr(v) for v in values.tolist()]


def test_zeros_and_what_is_not_finite_are_written_as_repr_writes_them():
    assert as_text(np.array([0.0, -0.0, math.nan, math.inf, -math.inf])) == ["0.0", "-0.0", "nan", "inf", "-inf"]


def test_no_numbers_have_no_texts():
    assert as_text(np.zeros(0)) == []


def test_other_types_have_their_own_shortest_text():
    assert as_text(np.array([0.1, 1e-5], dtype=np.float32)) == ["0.1", "1e-05"]
    assert as_text(np.array([7, -(2**60)])) == ["7", str(-(2**60))]
    assert as_text(np.array([0.1, 1e-5], dtype=">f8")) == ["0.1", "1e-05"]
