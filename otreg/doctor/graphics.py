"""The graphics cards that NVIDIA's driver sees, whatever PyTorch sees of them."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass

SECONDS = 20.0  # a driver in trouble may not answer at all


@dataclass(frozen=True)
class Card:
    """An NVIDIA graphics card: its name, memory in bytes, and the version of the driver."""

    name: str
    memory: int | None
    driver: str


def cards() -> tuple[Card, ...]:
    """The cards that ``nvidia-smi`` lists; none where it is missing or does not answer."""
    command = ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader,nounits"]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ()
    if ended.returncode != 0:
        return ()
    return tuple(_card(line) for line in ended.stdout.splitlines() if line.count(",") >= 2)


def hidden() -> str | None:
    """The environment variable, with its value, that hides all cards from programs; None where nothing does."""
    value = os.environ.get("CUDA_VISIBLE_DEVICES")
    return None if value is None or value.strip() not in ("", "-1") else f"CUDA_VISIBLE_DEVICES='{value}'"


def _card(line: str) -> Card:
    name, mebibytes, driver = (part.strip() for part in line.rsplit(",", 2))
    return Card(name, int(mebibytes) << 20 if mebibytes.isdigit() else None, driver)
