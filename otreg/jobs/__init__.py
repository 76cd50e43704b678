"""One job each: settings and files in, files and a report out. What the command line and scripts call."""

from otreg.jobs.apply import AppliedTransform, apply_transform
from otreg.jobs.distance import distance_files
from otreg.jobs.info import describe_file
from otreg.jobs.map import MapReport, map_files
from otreg.jobs.map_outputs import MapOutputs
from otreg.jobs.outputs import Outputs
from otreg.jobs.reading import Reading
from otreg.jobs.register import JobReport, register_files

__all__ = [
    "AppliedTransform",
    "JobReport",
    "MapOutputs",
    "MapReport",
    "Outputs",
    "Reading",
    "apply_transform",
    "describe_file",
    "distance_files",
    "map_files",
    "register_files",
]
