"""Two files become two measures in one frame: what a registration and a distance both start with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from otreg.config import SPLINES, RegisterConfig, TransportConfig
from otreg.errors import ArgumentError, InputError
from otreg.jobs.device import device_named
from otreg.jobs.reading import Reading
from otreg.jobs.sampling import edge_bound, samplings_for
from otreg.measures import Frame, Measure
from otreg.measures.from_shape import Sampling, measure_from_shape
from otreg.measures.shape_features import labels_of, normals_of, sides_agree
from otreg.shapes import Shape


@dataclass(frozen=True)
class Pair:
    """A source and a target: as they were read, and as measures in the target's frame.

    features: (n, k) and (m, k) at the points of the two shapes, in frame units, as the measures have them at theirs;
    None without any. turning: they are normals, and turn with the source. samplings: what the measures were made of,
    source first.
    """

    source: Shape
    target: Shape
    frame: Frame
    source_measure: Measure
    target_measure: Measure
    features: tuple[torch.Tensor, torch.Tensor] | None
    turning: bool
    samplings: tuple[Sampling, Sampling]

    @property
    def sampling_record(self) -> dict[str, Sampling]:
        """What stood for each shape, in pure JSON types."""
        return dict(zip(("source", "target"), self.samplings, strict=True))


def read_pair(source: Path, target: Path, reading: Reading) -> tuple[Shape, Shape]:
    """The two shapes, of one dimension. Raises InputFileError, FormatError or InputError."""
    source_shape, target_shape = reading.shape(source), reading.shape(target)
    if source_shape.dimension != target_shape.dimension:
        raise InputError(
            f"{target}: both shapes must have the same number of coordinates; got {source_shape.dimension} in the "
            f"source and {target_shape.dimension} in the target. Pad or project one of them"
        )
    return source_shape, target_shape


def measure_pair(source: Shape, target: Shape, config: TransportConfig) -> Pair:
    """The shapes as measures in the target's frame, the way and on the device that the settings want.

    Raises InputError about the shapes, ArgumentError about the settings, ResourceError when there is no such device.
    """
    try:
        frame = Frame.of(target.points)
    except InputError as error:
        raise InputError(f"{target.path}: {error}") from error
    device = device_named(config.device)
    kind, _, column = _chosen_features(source, target, config).partition(":")
    length = config.feature_distance.in_frame(frame.scale)
    features = _features(source, target, kind, column or None, length)
    samplings = samplings_for(source, target, config, diagonal=frame.scale)
    measures = []
    for shape, sampling, values in zip((source, target), samplings, features or (None, None), strict=True):
        measure = measure_from_shape(
            shape,
            frame,
            sampling=sampling,
            weights=config.weights,
            features=values,
            longest_edge=edge_bound(shape, config, diagonal=frame.scale),
            seed=config.seed,
        )
        its_features = None if measure.features is None else measure.features.to(device)
        measures.append(Measure(measure.points.to(device), measure.weights.to(device), its_features))
    source_measure, target_measure = measures
    on_device = None
    if features is not None:
        on_device = torch.from_numpy(features[0]).to(device), torch.from_numpy(features[1]).to(device)
    return Pair(source, target, frame, source_measure, target_measure, on_device, kind == "normals", samplings)


def unused_settings(config: TransportConfig, pair: Pair) -> list[str]:
    """A sentence about each setting that does nothing because another one is missing."""
    if pair.features is None and config.feature_length != "auto":
        return [
            f"feature_length is {config.feature_length}, but there are no features; choose them with --features, or "
            "leave it out"
        ]
    return []


def _chosen_features(source: Shape, target: Shape, config: TransportConfig) -> str:
    """The features that the settings ask for, or what "auto" stands for with these shapes."""
    if config.features != "auto":
        return config.features
    # Only a model that bends needs them: a pose that brings most of a surface to its place brings its sides there, too.
    bends = isinstance(config, RegisterConfig) and config.models[-1] in SPLINES
    return "normals" if bends and sides_agree(source, target) else "none"


def _features(
    source: Shape, target: Shape, kind: str, column: str | None, length: float
) -> tuple[np.ndarray, np.ndarray] | None:
    """What the points of both shapes have besides their place, as lengths in frame units."""
    if kind == "none":
        return None
    if kind == "normals":
        return length * normals_of(source), length * normals_of(target)
    here, there = labels_of((source, target), column)
    return length * here, length * there


@contextmanager
def thread_limit(threads: int | None) -> Iterator[None]:
    """Computes with ``threads`` CPU threads inside the block, with the former number after it; None changes nothing.

    Raises ArgumentError when numba cannot start so many.
    """
    if threads is None:
        yield
        return
    import numba

    limit = int(numba.config.NUMBA_NUM_THREADS)  # type: ignore[attr-defined]
    if threads > limit:
        raise ArgumentError(
            f"threads must be at most {limit}, the number of cores; got {threads}. Omit it for all of them"
        )
    before = torch.get_num_threads(), numba.get_num_threads()
    torch.set_num_threads(threads)
    numba.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        numba.set_num_threads(before[1])
