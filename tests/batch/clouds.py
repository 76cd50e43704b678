"""Small clouds that are registered in a few milliseconds, and the batches that are made of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from otreg.batch import Plan, plan
from otreg.config import BatchConfig

POINTS = 30


def cloud(path: Path, seed: int, *, points: int = POINTS) -> Path:
    """A cloud of its own for each seed, as a table."""
    rng = np.random.default_rng(seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savetxt(path, rng.normal(size=(points, 3)) * [3.0, 2.0, 1.0] + rng.normal(size=3), delimiter=",")
    return path


def scans(folder: Path, count: int) -> Path:
    """A folder ``scans`` with so many clouds, and a ``template.csv`` beside it; returns ``folder``."""
    for seed in range(count):
        cloud(folder / "scans" / f"s{seed:03d}.csv", seed)
    cloud(folder / "template.csv", 1000)
    return folder


def planned(folder: Path, **others: object) -> Plan:
    """The plan of all scans of a folder onto its template; others: keys of the batch."""
    settings = {"models": "rigid", "init": "none", "iterations": 3}
    keys = {
        "all": str(folder / "scans" / "*.csv"),
        "to": folder / "template.csv",
        "output_dir": folder / "results",
        "output": "{source}",
        "settings": settings,
        **others,
    }
    return plan(BatchConfig.model_validate(keys))
