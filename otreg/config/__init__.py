"""One schema for flags and files: what can be set, in which unit, with which default. Imports no array library."""

from otreg.config.length import Length
from otreg.config.parse import load_settings
from otreg.config.settings import (
    AUTO_REACH_BLURS,
    INIT_WORDS,
    MODEL_NAMES,
    ComparisonConfig,
    DistanceConfig,
    MapConfig,
    RegisterConfig,
    TransportConfig,
)

__all__ = [
    "AUTO_REACH_BLURS",
    "INIT_WORDS",
    "MODEL_NAMES",
    "ComparisonConfig",
    "DistanceConfig",
    "Length",
    "MapConfig",
    "RegisterConfig",
    "TransportConfig",
    "load_settings",
]
