"""Acceleration: a linear fixed point is reached in as many steps as the memory has directions."""

from __future__ import annotations

import torch

from otreg.transport.anderson import Anderson


def linear_map(n: int, rank: int, radius: float) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """x -> M x + c with a symmetric M of given rank and spectral radius, and its fixed point."""
    rng = torch.Generator().manual_seed(0)
    q, _ = torch.linalg.qr(torch.randn(n, rank, dtype=torch.float64, generator=rng))
    matrix = (q * torch.linspace(0.1, radius, rank, dtype=torch.float64)) @ q.T
    c = torch.randn(n, dtype=torch.float64, generator=rng)
    return matrix, c, torch.linalg.solve(torch.eye(n, dtype=torch.float64) - matrix, c)


def errors(steps: int, memory: int, rank: int = 4) -> list[float]:
    matrix, c, solution = linear_map(30, rank, 0.999)
    anderson = Anderson(torch.rand(30, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) + 0.1, memory)
    x, out = torch.zeros(30, dtype=torch.float64), []
    for _ in range(steps):
        x = anderson.step(x, matrix @ x + c)
        out.append(float((x - solution).norm() / solution.norm()))
    return out


def test_a_slow_linear_iteration_is_solved_in_a_few_steps():
    accelerated = errors(12, memory=5)
    assert accelerated[-1] <= 1e-6
    # Plain steps shrink the error by 0.999 each.
    assert accelerated[0] > 0.1


def test_memory_is_bounded():
    assert errors(12, memory=1)[-1] > errors(12, memory=5)[-1]


def test_the_first_step_is_a_plain_one_and_so_is_the_one_after_a_reset():
    anderson = Anderson(torch.ones(3, dtype=torch.float64))
    x, image = torch.zeros(3, dtype=torch.float64), torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    assert torch.equal(anderson.step(x, image), image)
    assert not anderson.active
    anderson.step(image, 0.5 * image)
    assert anderson.active
    anderson.reset()
    assert not anderson.active
    assert torch.equal(anderson.step(x, image), image)


def test_a_fixed_point_stays_where_it_is():
    anderson = Anderson(torch.ones(3, dtype=torch.float64))
    x = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    for _ in range(4):
        assert torch.equal(anderson.step(x, x.clone()), x)
