"""Features: what points have besides a position, as further coordinates of the transport cost.

With the cost |z - w|^p / p between z = (position, features), a feature is scaled by the displacement that it is worth.
Two points on opposite sheets of a thin shape then lie far apart, however near they are in space.
"""

from __future__ import annotations

import torch

from otreg.errors import ArgumentError


def orientation_features(normals: torch.Tensor, scale: float) -> torch.Tensor:
    """(n, d) unit normals (or tangents) times ``scale``, a length: opposite ones lie 2 scale apart.

    Vectors are normalised; zero vectors stay zero. For p = 2 this is the squared distance on positions x orientations
    (oriented varifolds, Kaltenmark, Charlier and Charon 2017). Raises ArgumentError unless scale > 0.
    """
    _check(scale)
    return scale * torch.nn.functional.normalize(normals, dim=1)


def label_features(labels: torch.Tensor, classes: torch.Tensor, scale: float) -> torch.Tensor:
    """(n, number of classes) indicators of integer labels: points of different labels lie ``scale`` apart, a length.

    labels: (n,) integers; classes: (c,) the sorted values that occur in either measure. Raises ArgumentError when a
    label is none of them, or unless scale > 0.
    """
    _check(scale)
    at = torch.searchsorted(classes, labels.contiguous()).clamp_max(len(classes) - 1)
    if not torch.equal(classes[at], labels):
        raise ArgumentError(f"labels must be among the {len(classes)} classes; got {sorted(set(labels.tolist()))[:8]}")
    return scale / 2**0.5 * torch.nn.functional.one_hot(at, len(classes)).double()


def _check(scale: float) -> None:
    if not 0 < scale < float("inf"):
        raise ArgumentError(f"the scale of a feature must be a positive length; got {scale}")
