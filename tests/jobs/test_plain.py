"""Whatever a report holds becomes pure JSON types."""

import enum
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from otreg.jobs.plain import plain


class Status(enum.Enum):
    done = "it is done"


@dataclass(frozen=True)
class Stage:
    name: str
    values: tuple[float, ...]
    status: Status


def test_dataclasses_enums_arrays_and_odd_numbers_become_json():
    record = plain(
        {
            "stage": Stage("rigid", (1.5, float("nan"), float("inf")), Status.done),
            "array": np.arange(3),
            "scalar": np.float32(0.5),
            "tensor": torch.tensor([[1.0, 2.0]]),
            "path": Path("a/b"),
            "none": None,
            "flag": True,
        }
    )
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert record == {
        "stage": {"name": "rigid", "values": [1.5, None, None], "status": "it is done"},
        "array": [0, 1, 2],
        "scalar": 0.5,
        "tensor": [[1.0, 2.0]],
        "path": "a/b",
        "none": None,
        "flag": True,
    }
