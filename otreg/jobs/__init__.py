"""One job each: settings and files in, files and a report out. What the command line and scripts call.

The names below are imported when they are first used: jobs that only read and write files need no torch.
"""

from typing import TYPE_CHECKING

from otreg.lazy import importer

# Public name -> the module that defines it.
_HOME = {
    "AppliedTransform": "otreg.jobs.apply",
    "Converted": "otreg.jobs.convert",
    "JobReport": "otreg.jobs.register",
    "MapOutputs": "otreg.jobs.map_outputs",
    "MapReport": "otreg.jobs.map",
    "Outputs": "otreg.jobs.outputs",
    "Reading": "otreg.jobs.reading",
    "WrittenTransform": "otreg.jobs.invert",
    "apply_transform": "otreg.jobs.apply",
    "compose_transforms": "otreg.jobs.compose",
    "convert_file": "otreg.jobs.convert",
    "describe_file": "otreg.jobs.info",
    "distance_files": "otreg.jobs.distance",
    "invert_transform": "otreg.jobs.invert",
    "map_files": "otreg.jobs.map",
    "register_files": "otreg.jobs.register",
}

__all__ = [
    "AppliedTransform",
    "Converted",
    "JobReport",
    "MapOutputs",
    "MapReport",
    "Outputs",
    "Reading",
    "WrittenTransform",
    "apply_transform",
    "compose_transforms",
    "convert_file",
    "describe_file",
    "distance_files",
    "invert_transform",
    "map_files",
    "register_files",
]

if TYPE_CHECKING:
    from otreg.jobs.apply import AppliedTransform, apply_transform
    from otreg.jobs.compose import compose_transforms
    from otreg.jobs.convert import Converted, convert_file
    from otreg.jobs.distance import distance_files
    from otreg.jobs.info import describe_file
    from otreg.jobs.invert import WrittenTransform, invert_transform
    from otreg.jobs.map import MapReport, map_files
    from otreg.jobs.map_outputs import MapOutputs
    from otreg.jobs.outputs import Outputs
    from otreg.jobs.reading import Reading
    from otreg.jobs.register import JobReport, register_files


__getattr__ = importer(__name__, _HOME)


def __dir__() -> list[str]:
    return sorted(__all__)
