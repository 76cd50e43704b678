"""Rotations from which a search starts: a cover of all of them, and those that lay principal axes on each other."""

from __future__ import annotations

import itertools
import math

import torch

# The number whose powers spread the super-Fibonacci spiral: the root of x^4 = x + 4.
_PSI = 1.533751168755204288118041


def cover(dimension: int, count: int) -> torch.Tensor:
    """(count, d, d) rotations, float64, spread evenly over all rotations of the plane or of space.

    In space these are super-Fibonacci spirals (Alexa 2022, algorithm 1): 500 of them leave no rotation further than
    about 25 degrees away.
    """
    i = torch.arange(count, dtype=torch.float64) + 0.5
    if dimension == 2:
        angle = 2 * math.pi * i / count
        return torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()], 1).view(-1, 2, 2)
    small, large = (i / count).sqrt(), (1 - i / count).sqrt()
    alpha, beta = 2 * math.pi * i / math.sqrt(2), 2 * math.pi * i / _PSI
    w, x, y, z = small * alpha.sin(), small * alpha.cos(), large * beta.sin(), large * beta.cos()
    rows = [
        *(1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)),
        *(2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)),
        *(2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)),
    ]
    return torch.stack(rows, 1).view(-1, 3, 3)


def principal_rotations(source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """(2^(d-1), d, d) proper rotations that turn the principal axes of one covariance (d, d) onto those of another."""
    d = len(source)
    mine, theirs = (torch.linalg.eigh(covariance.double())[1] for covariance in (source, target))
    found = []
    for signs in itertools.product((1.0, -1.0), repeat=d):
        rotation = theirs @ torch.diag(torch.tensor(signs, dtype=torch.float64)) @ mine.T
        if torch.linalg.det(rotation) > 0:
            found.append(rotation)
    return torch.stack(found)


def angles(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Degrees between rotations (..., d, d); a common scale of a matrix does not count."""
    d = one.shape[-1]
    one, other = (m / torch.linalg.det(m).abs().pow(1 / d)[..., None, None] for m in (one.double(), other.double()))
    # |R - Q|^2 = 8 sin^2(angle / 2) in space, and half as many planes turn ... in the plane it is 8 sin^2 too: each
    # turned plane gives 2 (2 sin(angle / 2))^2.
    sine = (one - other).flatten(-2).norm(dim=-1) / math.sqrt(8)
    return torch.rad2deg(2 * torch.asin(sine.clamp(max=1.0)))
