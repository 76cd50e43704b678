"""Real meshes are found from any pose: two samplings of one surface, the target's points in another order.

``OTREG_POSES=50`` tries fifty poses of each mesh instead of a few; that takes minutes.
"""

import os

import numpy as np
import pytest
import torch

from otreg import Frame, RegistrationSettings, Shape, measure_from_shape, read_shape, register
from otreg.measures import Measure

pytestmark = pytest.mark.slow

MESHES = {
    "bunny": "large/pmp/off/bunny_adaptive.off",
    "cow": "large/odedstein/spot/spot.obj",
    "skull": "large/odedstein/skull/skull_low_resolution.obj",
    "person": "nonrigid/odedstein_human_hand/human/human_man.obj",
    "face": "nonrigid/ict_facekit/FaceXModel/generic_neutral_mesh.obj",
}
POSES = int(os.environ.get("OTREG_POSES", "3"))
POINTS = 8000


def random_rotation(rng):
    q, r = np.linalg.qr(rng.standard_normal((3, 3)))
    q = q * np.sign(np.diag(r))
    q[:, 0] *= np.linalg.det(q)
    return q


def degrees_between(points, others):
    u, _, vt = np.linalg.svd((others - others.mean(0)).T @ (points - points.mean(0)))
    turn = u @ np.diag([1, 1, np.linalg.det(u @ vt)]) @ vt
    return np.degrees(2 * np.arcsin(min(1.0, np.linalg.norm(turn - np.eye(3)) / 8**0.5)))


@pytest.mark.parametrize("name", MESHES)
def test_a_mesh_is_found_from_every_pose(name, shared_data):
    shape = read_shape(shared_data / MESHES[name])
    frame = Frame.of(shape.points)
    turns, shifts = [], []
    for seed in range(POSES):
        rng = np.random.default_rng([seed, *name.encode()])
        turn, shift = random_rotation(rng), 3 * rng.standard_normal(3)
        here, there = (
            measure_from_shape(Shape(shape.points, shape.cells), frame, sampling=POINTS, seed=2 * seed + side)
            for side in (0, 1)
        )
        truth = here.points.numpy()
        order = torch.from_numpy(rng.permutation(len(there)))
        source = Measure(torch.from_numpy(truth @ turn.T + shift), here.weights)
        target = Measure(there.points[order], there.weights[order])
        moved = register(source, target, RegistrationSettings()).model(source.points).numpy()
        turns.append(degrees_between(moved, truth))
        shifts.append(np.linalg.norm((moved - truth).mean(0)))
    print(f"\n{name}: {POSES} poses, median {np.median(turns):.3f} and at most {max(turns):.3f} degrees off")
    assert max(turns) < 1
    assert max(shifts) < 0.005
