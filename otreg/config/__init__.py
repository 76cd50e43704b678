"""One schema for flags and files: what can be set, in which unit, with which default. Imports no array library."""

from otreg.config.batch import BatchConfig
from otreg.config.batch_file import load_batch
from otreg.config.layers import COMMAND_SCHEMAS, Layer, Origin, Resolved, environment_layer, flag_layer, resolve
from otreg.config.length import Length
from otreg.config.pair import BatchPair, PairConfig
from otreg.config.parse import load_settings
from otreg.config.settings import (
    AUTO_REACH_BLURS,
    INIT_WORDS,
    MODEL_NAMES,
    SPLINES,
    ComparisonConfig,
    DistanceConfig,
    MapConfig,
    RegisterConfig,
    TransportConfig,
)
from otreg.config.settings_file import file_layer

__all__ = [
    "AUTO_REACH_BLURS",
    "COMMAND_SCHEMAS",
    "INIT_WORDS",
    "MODEL_NAMES",
    "SPLINES",
    "BatchConfig",
    "BatchPair",
    "ComparisonConfig",
    "DistanceConfig",
    "Layer",
    "Length",
    "MapConfig",
    "Origin",
    "PairConfig",
    "RegisterConfig",
    "Resolved",
    "TransportConfig",
    "environment_layer",
    "file_layer",
    "flag_layer",
    "load_batch",
    "load_settings",
    "resolve",
]
