"""One registration from files to files: check the outputs, read, measure, register, write.

Everything that can be refused is refused before the first long step, and every file appears whole or not at all; the
report is written last, so that its presence says that the others are complete.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any, cast

import numpy as np
import torch

from otreg.config import INIT_WORDS, SPLINES, Length, RegisterConfig
from otreg.io import write_fields, write_json, write_matrix, write_shape
from otreg.jobs.apply import moved_shape
from otreg.jobs.conversion import check_conversion, extension_for
from otreg.jobs.device import computed_on, device_named
from otreg.jobs.divergence import Divergence
from otreg.jobs.landmarks import LandmarkDistances, read_landmarks
from otreg.jobs.outputs import Outputs
from otreg.jobs.pair import Pair, measure_pair, read_pair, thread_limit, unused_settings
from otreg.jobs.plain import plain
from otreg.jobs.provenance import absolute_path, input_record, machine, versions
from otreg.jobs.reading import Reading, warnings_of
from otreg.jobs.sampling import coarse_mesh
from otreg.jobs.spaces import common_space
from otreg.jobs.start import read_start, start_model
from otreg.models.transform import Transform
from otreg.quality import quality_of
from otreg.registration import Init, Registration, RegistrationSettings, Step, register
from otreg.registration.turning import moved_features
from otreg.shapes import Shape


@dataclass(frozen=True)
class JobReport:
    """What one registration did.

    files: path by role (shape, transform, matrix, fields, report).
    divergence: how far the moved shape still is from the target.
    converged, status: of the registration; warnings: sentences.
    landmarks: how far they are from their partners, None where there were none.
    record: the content of report.json, in pure JSON types.
    """

    files: dict[str, Path]
    divergence: Divergence
    converged: bool
    status: str
    warnings: tuple[str, ...]
    record: dict[str, Any]
    landmarks: LandmarkDistances | None = None


def register_files(
    source: Path,
    target: Path,
    config: RegisterConfig,
    outputs: Outputs,
    *,
    landmarks: tuple[Path, Path] | None = None,
    reading: Reading = Reading(),
    on_step: Callable[[Step], None] | None = None,
) -> JobReport:
    """Registers the shape of ``source`` onto that of ``target`` and writes the moved shape, the map and a report.

    landmarks: files with points of the source and their partners on the target, joined by name or by order; how much
    they pull says ``config.landmark_weight``, and with init "auto" they are the start if they determine a pose.
    on_step: called after every step, with lengths in diagonals of the target.
    Raises OutputFileError before any work; InputFileError, FormatError or InputError about the files; ArgumentError
    about the settings. Not converging is a status of the report.
    """
    started = perf_counter()
    device_named(config.device)
    start_file = None if config.init in INIT_WORDS else Path(config.init)
    given = None if start_file is None else read_start(start_file)
    linear = config.models[-1] not in SPLINES
    inputs = [source, target, *(landmarks or ())]
    files = outputs.checked_files(source.suffix.lower(), linear=linear, inputs=inputs)
    with thread_limit(config.threads):
        source_shape, target_shape = read_pair(source, target, reading)
        space = common_space(source_shape, target_shape)
        warnings = warnings_of(source_shape, target_shape)
        if outputs.shape is None:
            # What the file holds decides, not its name, so the name of the moved shape is known only now.
            extension, warning = extension_for(source_shape, source)
            warnings += [] if warning is None else [warning]
            files = outputs.checked_files(extension, linear=linear, inputs=inputs)
        check_conversion(_at(target_shape, source_shape), files["shape"], outputs.shape_format)
        marks = None
        if landmarks is not None:
            marks = read_landmarks(landmarks, (source_shape, target_shape), space=space, reading=reading)
            warnings += marks.warnings
        elif config.landmark_weight != RegisterConfig.model_fields["landmark_weight"].default:
            warnings.append(
                f"landmark_weight is {config.landmark_weight:g}, but there are no landmarks; give them with "
                "--landmarks, or leave it out"
            )
        read = perf_counter()
        pair = measure_pair(source_shape, target_shape, config)
        warnings += unused_settings(config, pair)
        settings = registration_settings(config, diagonal=pair.frame.scale, turning=pair.turning)
        in_frame = None
        if marks is not None:
            here, there = (torch.from_numpy(pair.frame.to_frame(points)) for points in (marks.source, marks.target))
            in_frame = here, there
        start = None
        if start_file is not None and given is not None:
            start = start_model(
                given,
                start_file,
                frame=pair.frame,
                space=space,
                model=config.models[0],
                device=pair.source_measure.points.device,
            )
        registration = register(
            pair.source_measure, pair.target_measure, settings, start=start, landmarks=in_frame, on_step=on_step
        )
        warnings += registration.warnings
        distances = None
        if marks is not None and registration.landmarks is not None:
            distances = LandmarkDistances.of(registration.landmarks, marks, pair.frame)
            warnings += distances.warnings
        registered = perf_counter()
        transform = Transform(
            model=registration.model,
            frame=pair.frame,
            provenance={
                "source": input_record(source, source_shape),
                "target": input_record(target, target_shape),
                **({} if marks is None else marks.record),
                "settings": config.model_dump(mode="json"),
                "versions": versions(),
            },
            space=space,
        )
        moved = moved_shape(source_shape, transform)
        if config.weights is None:
            warnings += coarse_mesh(moved, target_shape, pair.samplings, blur=settings.blur, diagonal=pair.frame.scale)
        divergence = Divergence.of(registration.transport, pair.frame)
        where = computed_on(pair.source_measure.points.device, registration.transport.reduction)
        quality = quality_of(
            source=source_shape,
            moved=moved,
            target=target_shape,
            point_map=transform,
            overlap_mass=registration.overlap,
        )
        _write_results(
            files,
            moved=moved,
            pair=pair,
            registration=registration,
            transform=transform,
            outputs=outputs,
            features=pair.features[0] if pair.features is not None and settings.features_in_result else None,
        )
    finished = perf_counter()
    record = {
        "schema": "otreg.register/1",
        "inputs": {
            "source": {**transform.provenance["source"], "absolute": absolute_path(source, source_shape)},
            "target": {**transform.provenance["target"], "absolute": absolute_path(target, target_shape)},
            **({} if marks is None else marks.record),
        },
        "outputs": {
            role: "-" if outputs.piped and path == outputs.shape else str(path) for role, path in files.items()
        },
        "settings": config.model_dump(mode="json"),
        "resolved": plain(settings),
        "sampling": pair.sampling_record,
        "computed_on": where,
        "frame": {"origin": list(pair.frame.origin), "scale": pair.frame.scale, "unit": "file units"},
        "search": plain(registration.search),
        "stages": [plain(stage) for stage in registration.stages],
        "bend": plain(registration.bend),
        "landmarks": None if distances is None else distances.to_dict(),
        "divergence": divergence.to_dict(),
        "quality": quality.to_dict(),
        "converged": registration.converged,
        "status": registration.status,
        "warnings": warnings,
        "seconds": {
            "read": read - started,
            "register": registered - read,
            "write": finished - registered,
            "total": finished - started,
        },
        "versions": transform.provenance["versions"],
        "platform": machine(),
    }
    if "report" in files:
        write_json(files["report"], record, overwrite=outputs.overwrite)
    return JobReport(
        files=files,
        divergence=divergence,
        converged=registration.converged,
        status=registration.status,
        warnings=tuple(warnings),
        record=record,
        landmarks=distances,
    )


def registration_settings(config: RegisterConfig, *, diagonal: float, turning: bool = False) -> RegistrationSettings:
    """The settings in frame units, for a target whose diagonal is ``diagonal`` units of the files.

    turning: whether the features are normals, which "auto" leaves to the shapes.
    """

    def fraction(length: Length | None) -> float | None:
        return None if length is None else length.in_frame(diagonal)

    return RegistrationSettings(
        models=config.models,
        blur=config.blur.in_frame(diagonal),
        reach=fraction(config.reach_length),
        optimizer=config.optimizer,
        iterations=config.iterations,
        tolerance=config.tolerance,
        seed=config.seed,
        reduction=config.reduction,
        stiffness=config.stiffness,
        control_points=config.control_points,
        init=cast("Init", config.init) if config.init in INIT_WORDS else "none",
        landmark_weight=config.landmark_weight,
        turning_features=turning,
        # Whoever asked for features is told about them; else figures mean the same as those of `otreg distance`.
        features_in_result=config.features != "auto",
    )


def _at(target: Shape, source: Shape) -> Shape:
    """The source about where its registration will put it: its centre on that of the target."""
    return source.with_points(source.points + (target.points.mean(axis=0) - source.points.mean(axis=0)))


def _write_results(
    files: dict[str, Path],
    *,
    moved: Shape,
    pair: Pair,
    registration: Registration,
    transform: Transform,
    outputs: Outputs,
    features: torch.Tensor | None,
) -> None:
    overwrite = outputs.overwrite
    write_shape(moved, files["shape"], format=outputs.shape_format, overwrite=overwrite)
    if "transform" in files:
        write_json(files["transform"], transform.to_dict(), overwrite=overwrite)
    matrix = transform.matrix()
    if "matrix" in files and matrix is not None:
        write_matrix(files["matrix"], matrix, overwrite=overwrite)
    elif outputs.directory is not None and overwrite:
        # A matrix that an earlier linear run left here does not belong to this transform.
        (outputs.directory / "transform.txt").unlink(missing_ok=True)
    if outputs.directory is not None and overwrite:
        # Nor do the pictures of an earlier run show this one.
        for name in ("report.html", "preview.png"):
            (outputs.directory / name).unlink(missing_ok=True)
    if "fields" in files:
        write_fields(
            files["fields"],
            points=moved.points,
            cells=moved.cells,
            point_data=_fields(moved, pair=pair, registration=registration, features=features),
            overwrite=overwrite,
        )


def _fields(
    moved: Shape, *, pair: Pair, registration: Registration, features: torch.Tensor | None
) -> dict[str, np.ndarray]:
    """Per point of the moved shape, in file units: how it got there, and what the last transport says of it.

    brenier_displacement: from the moved point to where the transport sends its mass; registration_displacement: from
    the source's point to the moved one; potential: squared file units; matched_mass: share of a point's mass that finds
    a partner, 1 where the target is just as there as the source itself.
    features: (n, k) of the source's points, where the last transport compares them.
    """
    scale = pair.frame.scale
    device = pair.source_measure.points.device
    before = torch.as_tensor(pair.frame.to_frame(pair.source.points), device=device)
    if torch.equal(before, pair.source_measure.points):
        # Where the shape's own points are the measure, the transport has its map there already.
        last = registration.transport.source_map
    else:
        here = torch.as_tensor(pair.frame.to_frame(moved.points), device=device)
        if features is not None:
            features = moved_features(features, registration.model, before, turning=pair.turning)
        last = registration.transport.at(here, features)
    return {
        "brenier_displacement": _array(last.displacement) * scale,
        "registration_displacement": moved.points - pair.source.points,
        "potential": _array(last.potential) * scale**2,
        "matched_mass": _array(last.overlap),
    }


def _array(values: torch.Tensor) -> np.ndarray:
    return values.detach().cpu().numpy().astype(np.float64)
