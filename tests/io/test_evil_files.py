"""Real files that break parsers give a right shape or one named error, in seconds."""

import time
from pathlib import Path

import numpy as np
import pytest

from otreg.errors import OtregError
from otreg.io import read_shape, write_shape

# Points and cells of files that other parsers get wrong, counted by hand or with a text editor.
KNOWN = {
    "tinyobj_models/cube.obj": (8, 6),
    "tinyobj_models/cube-vertexcol.obj": (8, 6),
    "tinyobj_models/issue-161-inconsistent-f.obj": (8, 12),
    "tinyobj_models/line-prim.obj": (8, 6),
    "trimesh_models/negative_indices.obj": (8, 6),
    "trimesh_models/unit_cube.STL": (36, 12),
    "trimesh_models/two_objects_mixed_case_names.stl": (72, 24),
    "trimesh_models/comments.off": (8, 6),
    "trimesh_models/whitespace.off": (8, 6),
    "trimesh_models/cycloidal.ply": (21384, 43368),
    "trimesh_models/metadata.ply": (4, 2),
    "pdal_odd/text/quoted2.txt": (9, 0),
    "pdal_odd/pcd/autzen-utm.pcd": (1065, 0),
    "pdal_odd/ply/sized_dims.ply": (1, 0),
}


def test_every_evil_file_gives_a_shape_or_one_line_within_seconds(shared_data: Path, tmp_path: Path) -> None:
    files = [path for path in sorted((shared_data / "evil").rglob("*")) if path.is_file()]
    assert len(files) > 150
    shapes = 0
    for path in files:
        started = time.monotonic()
        try:
            shape = read_shape(path)
        except OtregError as error:
            assert "\n" not in str(error) and str(path) in str(error), path
        else:
            shapes += 1
            assert np.isfinite(shape.points).all(), path
            assert all(0 <= b.indices.min() and b.indices.max() < len(shape.points) for b in shape.cells), path
            # Read again after being written in its own format, it has moved, and nothing else has changed.
            if shape.native is not None:
                out = tmp_path / f"out{path.suffix.lower()}"
                write_shape(shape.with_points(shape.points + 1), out, overwrite=True)
                again = read_shape(out)
                size = np.abs(shape.points).max() + 1
                assert np.abs(again.points - shape.points - 1).max() <= 1e-6 * size, path
                assert [len(b) for b in again.cells] == [len(b) for b in shape.cells], path
                assert list(again.point_data) == list(shape.point_data), path
        assert time.monotonic() - started < 20, path  # 5 s alone; other work may share the machine
    assert shapes > 100


@pytest.mark.parametrize("name", KNOWN)
def test_counts_are_those_of_the_file(shared_data: Path, name: str) -> None:
    shape = read_shape(shared_data / "evil" / name)
    assert (len(shape.points), sum(len(block) for block in shape.cells)) == KNOWN[name]
