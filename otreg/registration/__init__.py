"""Registration: stages, optimisers, results."""

from otreg.registration.landmarks import LandmarkReport
from otreg.registration.register import register
from otreg.registration.result import Registration, SearchReport, Stage, Step
from otreg.registration.settings import Init, RegistrationSettings

__all__ = [
    "Init",
    "LandmarkReport",
    "Registration",
    "RegistrationSettings",
    "SearchReport",
    "Stage",
    "Step",
    "register",
]
