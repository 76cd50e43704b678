"""Whatever goes less than well is said in one line that names what to change."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from otreg.measures import Measure
from otreg.registration import RegistrationSettings, register
from otreg.registration.bend import BendReport
from otreg.registration.optimisers import Ending
from otreg.registration.result import SearchReport
from otreg.transport import Sinkhorn

FLAGS = ("--reach", "--blur", "--init", "--iterations", "--tolerance", "--stiffness", "--landmarks")


def names_a_flag(sentence):
    return "\n" not in sentence and any(re.search(rf"{flag}\b", sentence) for flag in FLAGS)


@pytest.mark.parametrize("ending", [ending for ending in Ending if not ending.value.startswith("converged")])
def test_a_stop_before_convergence_says_what_to_change(ending):
    assert names_a_flag(ending.value)


def test_an_ambiguous_pose_and_a_bend_that_folds_say_what_to_change():
    search = SearchReport(
        starts=1,
        blur=0.1,
        reach=0.2,
        score=1.0,
        runner_up=1.0,
        degrees=90.0,
        ambiguous=True,
        from_given=False,
        seconds=0.0,
    )
    bend = BendReport(smallest_jacobian=-0.1, folded_points=3, stiffness=0.1, asked_stiffness=0.1)
    for report in (search, bend):
        [sentence] = report.warnings
        assert names_a_flag(sentence)


def test_a_transport_that_did_not_converge_says_what_to_change():
    points = torch.rand(300, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    weights = torch.full((300,), 1 / 300, dtype=torch.float64)
    one, other = Measure(points, weights), Measure(points.flip(1) ** 2, weights)
    unfinished = Sinkhorn(0.01, tolerance=1e-8, max_iterations=2)(one, other)
    assert not unfinished.converged
    assert "allow more iterations or use a larger blur" in unfinished.status
    unsure = Sinkhorn(0.05, value_tolerance=1e-13)(one, replace(one, points=one.points + 1e-6))
    assert unsure.converged or "too small against the blur" in unsure.status


@pytest.mark.parametrize("models", [("rigid",), ("affine",)])
def test_shapes_out_of_reach_are_no_success_without_a_word(models):
    points = torch.rand(200, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    weights = torch.full((200,), 1 / 200, dtype=torch.float64)
    # Fifty diagonals away, and of another mass, so that nothing may bring them together first.
    source, target = Measure(points + 50, weights), Measure(points, 3 * weights)
    found = register(source, target, RegistrationSettings(models=models, init="none"))
    assert not found.converged
    assert found.status.endswith(Ending.NOTHING_MATCHED.value)
    assert found.overlap < 1e-6
    [sentence] = found.warnings
    assert sentence.startswith("only 0.0% of the source has a partner")
    assert names_a_flag(sentence)


@pytest.mark.parametrize("ending", list(Ending))
def test_the_page_about_choices_lists_every_ending(ending):
    page = (Path(__file__).parents[2] / "docs" / "how-to-choose.md").read_text(encoding="utf-8")
    assert f"`{ending.value.split(';')[0]}`" in page
