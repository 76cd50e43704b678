"""Pairs of cortical surfaces for benchmarks/registration.py: FreeSurfer's fsaverage5, carried by the package nilearn.

White matter to pial surface, and pial to inflated: vertex i stays vertex i. Deep folds, whose opposite walls are nearer
to each other than to their partners.
"""

from __future__ import annotations

import gzip
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from otreg import Shape, read_shape

PAIRS = (("white", "pial"), ("pial", "infl"))


def cortical_pairs() -> Iterator[tuple[str, Shape, Shape]]:
    """Name, source and target of each pair; none where nilearn is not installed."""
    package = find_spec("nilearn")
    if package is None or package.origin is None:
        return
    folder = Path(package.origin).parent / "datasets" / "data" / "fsaverage5"
    for here, there in PAIRS:
        source, target = (_surface(folder / f"{name}_left.gii.gz") for name in (here, there))
        yield f"fsaverage5_{here}_{there}", source, target


def _surface(path: Path) -> Shape:
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / path.stem
        plain.write_bytes(gzip.decompress(path.read_bytes()))
        shape = read_shape(plain)
    return Shape(points=shape.points, cells=shape.cells)
