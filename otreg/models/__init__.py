"""Maps of space, from stiff to free: rigid, similarity, affine, splines; and the transform that moves files by one."""

from otreg.models.affine import Affine
from otreg.models.base import Model
from otreg.models.bending import BendingModel
from otreg.models.linear import LinearModel
from otreg.models.registry import MODELS, model_from_dict, start_model
from otreg.models.rigid import Rigid
from otreg.models.similarity import Similarity
from otreg.models.spline import Spline
from otreg.models.tps import ThinPlateSpline
from otreg.models.transform import Transform

__all__ = [
    "MODELS",
    "Affine",
    "BendingModel",
    "LinearModel",
    "Model",
    "Rigid",
    "Similarity",
    "Spline",
    "ThinPlateSpline",
    "Transform",
    "model_from_dict",
    "start_model",
]
