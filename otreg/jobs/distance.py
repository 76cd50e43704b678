"""How far apart two shapes are: one transport, no motion."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

from otreg.config import DistanceConfig
from otreg.jobs.device import computed_on
from otreg.jobs.divergence import Divergence
from otreg.jobs.pair import measure_pair, read_pair, thread_limit, unused_settings
from otreg.jobs.provenance import input_record, machine, versions
from otreg.jobs.reading import Reading, warnings_of
from otreg.jobs.solver import solver
from otreg.jobs.spaces import common_space


@dataclass(frozen=True)
class DistanceReport:
    """The divergence of two shapes. record: everything about the run in pure JSON types; warnings: sentences."""

    divergence: Divergence
    record: dict[str, Any]
    warnings: tuple[str, ...]


def distance_files(
    source: Path, target: Path, config: DistanceConfig, *, reading: Reading = Reading()
) -> DistanceReport:
    """The Sinkhorn divergence between the shapes of two files, as they lie, with its error interval.

    Raises InputFileError, FormatError or InputError about the files, ArgumentError about the settings.
    """
    started = perf_counter()
    with thread_limit(config.threads):
        source_shape, target_shape = read_pair(source, target, reading)
        common_space(source_shape, target_shape)
        read = perf_counter()
        pair = measure_pair(source_shape, target_shape, config)
        transport = solver(config, pair.frame)(pair.source_measure, pair.target_measure)
        where = computed_on(pair.source_measure.points.device, transport.reduction)
    divergence = Divergence.of(transport, pair.frame)
    solved = perf_counter()
    warnings = warnings_of(source_shape, target_shape) + unused_settings(config, pair)
    record = {
        "schema": "otreg.distance/1",
        "inputs": {"source": input_record(source, source_shape), "target": input_record(target, target_shape)},
        "settings": config.model_dump(mode="json"),
        "sampling": pair.sampling_record,
        "computed_on": where,
        "frame": {"origin": list(pair.frame.origin), "scale": pair.frame.scale, "unit": "file units"},
        "divergence": divergence.to_dict(),
        "warnings": warnings,
        "seconds": {"read": read - started, "distance": solved - read, "total": perf_counter() - started},
        "versions": versions(),
        "platform": machine(),
    }
    return DistanceReport(divergence, record, tuple(warnings))
