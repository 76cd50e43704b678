"""Maps of space, from stiff to free: rigid, similarity, affine, spline."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from otreg.errors import ArgumentError, FormatError
from otreg.models.affine import Affine
from otreg.models.base import Model
from otreg.models.fields import require
from otreg.models.linear import LinearModel
from otreg.models.rigid import Rigid
from otreg.models.similarity import Similarity

__all__ = [
    "MODELS",
    "Affine",
    "LinearModel",
    "Model",
    "Rigid",
    "Similarity",
    "model_from_dict",
    "start_model",
]

MODELS: dict[str, type[Model]] = {model.name: model for model in (Rigid, Similarity, Affine)}


def start_model(name: str, points: Tensor, weights: Tensor, *, previous: Model | None = None, **settings: Any) -> Model:
    """The model called ``name`` that a registration starts from: identity, or the same map as ``previous``.

    points (n, d), weights (n,): the source, in frame units. Settings are those of the class's ``start``.
    Raises ArgumentError for an unknown name or setting, and for a previous model that is more general.
    """
    if name not in MODELS:
        raise ArgumentError(f"model must be one of {', '.join(MODELS)}; got '{name}'")
    model = MODELS[name]
    for setting in settings:
        if setting not in model.settings:
            known = ", ".join(model.settings) or "none"
            raise ArgumentError(f"model '{name}' has no setting '{setting}'; its settings: {known}")
    return model.start(points, weights, previous=previous, **settings)


def model_from_dict(data: Any) -> Model:
    """The model that ``Model.to_dict`` wrote, the same to the last bit, on the CPU. Raises FormatError."""
    name = require(data, "name")
    if not isinstance(name, str) or name not in MODELS:
        raise FormatError(f"'name' of a model must be one of {', '.join(MODELS)}; got {name!r}")
    return MODELS[name].from_dict(data)
