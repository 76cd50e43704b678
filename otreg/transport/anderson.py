"""Anderson acceleration of a fixed-point iteration x <- G(x) (Walker and Ni 2011, type II), with a short memory."""

from __future__ import annotations

import torch

# Relative Tikhonov term of the small least-squares problem: keeps nearly parallel residuals from blowing it up.
_REGULARISATION = 1e-10


class Anderson:
    """State of the acceleration: the last differences of residuals and of images."""

    def __init__(self, weights: torch.Tensor, memory: int = 8) -> None:
        """weights: (n,) >= 0, the inner product in which residuals are measured."""
        self._weights = weights / weights.sum()
        self._memory = memory
        self.reset()

    def reset(self) -> None:
        """Forget the past: the next step is a plain one."""
        self._last: tuple[torch.Tensor, torch.Tensor] | None = None
        self._residuals: list[torch.Tensor] = []
        self._images: list[torch.Tensor] = []

    @property
    def active(self) -> bool:
        """True when the last step used the past; False when it was a plain one."""
        return bool(self._residuals)

    def step(self, x: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
        """The next iterate after x with G(x) = image; (n,) float64 each."""
        residual = image - x
        if self._last is not None:
            self._residuals = [*self._residuals, residual - self._last[0]][-self._memory :]
            self._images = [*self._images, image - self._last[1]][-self._memory :]
        self._last = residual, image
        if not self._residuals:
            return image
        differences = torch.stack(self._residuals)  # (memory, n)
        weighted = differences * self._weights
        gram = weighted @ differences.T
        # Without any difference the plain step: the right-hand side is zero, and the matrix must not be. Nothing here
        # asks the device for a number; what goes wrong is not finite, and the next error says so.
        ridge = _REGULARISATION * gram.diagonal().sum() + torch.finfo(gram.dtype).tiny
        gram.diagonal().add_(ridge)
        coefficients, _ = torch.linalg.solve_ex(gram, weighted @ residual)
        return image - coefficients @ torch.stack(self._images)
