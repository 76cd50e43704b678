"""The models by name: how settings and files say which one they mean."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from otreg.errors import ArgumentError, FormatError
from otreg.models.affine import Affine
from otreg.models.base import Model
from otreg.models.fields import describe, require
from otreg.models.rigid import Rigid
from otreg.models.similarity import Similarity
from otreg.models.spline import Spline
from otreg.models.tps import ThinPlateSpline

MODELS: dict[str, type[Model]] = {model.name: model for model in (Rigid, Similarity, Affine, Spline, ThinPlateSpline)}


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
        raise FormatError(f"'name' of a model must be one of {', '.join(MODELS)}; got {describe(name)}")
    return MODELS[name].from_dict(data)
