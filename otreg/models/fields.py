"""Numbers read from JSON, checked once: what the models' ``*_from_dict`` functions stand on.

A transform file may come from anywhere. Each reader here returns finite float64 values of the promised shape, or raises
one FormatError that names the key, the rule and what was found.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from otreg.errors import FormatError


def require(data: Any, key: str) -> Any:
    """The value of ``key`` in a JSON object; FormatError when there is no such key, or no object."""
    if not isinstance(data, Mapping):
        raise FormatError(f"'{key}' must be a key of a JSON object; got {describe(data)}")
    if key not in data:
        raise FormatError(f"key '{key}' is missing; found {', '.join(map(str, list(data)[:12])) or 'no keys'}")
    return data[key]


def read_number(data: Any, key: str) -> float:
    """A finite float."""
    return _finite(require(data, key), key)


def read_positive(data: Any, key: str) -> float:
    """A finite float > 0."""
    value = read_number(data, key)
    if not value > 0:
        raise FormatError(f"'{key}' must be positive; got {value}")
    return value


def read_vector(data: Any, key: str, *, length: int | None = None) -> list[float]:
    """A list of finite floats, ``length`` of them when that is given."""
    return _vector(require(data, key), key, length)


def read_rows(data: Any, key: str, *, columns: int, rows: int | None = None) -> Tensor:
    """A (rows, columns) float64 tensor from a list of rows; at least one row when ``rows`` is not given."""
    values = require(data, key)
    wanted = f"'{key}' must be a list of {'' if rows is None else f'{rows} '}rows of {columns} numbers"
    if not isinstance(values, list | tuple) or not values or (rows is not None and len(values) != rows):
        raise FormatError(f"{wanted}; got {describe(values)}")
    return torch.tensor([_vector(row, f"{key}[{i}]", columns) for i, row in enumerate(values)], dtype=torch.float64)


def describe(value: Any) -> str:
    """A few words about any JSON value, for error messages."""
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    if isinstance(value, Mapping):
        return "an object"
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."


def _vector(values: Any, key: str, length: int | None) -> list[float]:
    if not isinstance(values, list | tuple) or (length is not None and len(values) != length):
        wanted = "numbers" if length is None else f"{length} numbers"
        raise FormatError(f"'{key}' must be a list of {wanted}; got {describe(values)}")
    return [_finite(value, f"{key}[{i}]") for i, value in enumerate(values)]


def _finite(value: Any, key: str) -> float:
    # bool is an int in Python, but true is no number in JSON; 10**400 is an int that no float holds.
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if math.isfinite(number):
            return number
    raise FormatError(f"'{key}' must be a finite number; got {describe(value)}")
