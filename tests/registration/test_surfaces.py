"""How much of one shape a pose lays on another one, and what speaks for it."""

import numpy as np
import pytest
import torch

from otreg.measures import Measure
from otreg.registration.coarse import Poses, fitting_cells
from otreg.registration.cover import angles
from otreg.registration.descriptors import at_border, normals_of

from .shapes import bone, even, in_half, rock, rotation, sphere, surfaces


def turned(*degrees, axis=2):
    """Poses turned about a random axis; where they lie."""
    matrices = np.stack([rotation(angle, 3, seed=axis) for angle in degrees])
    return Poses(torch.from_numpy(matrices), torch.zeros(len(degrees), 3).double())


def test_the_true_pose_shares_the_whole_surface_and_others_less():
    contact = surfaces(rock(4000), rock(4000, 3)).contact(turned(0, 20, 180))
    for share in (contact.shared, contact.closely, contact.score):
        assert share[0] > 0.85
        assert share[0] > 1.4 * share[1:].max()


def test_what_is_missing_says_nothing_against_a_pose():
    source, target = in_half(rock(4000), [1, 0, 0], 0.75), in_half(rock(4000, 3), [-1, 0, 0], 0.75)
    contact = surfaces(source, target).contact(turned(0, 40))
    assert float(contact.right[0]) > 0.97
    assert float(contact.right[1]) < 0.9
    assert float(contact.shared[0]) == pytest.approx(2 / 3, rel=0.1)


def test_a_pose_with_cut_on_cut_shares_more_but_less_speaks_for_it():
    axis = [1.0, 0.1, 0.05]
    source, target = in_half(bone(8000), axis, 0.75), in_half(bone(8000, 3), np.negative(axis), 0.75)
    pair = surfaces(source, target, count=3000)
    # About the longest axis' normal that turns end to end.
    flip = Poses(torch.diag(torch.tensor([-1.0, -1.0, 1.0]))[None].double(), torch.zeros(1, 3).double())
    flip = pair.refined(Poses(flip.matrix, torch.from_numpy(target.mean(0) - source.mean(0) * [-1, -1, 1])[None]))
    poses = Poses.join([turned(0), flip])
    contact = pair.contact(poses)
    assert contact.shared[1] > contact.shared[0] * 0.9
    assert contact.score[0] > 1.2 * contact.score[1]


def test_what_speaks_for_a_pose_does_not_depend_on_which_shape_is_the_source():
    source, target = in_half(rock(4000), [1, 0, 0], 0.8), rock(4000, 3)
    poses = turned(5)
    there = surfaces(source, target).contact(poses)
    back = surfaces(target, source).contact(Poses(poses.matrix.mT, poses.offset))
    for one, other in ((there.shared, back.shared), (there.closely, back.closely), (there.right, back.right)):
        assert float(one) == pytest.approx(float(other), rel=1e-9)


def test_refining_ends_on_the_surface():
    near = Poses(torch.from_numpy(rotation(4, 3, seed=3))[None], torch.full((1, 3), 0.03).double())
    pair = surfaces(rock(4000), rock(4000, 3))
    after = pair.refined(near)
    assert float(angles(after.matrix, torch.eye(3).double())) < 1
    assert pair.contact(after).score > pair.contact(near).score


def test_refining_finds_the_size_where_that_is_asked_for():
    near = Poses(1.06 * torch.eye(3).double()[None], torch.zeros(1, 3).double())
    pair = surfaces(in_half(rock(4000), [0, 0.6, 0.8], 0.7), rock(4000, 3))
    kept, found = (
        float(torch.linalg.det(pair.refined(near, scale=scale).matrix)) ** (1 / 3) for scale in (False, True)
    )
    assert kept == pytest.approx(1.06, rel=1e-9)
    assert found == pytest.approx(1, abs=0.005)


def test_normals_stand_across_the_surface():
    points = sphere(2000)
    along = np.abs((normals_of(points, 0.08) * points).sum(1))
    assert along.min() > 0.99


def test_the_border_of_a_surface_is_known():
    cap = sphere(4000)
    cap = cap[cap[:, 2] > 0.2]
    edge = 0.056  # of cells that hold a point each: the root of 4 pi / 4000
    border = at_border(cap, normals_of(cap, edge), edge)
    height = cap[:, 2]
    assert border[height < 0.2 + 0.5 * edge].all()
    assert not border[height > 0.2 + 3.5 * edge].any()
    closed = sphere(4000)
    assert not at_border(closed, normals_of(closed, edge), edge).any()


def test_points_that_are_there_several_times_are_as_far_apart_as_once():
    points = torch.from_numpy(rock(800))
    again = points.repeat(4, 1)
    edges = [fitting_cells(Measure(p, torch.from_numpy(even(p.numpy()))), 5000)[1] for p in (points, again)]
    assert edges[0] == pytest.approx(edges[1], rel=1e-12)
