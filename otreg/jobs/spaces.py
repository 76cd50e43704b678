"""Where axes point: never guessed. Files that say so are brought together; the rest is the user's word.

A medical file in RAS has x to the right and y to the front, one in LPS the other way round. A map that was found in the
one moves points of the other wrongly, without any sign of it. So either both are known, or neither is, or ``--frame``
says what the file that is silent means.
"""

from __future__ import annotations

from pathlib import Path

from otreg.errors import InputError
from otreg.jobs.frame_choice import FrameChoice, stated_space
from otreg.models.chain import in_space, with_space
from otreg.models.point_map import PointMap
from otreg.shapes import Shape, Space


def common_space(*shapes: Shape) -> Space:
    """Where the axes of files whose coordinates are compared point, "" if none says it.

    Raises InputError when two of them say different things.
    """
    telling = [shape for shape in shapes if shape.space]
    for shape in telling[1:]:
        if shape.space != telling[0].space:
            raise InputError(
                f"{shape.path}: is in {shape.space}, but {telling[0].path} in {telling[0].space}; x and y point to "
                "other sides. Bring one of them into the other's frame first"
            )
    return telling[0].space if telling else ""


def matched(
    point_map: PointMap, space: Space, frame: FrameChoice | None, *, map_path: Path, points_path: Path
) -> PointMap:
    """The map as it acts on points in ``space``: turned round where it was found in the other one.

    frame: what files that do not say mean; "none" takes all coordinates as they are.
    Raises InputError when only one of the two says where its axes point, and nobody speaks for the other.
    """
    if frame == "none":
        return point_map
    stated = stated_space(frame)
    of_map, of_points = point_map.space or stated, space or stated
    if bool(of_map) != bool(of_points):
        silent, other, known = (points_path, map_path, of_map) if of_map else (map_path, points_path, of_points)
        raise InputError(
            f"{silent}: does not say where its axes point, but {other} is in {known}; "
            "say it with --frame RAS or --frame LPS, or take coordinates as they are with --frame none"
        )
    return in_space(with_space(point_map, of_map), of_points)
