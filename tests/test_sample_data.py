"""The sample data is what its README says: the truth holds, and the script makes these very files."""

import subprocess
import sys

import numpy as np
import pytest
from scipy.spatial import cKDTree

from otreg import read_shape
from otreg.shapes import triangles_of


def test_the_bent_creature_is_the_creature_with_its_vertices_shuffled(sample_data):
    source, target = (read_shape(sample_data / name) for name in ("creature.ply", "creature_bent.ply"))
    index = target.point_data["source_index"]
    assert (np.sort(index) == np.arange(len(source.points))).all()
    assert (index != np.arange(len(index))).mean() > 0.99
    assert (index[triangles_of(target)] == triangles_of(source)).all()
    # A bend, not a stretch: most edges keep their length within a fifth.
    lengths = []
    for points, triangles in (
        (source.points, triangles_of(source)),
        (target.points[np.argsort(index)], triangles_of(source)),
    ):
        lengths.append(np.linalg.norm(points[triangles[:, 0]] - points[triangles[:, 1]], axis=1))
    assert np.median(np.abs(lengths[1] / lengths[0] - 1)) < 0.1


def test_the_matrix_of_the_scans_lays_one_on_the_other(sample_data):
    source, target = (read_shape(sample_data / f"scan_{name}.ply").points for name in ("source", "target"))
    matrix = np.loadtxt(sample_data / "scan_source_to_target.txt")
    assert np.abs(matrix[:3, :3] @ matrix[:3, :3].T - np.eye(3)).max() < 1e-12
    assert np.linalg.det(matrix[:3, :3]) == pytest.approx(1)
    moved = source @ matrix[:3, :3].T + matrix[:3, 3]
    reach = {name: cKDTree(target).query(points)[0] for name, points in (("moved", moved), ("as given", source))}
    # Points 0.85 mm apart: on a common surface the nearest one is hardly farther than that.
    assert np.median(reach["moved"]) < 0.6
    assert np.median(reach["as given"]) > 2
    hidden = (reach["moved"] > 2).mean()
    assert 0.05 < hidden < 0.5, "the scans overlap in part only"


def test_the_data_is_small(sample_data):
    assert sum(path.stat().st_size for path in sample_data.iterdir() if path.is_file()) < 1_500_000


@pytest.mark.slow
def test_the_script_makes_the_committed_files(sample_data, tmp_path):
    pytest.importorskip("skimage", reason="needs the docs extra")
    script = tmp_path / "make_sample_data.py"
    script.write_text((sample_data / "make_sample_data.py").read_text())
    subprocess.run([sys.executable, str(script)], check=True, timeout=240)
    for name in ("creature.ply", "creature_bent.ply", "scan_source.ply", "scan_target.ply"):
        made, committed = read_shape(tmp_path / name), read_shape(sample_data / name)
        # Another processor may round differently; float32 keeps about 1e-5 mm here.
        assert np.abs(made.points - committed.points).max() < 1e-3
