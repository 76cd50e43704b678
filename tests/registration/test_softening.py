"""The distance between points, and what residuals are worth more bending."""

from __future__ import annotations

import pytest
import torch

from otreg.registration import RegistrationSettings
from otreg.registration.softening import least_stiffness, spacing


def test_spacing_is_the_step_of_a_grid_however_many_points_it_has():
    for count in (5, 60):
        axis = 0.25 * torch.arange(count, dtype=torch.float64)
        assert spacing(torch.cartesian_prod(axis, axis)) == pytest.approx(0.25)
    assert spacing(torch.zeros(1, 3)) == 0.0


def test_the_least_stiffness_is_the_asked_one_at_the_last_blur_and_grows_with_the_blur():
    settings = RegistrationSettings(blur=0.01, stiffness=0.007)
    assert least_stiffness(settings, 0.01) == 0.007
    assert least_stiffness(settings, 0.04) == pytest.approx(0.028)
