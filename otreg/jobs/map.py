"""The Brenier map between two files as a file: where each point of the source wants to go, as the shapes lie.

Potentials extend to all of space in closed form, so the map may be asked for anywhere: at the source's points, at those
of another file, on a grid. The shapes' own points are used even where samples or centroids stood for them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch

from otreg.config import MapConfig
from otreg.errors import ArgumentError, InputError
from otreg.jobs.conversion import check_conversion
from otreg.jobs.device import computed_on, device_named
from otreg.jobs.divergence import Divergence
from otreg.jobs.grid import RegularGrid
from otreg.jobs.map_outputs import MapOutputs
from otreg.jobs.outputs import check_outputs
from otreg.jobs.pair import Pair, measure_pair, read_pair, thread_limit, unused_settings
from otreg.jobs.plain import plain
from otreg.jobs.provenance import input_record, machine, versions
from otreg.jobs.reading import Reading, warnings_of
from otreg.jobs.solver import solver
from otreg.jobs.spaces import common_space
from otreg.measures import Frame
from otreg.shapes import Shape
from otreg.transport import BrenierMap, Sinkhorn, Transport, WarmStart


@dataclass(frozen=True)
class MapReport:
    """What one map did.

    files: path by role (map, target_map); points: how many points each direction has, by the same roles.
    divergence: of the two shapes, as ``distance_files`` finds it; record: everything about the run in pure JSON types;
    warnings: sentences.
    """

    files: dict[str, Path]
    points: dict[str, int]
    divergence: Divergence
    warnings: tuple[str, ...]
    record: dict[str, Any]


def map_files(
    source: Path,
    target: Path,
    config: MapConfig,
    outputs: MapOutputs,
    *,
    at: Path | None = None,
    reading: Reading = Reading(),
) -> MapReport:
    """Writes the Brenier map from the shape of ``source`` to that of ``target``, and the one back if asked for both.

    Fields per point: ``displacement`` (d,), in file units, from the point to where its mass goes; ``potential``, the
    debiased F (on the way back G), in squared file units; ``matched_mass``, the share of the point's mass that moves;
    ``overlap``, the same over the share that its own shape matches of it. With p = 1 there is no map: ``direction``
    (d,) takes the place of the displacement, the steepest descent of the divergence per unit of mass, without unit and
    at most 2 long, and the potential is in file units.
    at: a file whose points are looked at, in both directions; without it ``config.grid`` points along the longest side
    of the source; without that each shape's own points, with its cells.
    Raises OutputFileError before any work; InputFileError, FormatError or InputError about the files; ArgumentError
    about the settings. Not converging is a status of the divergence.
    """
    started = perf_counter()
    if at is not None and config.grid is not None:
        raise ArgumentError(f"at and grid exclude each other; got {at} and {config.grid}. Omit one of them")
    if config.features != "none" and (at is not None or config.grid is not None):
        raise ArgumentError(
            f"features are known at the points of the shapes only, not at others; got {config.features!r} with "
            f"{'grid' if at is None else 'at'}. Omit one of them"
        )
    device_named(config.device)
    files = outputs.files()
    inputs = {"source": source, "target": target} | ({} if at is None else {"at": at})
    check_outputs(files.values(), inputs=inputs.values(), overwrite=outputs.overwrite)
    with thread_limit(config.threads):
        source_shape, target_shape = read_pair(source, target, reading)
        shapes = {"source": source_shape, "target": target_shape}
        if at is not None:
            shapes["at"] = _read_points(at, reading, dimension=source_shape.dimension)
        common_space(*shapes.values())
        pair = measure_pair(source_shape, target_shape, config)
        grid = None
        if config.grid is not None:
            grid = RegularGrid.around(source_shape.points, config.grid, max_points=reading.max_points)
        places = _places(shapes, grid, both=outputs.both)
        for role, path in files.items():
            # The trial costs a second on a large mesh; points alone fit into every layout.
            if places[role].cells:
                check_conversion(places[role], path.with_suffix(f".{outputs.layout}"))
        read = perf_counter()
        # The map is what is asked for here, so it is worth its exact extension.
        sinkhorn = solver(config, pair.frame, exact_map=True)
        transport, maps = _maps(sinkhorn, pair, places)
        divergence = Divergence.of(transport, pair.frame)
        where = computed_on(pair.source_measure.points.device, transport.reduction)
        mapped = perf_counter()
        outputs.write(
            {role: _with_fields(places[role], found, pair.frame, transport.p) for role, found in maps.items()}
        )
    finished = perf_counter()
    warnings = warnings_of(*shapes.values()) + unused_settings(config, pair)
    counts = {role: len(place.points) for role, place in places.items()}
    record = {
        "schema": "otreg.map/1",
        "inputs": {role: input_record(path, shapes[role]) for role, path in inputs.items()},
        "outputs": {role: "-" if outputs.piped else str(path) for role, path in files.items()},
        "settings": config.model_dump(mode="json"),
        "sampling": pair.sampling_record,
        "computed_on": where,
        "frame": {"origin": list(pair.frame.origin), "scale": pair.frame.scale, "unit": "file units"},
        "points": counts,
        "grid": None if grid is None else plain(grid),
        "divergence": divergence.to_dict(),
        "converged": divergence.converged,
        "status": divergence.status,
        "warnings": warnings,
        "seconds": {
            "read": read - started,
            "map": mapped - read,
            "write": finished - mapped,
            "total": finished - started,
        },
        "versions": versions(),
        "platform": machine(),
    }
    return MapReport(files, counts, divergence, tuple(warnings), record)


def _read_points(path: Path, reading: Reading, *, dimension: int) -> Shape:
    shape = reading.shape(path)
    if shape.dimension != dimension:
        raise InputError(
            f"{path}: has {shape.dimension} coordinates per point, the map moves points of {dimension}; "
            "use points of the shapes' dimension"
        )
    return shape


def _bare(shape: Shape) -> Shape:
    """Points and cells without attributes: fields take their place."""
    return Shape(points=shape.points, cells=shape.cells)


def _places(shapes: dict[str, Shape], grid: RegularGrid | None, *, both: bool) -> dict[str, Shape]:
    """Where each direction (map, target_map) is looked at."""
    if grid is not None:
        places = [Shape(points=grid.points())] * 2
    elif "at" in shapes:
        places = [_bare(shapes["at"])] * 2
    else:
        places = [_bare(shapes["source"]), _bare(shapes["target"])]
    return dict(zip(("map", "target_map"), places, strict=True)) if both else {"map": places[0]}


def _maps(sinkhorn: Sinkhorn, pair: Pair, places: dict[str, Shape]) -> tuple[Transport, dict[str, BrenierMap]]:
    """The transport, and the map of each direction at its points."""
    source, target = sinkhorn.prepare(pair.source_measure), sinkhorn.prepare(pair.target_measure, as_target=True)
    transport = sinkhorn(source, target)
    device = pair.source_measure.points.device
    at = {role: torch.as_tensor(pair.frame.to_frame(place.points), device=device) for role, place in places.items()}
    features = pair.features or (None, None)
    maps = {"map": transport.at(at["map"], features[0])}
    if "target_map" not in at:
        return transport, maps
    if torch.equal(at["target_map"], pair.target_measure.points):
        return transport, {**maps, "target_map": transport.target_map}
    # The map back is the map of the exchanged problem, whose potentials are known already.
    back = replace(sinkhorn, reach=sinkhorn.reaches[::-1])
    known = transport.warm_start
    exchanged = WarmStart(
        source_points=known.target_points,
        target_points=known.source_points,
        source=known.target,
        target=known.source,
        source_self=None,
    )
    other = back(target, source, warm_start=exchanged)
    return transport, {**maps, "target_map": other.at(at["target_map"], features[1])}


def _with_fields(place: Shape, found: BrenierMap, frame: Frame, p: int) -> Shape:
    """The points with the map's fields, in file units; p: exponent of the cost."""
    way = _array(found.displacement)
    fields = {
        **({"displacement": way * frame.scale} if p == 2 else {"direction": way}),
        "potential": _array(found.potential) * frame.scale**p,
        "matched_mass": _array(found.matched_mass),
        "overlap": _array(found.overlap),
    }
    return Shape(points=place.points, cells=place.cells, point_data=fields)


def _array(values: torch.Tensor) -> np.ndarray:
    return values.detach().cpu().numpy().astype(np.float64)
