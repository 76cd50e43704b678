"""The divergence as users see it: a length, and numbers that JSON can hold whatever came out."""

import json
import math

import pytest

from otreg.jobs.divergence import Divergence


def divergence(**changes):
    values = {
        "value": 2.0,
        "lower": 1.9,
        "upper": 2.1,
        "marginal_error": 1e-4,
        "converged": True,
        "status": "converged",
    }
    return Divergence(**{**values, **changes})


def test_the_distance_is_the_way_of_a_shift_by_it():
    assert divergence(value=2.0).distance == pytest.approx(2.0)
    assert divergence(value=-1e-12).distance == 0


def test_with_p_1_the_distance_is_the_divergence_and_so_is_its_unit():
    assert divergence(value=2.0, p=1).distance == 2.0
    assert divergence(p=1).to_dict()["unit"] == "file units; distance: file units"


def test_numbers_that_are_not_finite_become_null():
    broken = divergence(value=math.nan, lower=-math.inf, upper=math.inf, marginal_error=math.nan, converged=False)
    record = broken.to_dict()
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert [record[key] for key in ("value", "lower", "upper", "distance", "marginal_error")] == [None] * 5


def test_finite_numbers_are_kept():
    record = divergence().to_dict()
    assert record["unit"] == "squared file units; distance: file units"
    assert {key: record[key] for key in ("value", "lower", "upper", "distance", "status")} == {
        "value": 2.0,
        "lower": 1.9,
        "upper": 2.1,
        "distance": 2.0,
        "status": "converged",
    }
