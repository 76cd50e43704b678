"""otreg: registration of shapes by optimal transport.

Two shapes become weighted sums of Diracs; a model moves the first one; a Sinkhorn divergence says how far it still is
from the second and where each point wants to go; the model follows. The names below are imported when they are first
used, so that ``import otreg`` costs nothing.
"""

from typing import TYPE_CHECKING

from otreg.lazy import importer

__version__ = "0.1.0"

# Public name -> the module that defines it.
_HOME = {
    "DistanceConfig": "otreg.config",
    "Frame": "otreg.measures",
    "MapConfig": "otreg.config",
    "MapOutputs": "otreg.jobs",
    "Measure": "otreg.measures",
    "OtregError": "otreg.errors",
    "Outputs": "otreg.jobs",
    "PreparedMeasure": "otreg.transport",
    "RegisterConfig": "otreg.config",
    "Registration": "otreg.registration",
    "RegistrationSettings": "otreg.registration",
    "Shape": "otreg.shapes",
    "Sinkhorn": "otreg.transport",
    "SinkhornDivergence": "otreg.losses",
    "Transform": "otreg.models.transform",
    "Transport": "otreg.transport",
    "apply_transform": "otreg.jobs",
    "compose_transforms": "otreg.jobs",
    "convert_file": "otreg.jobs",
    "describe_file": "otreg.jobs",
    "distance_files": "otreg.jobs",
    "invert_transform": "otreg.jobs",
    "map_files": "otreg.jobs",
    "measure_from_shape": "otreg.measures.from_shape",
    "read_shape": "otreg.io",
    "register": "otreg.registration",
    "register_files": "otreg.jobs",
    "transport": "otreg.transport",
    "write_shape": "otreg.io",
}

__all__ = [
    "DistanceConfig",
    "Frame",
    "MapConfig",
    "MapOutputs",
    "Measure",
    "OtregError",
    "Outputs",
    "PreparedMeasure",
    "RegisterConfig",
    "Registration",
    "RegistrationSettings",
    "Shape",
    "Sinkhorn",
    "SinkhornDivergence",
    "Transform",
    "Transport",
    "__version__",
    "apply_transform",
    "compose_transforms",
    "convert_file",
    "describe_file",
    "distance_files",
    "invert_transform",
    "map_files",
    "measure_from_shape",
    "read_shape",
    "register",
    "register_files",
    "transport",
    "write_shape",
]

if TYPE_CHECKING:
    from otreg.config import DistanceConfig, MapConfig, RegisterConfig
    from otreg.errors import OtregError
    from otreg.io import read_shape, write_shape
    from otreg.jobs import (
        MapOutputs,
        Outputs,
        apply_transform,
        compose_transforms,
        convert_file,
        describe_file,
        distance_files,
        invert_transform,
        map_files,
        register_files,
    )
    from otreg.losses import SinkhornDivergence
    from otreg.measures import Frame, Measure
    from otreg.measures.from_shape import measure_from_shape
    from otreg.models.transform import Transform
    from otreg.registration import Registration, RegistrationSettings, register
    from otreg.shapes import Shape
    from otreg.transport import PreparedMeasure, Sinkhorn, Transport, transport


# The subpackage "transport" is itself the function of that name.
__getattr__ = importer(__name__, _HOME)


def __dir__() -> list[str]:
    return sorted(__all__)
