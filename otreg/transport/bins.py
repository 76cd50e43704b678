"""Which cube of a grid in feature space each point lies in, so that cells keep other features apart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

# Bits of a number that is not negative.
_BITS = 63


@dataclass(frozen=True)
class Bins:
    """The cubes that occur, and where each point is.

    corners: (u, k) their integer corners; member: (n,) the cube of each point. Halving the corners gives the cubes of a
    grid twice as coarse.
    """

    corners: Integers
    member: Integers

    @staticmethod
    def of(features: Floats, edge: float) -> Bins:
        """The cubes with edges ``edge`` that features (n, k) lie in."""
        corners = np.floor((features - features.min(0)) / edge)
        return Bins(*_distinct(np.minimum(corners, 2.0**62).astype(np.int64)))

    def take(self, points: Integers) -> Bins:
        """Those of some of the points."""
        return Bins(self.corners, self.member[points])

    def joined(self, codes: Integers, *, halvings: int) -> Integers:
        """(n,) numbers of (cube, code) pairs, which ascend with the cube, then with the code (n,).

        halvings: how often the grid of the cubes is made twice as coarse.
        """
        member = _distinct(self.corners >> halvings)[1][self.member]
        bits = int(codes.max(initial=0)).bit_length()
        if bits + len(self.corners).bit_length() > _BITS:
            codes = np.unique(codes, return_inverse=True)[1]
            bits = len(codes).bit_length()
        return (member << bits) | codes


def _distinct(corners: Integers) -> tuple[Integers, Integers]:
    """The distinct rows of corners (n, k), sorted, and for each row the number of its equal."""
    extents = corners.max(0, initial=0) + 1
    if np.prod(extents.astype(np.float64)) < 2.0**62:  # one number holds a row, and is faster to sort
        rows = np.ravel_multi_index(tuple(corners.T), tuple(extents))
        _, first, index = np.unique(rows, return_index=True, return_inverse=True)
        return corners[first], index
    corners, index = np.unique(corners, axis=0, return_inverse=True)
    return corners, index.reshape(-1)
