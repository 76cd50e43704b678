"""One schema for flags and files: what can be set, in which unit, with which default. Imports no array library.

What reads files and describes batches is imported when it is first used: most commands need neither.
"""

from typing import TYPE_CHECKING

from otreg.config.layers import COMMAND_SCHEMAS, Layer, Origin, Resolved, environment_layer, flag_layer, resolve
from otreg.config.length import Length
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
from otreg.lazy import importer

if TYPE_CHECKING:
    from otreg.config.batch import BatchConfig
    from otreg.config.batch_file import load_batch
    from otreg.config.pair import BatchPair, PairConfig
    from otreg.config.settings_file import file_layer

# Public name -> the module that defines it.
_HOME = {
    "BatchConfig": "otreg.config.batch",
    "BatchPair": "otreg.config.pair",
    "PairConfig": "otreg.config.pair",
    "file_layer": "otreg.config.settings_file",
    "load_batch": "otreg.config.batch_file",
}

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


__getattr__ = importer(__name__, _HOME)


def __dir__() -> list[str]:
    return sorted(__all__)
