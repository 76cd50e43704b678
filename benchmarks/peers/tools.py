"""What benchmarks/registration.py compares: a tool loads a pair and answers with where the points of the source go.

All get the same files and no hint of the answer. Lengths that a tool asks for are shares of the target's diagonal, the
same for all pairs; ``settings`` says them in words for the page. Tools that only refine a pose start from the source as
it lies, which is what a random pose is about. Tools that hold all pairs of points get a sample of the points, as their
users must take one, and move all points by what they found.
"""

from __future__ import annotations

import os
import tempfile
from abc import ABC, abstractmethod
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from scipy.spatial.distance import cdist

from otreg import Shape, write_shape
from otreg.shapes import triangles_of
from peers.cases import Array

# Points per side of what stores or visits all pairs of points; drawn with a fixed seed.
SAMPLE = 1000
# The same of what visits the nearest ones of each point only, but in every one of a hundred rounds.
SPARSE_SAMPLE = 5000
# Voxels of what matches features, and of what refines: shares of the diagonal.
COARSE_VOXEL, FINE_VOXEL = 0.015, 0.005


class Unavailable(Exception):
    """A tool cannot run here; the message says why."""


class Tool(ABC):
    """One way to register.

    packages: distributions whose versions the result names; modules: what must be importable; kinds: of cases that it
    is for; dimensions: of points that it takes; faces: whether both shapes must have faces; settings: in words.
    """

    packages: ClassVar[tuple[str, ...]]
    modules: ClassVar[tuple[str, ...]]
    kinds: ClassVar[tuple[str, ...]] = ("rigid", "no truth")
    dimensions: ClassVar[tuple[int, ...]] = (3,)
    faces: ClassVar[bool] = False
    settings: ClassVar[str]

    def check(self) -> None:
        """Raises Unavailable when the tool cannot run here."""
        for name in self.modules:
            try:
                import_module(name)
            except (ImportError, OSError) as error:
                raise Unavailable(f"{type(error).__name__}: {error}") from error

    def load(self, source: Shape, target: Shape) -> None:
        """Takes the shapes in whatever form the tool wants; not timed."""
        self.source, self.target = source, target
        self.x, self.y = source.points, target.points
        self.diagonal = float(np.linalg.norm(np.ptp(self.y, axis=0)))

    @abstractmethod
    def solve(self) -> Array:
        """(n, d) where all points of the source go; timed."""

    def notes(self) -> dict[str, Any]:
        """What else is worth recording; asked when the time has been taken."""
        return {}


class Otreg(Tool):
    """otreg, from files to a file; the reading and writing count."""

    packages: ClassVar = ("otreg",)
    modules: ClassVar = ("otreg",)
    dimensions: ClassVar = (2, 3)
    settings: ClassVar = "`-m rigid`, all else by default; reading and writing the files counts"
    models: ClassVar[str] = "rigid"

    def load(self, source: Shape, target: Shape) -> None:
        super().load(source, target)
        self.folder = tempfile.TemporaryDirectory()
        extension = "ply" if source.dimension == 3 else "csv"
        self.files = [Path(self.folder.name) / f"{name}.{extension}" for name in ("source", "target", "moved")]
        for shape, file in zip((source, target), self.files, strict=False):
            write_shape(shape, file)

    def solve(self) -> Array:
        from otreg import Outputs, RegisterConfig, read_shape, register_files

        config = RegisterConfig.model_validate({"models": self.models})
        here, there, out = self.files
        self.report = register_files(here, there, config, Outputs(shape=out, overwrite=True))
        return read_shape(out).points

    def notes(self) -> dict[str, Any]:
        search = self.report.record["search"]
        ambiguous = None if search is None else search["ambiguous"]
        return {"converged": self.report.converged, "status": self.report.status, "ambiguous": ambiguous}


class OtregBent(Otreg):
    """otreg with a spline at the end."""

    kinds: ClassVar = ("nonrigid", "landmarks")
    settings: ClassVar = "`-m similarity,spline`, all else by default; reading and writing the files counts"
    models: ClassVar[str] = "similarity,spline"


class Open3d(Tool):
    """Open3D's global registration (FPFH features, RANSAC), refined by point-to-plane ICP, as its tutorial does."""

    packages: ClassVar = ("open3d-cpu", "open3d")
    modules: ClassVar = ("open3d",)
    settings: ClassVar = (
        f"voxels of {COARSE_VOXEL:.1%} of the diagonal, normals within 2 and features within 5 of them, RANSAC within "
        f"1.5 (at most 100,000 rounds, confidence 0.999), then ICP to planes within 0.4"
    )

    def solve(self) -> Array:
        import open3d

        registration = open3d.pipelines.registration
        search = open3d.geometry.KDTreeSearchParamHybrid
        voxel = COARSE_VOXEL * self.diagonal
        open3d.utility.random.seed(0)
        clouds = [open3d.geometry.PointCloud(open3d.utility.Vector3dVector(points)) for points in (self.x, self.y)]
        coarse, features = [], []
        for cloud in clouds:
            small = cloud.voxel_down_sample(voxel)
            small.estimate_normals(search(radius=2 * voxel, max_nn=30))
            coarse.append(small)
            features.append(registration.compute_fpfh_feature(small, search(radius=5 * voxel, max_nn=100)))
            cloud.estimate_normals(search(radius=2 * voxel, max_nn=30))
        found = registration.registration_ransac_based_on_feature_matching(
            *coarse,
            *features,
            True,
            1.5 * voxel,
            registration.TransformationEstimationPointToPoint(False),
            3,
            [
                registration.CorrespondenceCheckerBasedOnEdgeLength(0.9),
                registration.CorrespondenceCheckerBasedOnDistance(1.5 * voxel),
            ],
            registration.RANSACConvergenceCriteria(100_000, 0.999),
        )
        refined = registration.registration_icp(
            *clouds, 0.4 * voxel, found.transformation, registration.TransformationEstimationPointToPlane()
        )
        return moved_by(refined.transformation, self.x)


class SmallGicp(Tool):
    """small_gicp's generalised ICP from where the source lies."""

    packages: ClassVar = ("small-gicp",)
    modules: ClassVar = ("small_gicp",)
    settings: ClassVar = f"GICP, voxels of {FINE_VOXEL:.1%} of the diagonal, pairs within 5 %, at most 100 rounds"

    def solve(self) -> Array:
        return moved_by(refine(self.x, self.y, np.eye(4), reach=0.05), self.x)


def refine(x: Array, y: Array, start: Array, *, reach: float) -> Array:
    """(4, 4) pose that small_gicp comes to; reach: share of the target's diagonal within which points are paired."""
    import small_gicp

    # Its tolerances are in metres and meant for streets: a diagonal of 100 of them.
    unit = float(np.linalg.norm(np.ptp(y, axis=0))) / 100
    scaled = start.copy()
    scaled[:3, 3] = (start[:3, :3] @ x.mean(0) + start[:3, 3] - y.mean(0)) / unit
    found = small_gicp.align(
        (y - y.mean(0)) / unit,
        (x - x.mean(0)) / unit,
        init_T_target_source=scaled,
        registration_type="GICP",
        downsampling_resolution=100 * FINE_VOXEL,
        max_correspondence_distance=100 * reach,
        num_threads=threads(),
        max_iterations=100,
    ).T_target_source
    pose = found.copy()
    pose[:3, 3] = unit * found[:3, 3] + y.mean(0) - found[:3, :3] @ x.mean(0)
    return pose


class KissMatcher(Tool):
    """KISS-Matcher's global pose, refined by small_gicp, as its authors advise."""

    packages: ClassVar = ("kiss-matcher", "small-gicp")
    modules: ClassVar = ("kiss_matcher", "small_gicp")
    settings: ClassVar = (
        f"voxels of {COARSE_VOXEL:.1%} of the diagonal, then GICP as small_gicp with pairs within {COARSE_VOXEL:.1%}"
    )

    def solve(self) -> Array:
        import kiss_matcher

        # In units of its default voxel, 0.3 m.
        unit = COARSE_VOXEL * self.diagonal / 0.3
        matcher = kiss_matcher.KISSMatcher(kiss_matcher.KISSMatcherConfig(0.3))
        centre, there = self.x.mean(0), self.y.mean(0)
        clouds = [
            np.ascontiguousarray(((p - c) / unit).astype(np.float32)) for p, c in ((self.x, centre), (self.y, there))
        ]
        found = matcher.estimate(*clouds)
        pose = np.eye(4)
        pose[:3, :3] = found.rotation
        pose[:3, 3] = unit * np.asarray(found.translation).ravel() + there - pose[:3, :3] @ centre
        return moved_by(refine(self.x, self.y, pose, reach=COARSE_VOXEL), self.x)


class SimpleIcp(Tool):
    """simpleICP from where the source lies."""

    packages: ClassVar = ("simpleicp",)
    modules: ClassVar = ("simpleicp",)
    settings: ClassVar = "all by default; overlap within 10 % of the diagonal"

    def solve(self) -> Array:
        from simpleicp import PointCloud, SimpleICP

        clouds = [PointCloud(points, columns=["x", "y", "z"]) for points in (self.y, self.x)]
        icp = SimpleICP()
        icp.add_point_clouds(*clouds)
        pose, *_ = icp.run(max_overlap_distance=0.1 * self.diagonal)
        return moved_by(pose, self.x)


class TrimeshIcp(Tool):
    """trimesh's ICP of points, from where the source lies."""

    packages: ClassVar = ("trimesh",)
    modules: ClassVar = ("trimesh",)
    settings: ClassVar = "no reflection, no scale, at most 200 rounds"

    def solve(self) -> Array:
        from trimesh.registration import icp

        pose, _, _ = icp(self.x, self.y, threshold=1e-10, max_iterations=200, reflection=False, scale=False)
        return moved_by(pose, self.x)


class PycpdRigid(Tool):
    """pycpd's rigid coherent point drift."""

    packages: ClassVar = ("pycpd",)
    modules: ClassVar = ("pycpd",)
    dimensions: ClassVar = (2, 3)
    settings: ClassVar = f"{SAMPLE:,} points of each side, at most 150 rounds; its release always fits a scale, too"

    def solve(self) -> Array:
        from pycpd import RigidRegistration

        found = RigidRegistration(X=sample(self.y, 1), Y=sample(self.x, 0), max_iterations=150)
        found.register()
        return found.transform_point_cloud(self.x)


class PycpdBent(Tool):
    """pycpd's rigid, then deformable coherent point drift."""

    packages: ClassVar = ("pycpd",)
    modules: ClassVar = ("pycpd",)
    kinds: ClassVar = ("nonrigid", "landmarks")
    dimensions: ClassVar = (2, 3)
    settings: ClassVar = (
        f"in units in which the target has variance 1, rigid with scale, then deformable with its defaults (alpha 2, "
        f"beta 2, 100 rounds), {SAMPLE:,} points of each side"
    )

    def solve(self) -> Array:
        from pycpd import DeformableRegistration, RigidRegistration

        (x, y), back = normalised(self.x, self.y)
        rigid = RigidRegistration(X=sample(y, 1), Y=sample(x, 0))
        rigid.register()
        x = rigid.transform_point_cloud(x)
        bent = DeformableRegistration(X=sample(y, 1), Y=sample(x, 0))
        bent.register()
        # Its release moves only the points that it was fitted on: the others move by the same kernels.
        return back(x + np.exp(-cdist(x, bent.Y, "sqeuclidean") / (2 * bent.beta**2)) @ bent.W)


class BiocpdRigid(Tool):
    """biocpd's rigid coherent point drift with its nearest-neighbour E-step."""

    packages: ClassVar = ("biocpd",)
    modules: ClassVar = ("biocpd",)
    dimensions: ClassVar = (2, 3)
    settings: ClassVar = f"{SPARSE_SAMPLE:,} points of each side, 10 neighbours, no scale, at most 150 rounds"

    def solve(self) -> Array:
        from biocpd import RigidRegistration

        (x, y), back = normalised(self.x, self.y)
        few = sample(x, 0, SPARSE_SAMPLE), sample(y, 1, SPARSE_SAMPLE)
        found = RigidRegistration(X=few[1], Y=few[0], scale=False, max_iterations=150, use_kdtree=True, k=10)
        found.register()
        return back(found.transform_point_cloud(x))


class BiocpdBent(Tool):
    """biocpd's rigid, then deformable coherent point drift."""

    packages: ClassVar = ("biocpd",)
    modules: ClassVar = ("biocpd",)
    kinds: ClassVar = ("nonrigid", "landmarks")
    dimensions: ClassVar = (2, 3)
    settings: ClassVar = (
        "all points, in units in which the target has variance 1, rigid with scale, then deformable with its defaults "
        "(alpha 2, beta 2, 10 neighbours, 100 rounds), kernel of rank 300 by pivoted Cholesky"
    )

    def solve(self) -> Array:
        from biocpd import DeformableRegistration, RigidRegistration

        (x, y), back = normalised(self.x, self.y)
        rigid = RigidRegistration(X=y, Y=x, max_iterations=100)
        rigid.register()
        x = rigid.transform_point_cloud(x)
        bent = DeformableRegistration(
            X=y, Y=x, max_iterations=100, num_eig=min(300, len(x)), low_rank_method="pivoted_cholesky"
        )
        return back(np.asarray(bent.register()[0], dtype=np.float64))


class TrimeshNricp(Tool):
    """trimesh's similarity ICP, then its non-rigid ICP (Amberg et al. 2007)."""

    packages: ClassVar = ("trimesh",)
    modules: ClassVar = ("trimesh", "rtree")
    kinds: ClassVar = ("nonrigid", "landmarks")
    faces: ClassVar = True
    settings: ClassVar = "ICP with scale, then nricp_amberg with its default steps"

    def solve(self) -> Array:
        from trimesh import Trimesh
        from trimesh.registration import icp, nricp_amberg

        pose, _, _ = icp(self.x, self.y, threshold=1e-10, max_iterations=200, reflection=False)
        source, target = (
            Trimesh(points, triangles_of(shape), process=False)
            for points, shape in ((moved_by(pose, self.x), self.source), (self.y, self.target))
        )
        return np.asarray(nricp_amberg(source, target))


TOOLS: dict[str, type[Tool]] = {
    "otreg": Otreg,
    "otreg spline": OtregBent,
    "open3d RANSAC + ICP": Open3d,
    "kiss-matcher + small_gicp": KissMatcher,
    "small_gicp": SmallGicp,
    "simpleicp": SimpleIcp,
    "trimesh icp": TrimeshIcp,
    "pycpd rigid": PycpdRigid,
    "biocpd rigid": BiocpdRigid,
    "pycpd deformable": PycpdBent,
    "biocpd deformable": BiocpdBent,
    "trimesh nricp": TrimeshNricp,
}


def moved_by(pose: Array, points: Array) -> Array:
    """Points under a (4, 4) matrix of column vectors."""
    return points @ pose[:3, :3].T + pose[:3, 3]


def sample(points: Array, seed: int, count: int = SAMPLE) -> Array:
    """At most ``count`` of the points, drawn at random."""
    if len(points) <= count:
        return points
    return points[np.random.default_rng(seed).choice(len(points), count, replace=False)]


def normalised(x: Array, y: Array) -> tuple[tuple[Array, Array], Any]:
    """Both clouds in units in which the target has zero mean and unit variance, and the way back to its own."""
    mean, unit = y.mean(0), float(y.std())
    return ((x - mean) / unit, (y - mean) / unit), lambda points: points * unit + mean


def threads() -> int:
    """How many threads a tool may start."""
    return int(os.environ.get("OMP_NUM_THREADS", len(os.sched_getaffinity(0))))
