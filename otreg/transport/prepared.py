"""Measures that are ready for transport: built once, used in many problems."""

from __future__ import annotations

from functools import cached_property
from typing import final

import torch

from otreg.measures import Measure
from otreg.transport.extension import Extension
from otreg.transport.pyramid import Pyramid
from otreg.transport.reductions.base import Potential, Reduction
from otreg.transport.rules import Rules
from otreg.transport.solver import Solution, solve_self


@final
class PreparedMeasure:
    """A measure with its pyramid and, once asked for, its self potentials: build once, use in many problems."""

    def __init__(
        self, measure: Measure, rules: Rules, reduction: Reduction, self_start: Potential | None = None
    ) -> None:
        """rules: of the measure's problem with itself. self_start: a guess of its potential, in the measure's order."""
        self.measure = measure
        self.rules = rules
        self.reduction = reduction
        self.pyramid: Pyramid = reduction.pyramid(measure, rules.cell * rules.blur)
        self._self_start = None if self_start is None else self.sorted(self_start)

    def sorted(self, potential: Potential) -> Potential:
        """A potential at the measure's points, in the order of the pyramid's points."""
        return potential.map(self.pyramid.from_measure_order)

    @property
    def coordinates(self) -> torch.Tensor:
        """(n, D) where the engine sees the measure's points, in their order: padded positions, features."""
        return self.pyramid.to_measure_order(self.pyramid[0].points)

    @cached_property
    def self_solution(self) -> Solution:
        """Potential and value of OT_eps(measure, measure)."""
        return solve_self(self.pyramid, self.rules, self.reduction, self._self_start)

    @property
    def known_self_solution(self) -> Solution | None:
        """The same if it was asked for before."""
        return self.__dict__.get("self_solution")

    @cached_property
    def self_extension(self) -> Extension:
        """The self potential as a function of space."""
        own = self.self_solution
        columns = self.pyramid[own.target_level]
        return Extension(self.pyramid, own.source_level, own.last.f, columns, own.last.g, self.rules, self.reduction)

    @cached_property
    def expanded_self_potential(self) -> Potential | None:
        """The self potential at the measure's points by Taylor expansion; None where that is not known."""
        return self.self_extension.expanded()

    @cached_property
    def exact_self_potential(self) -> Potential:
        """The self potential at the measure's points by one softmin."""
        return self.self_extension.exact()
