"""The problems of benchmarks/registration.py: real pairs with known truth, as given and from random poses.

A random pose turns the source about its centre and carries it one diagonal away, so that nothing of where it lay helps.
What lies in a plane of space is turned within it: a contour that is flipped over would be another shape.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from otreg import Shape, read_shape
from otreg.shapes import CellBlock
from peers.baselines import known_of
from peers.cortex import cortical_pairs
from peers.large import beginning, refined, sampled

Array = npt.NDArray[np.float64]

AS_GIVEN = "as given"
LARGE_FACES = "generic_neutral_mesh", "identity001"


@dataclass(frozen=True)
class Case:
    """A pair of shapes and a start.

    kind: "rigid" (a pose is the truth), "nonrigid" (an index is), "landmarks", or "no truth". truth: (n, d) where the
    points of the source belong; landmarks: (k, d) of the source and of the target; known: the entry of pairs.json, or
    what scores need of one.
    """

    pair: str
    kind: str
    start: str
    source: Shape
    target: Shape
    truth: Array | None
    landmarks: tuple[Array, Array] | None
    known: dict[str, Any]

    @property
    def diagonal(self) -> float:
        """Of the target's bounding box: the length that errors are relative to."""
        return float(np.linalg.norm(np.ptp(self.target.points, axis=0)))

    @property
    def labels(self) -> dict[str, Any]:
        counts = [len(self.source.points), len(self.target.points)]
        return {"pair": self.pair, "kind": self.kind, "start": self.start, "points": counts}

    def in_random_pose(self, number: int) -> Case:
        """The same pair with the source turned and shifted; the number says which of many poses."""
        rng = np.random.default_rng([number, *self.pair.encode()])
        points = self.source.points
        d = points.shape[1]
        flat = d == 3 and np.ptp(points[:, 2]) == 0
        turn = random_rotation(rng, 2 if flat else d)
        if flat:
            turn = np.block([[turn, np.zeros((2, 1))], [np.zeros((1, 2)), np.ones((1, 1))]])
        way = rng.standard_normal(d) * ([1, 1, 0] if flat else 1)
        centre, shift = points.mean(0), self.diagonal * way / np.linalg.norm(way)

        def move(vectors: Array) -> Array:
            return (vectors - centre) @ turn.T + centre + shift

        landmarks = None if self.landmarks is None else (move(self.landmarks[0]), self.landmarks[1])
        # Normals in the file would no longer fit; no tool is given any.
        source = Shape(points=move(points), cells=self.source.cells)
        return replace(self, start=f"random pose {number}", source=source, landmarks=landmarks)


def random_rotation(rng: np.random.Generator, d: int) -> Array:
    """(d, d) rotation, uniform over all of them."""
    q, r = np.linalg.qr(rng.standard_normal((d, d)))
    q = q * np.sign(np.diag(r))
    q[:, 0] *= np.linalg.det(q)
    return q


def cases(data: Path, *, poses: int, least: int = 0, most: int | None = None) -> Iterator[Case]:
    """All pairs as given, then from random poses. poses: of rigid pairs; the others get one, if any.

    least, most: pairs with fewer or more points than that on a side are left out.
    """
    pairs = [load(entry, data) for entry in json.loads((data / "pairs.json").read_text())["pairs"]]
    pairs += more_pairs(data)
    pairs = [pair for pair in pairs if least <= max(pair.labels["points"]) <= (most or np.inf)]
    for number in range(poses + 1):
        for pair in pairs:
            if number == 0:
                yield pair
            elif number == 1 or pair.kind == "rigid":
                yield pair.in_random_pose(number)


def more_pairs(data: Path) -> Iterator[Case]:
    """Those that pairs.json does not list: cortical surfaces, and large ones."""
    faces = [read_shape(data / f"nonrigid/ict_facekit/FaceXModel/{name}.obj") for name in LARGE_FACES]
    bent = [*cortical_pairs(), ("ict_refined", *(refined(beginning(face)) for face in faces))]
    for name, source, target in bent:
        known = known_of(source.points, target.points)
        yield Case(name, "nonrigid", AS_GIVEN, source, target, target.points, None, known)
    bust = read_shape(data / "large/odedstein/nefertiti/nefertiti-lowres.obj")
    source, target = (sampled(bust, seed=seed) for seed in (1, 2))
    yield Case("nefertiti_two_samples", "rigid", AS_GIVEN, source, target, source.points, None, {})


def load(entry: dict[str, Any], data: Path) -> Case:
    """The pair of an entry of pairs.json, as given."""
    if entry["family"] == "makehuman":
        source, target = (makehuman_body(data, entry[side].split(" + ")[1]) for side in ("source", "target"))
    else:
        source, target = (read_shape(data / entry[side]) for side in ("source", "target"))
    kind = "no truth" if entry["kind"] == "rigid-no-truth" else entry["kind"]
    truth, landmarks = None, None
    if kind == "landmarks":
        landmarks = tuple(
            np.genfromtxt(
                next((data / entry[side]).parent.glob(f"{Path(entry[side]).stem.split('_')[0]}*.csv")), delimiter=","
            )[:, 1:]
            for side in ("source", "target")
        )
    elif "T_source_to_target" in entry:
        matrix = np.array(entry["T_source_to_target"])
        truth = source.points @ matrix[:3, :3].T + matrix[:3, 3]
    elif "vertex index" in entry["ground_truth"] or "point index" in entry["ground_truth"]:
        truth = target.points
    elif kind == "rigid":  # one surface meshed twice
        truth = source.points
    return Case(entry["id"], kind, AS_GIVEN, source, target, truth, landmarks, entry)


def makehuman_body(data: Path, displacement: str) -> Shape:
    """The body group of base.obj, with the sparse displacements of a target file added."""
    vertices: list[list[float]] = []
    faces: list[list[int]] = []
    group = ""
    for line in (data / "nonrigid/makehuman_base/makehuman/data/3dobjs/base.obj").read_text().splitlines():
        key, *words = line.split() or [""]
        if key == "v":
            vertices.append([float(word) for word in words[:3]])
        elif key == "g":
            group = words[0]
        elif key == "f" and group == "body":
            faces.append([int(word.split("/")[0]) - 1 for word in words])
    points = np.array(vertices)
    with gzip.open(next(data.rglob(displacement)), "rt") as lines:
        for line in lines:
            if line.strip() and not line.startswith("#"):
                index, *move = line.split()
                points[int(index)] += [float(word) for word in move[:3]]
    used, cells = np.unique(np.array(faces), return_inverse=True)
    return Shape(points[used], (CellBlock("quad", cells.reshape(-1, 4)),))
