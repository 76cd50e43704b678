"""What is installed: the packages that compute, and the optional ones with what they are for."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from types import MappingProxyType

PACKAGES = ("torch", "numpy", "scipy", "numba", "pykeops", "triton")
# Extra of otreg -> the package that it brings, and what for.
EXTRAS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "vtk": ("pyvista", "reading VTK's XML PolyData (.vtp)"),
        "medical": ("nibabel", "NIfTI masks (.nii, .nii.gz)"),
        "lidar": ("laspy", "LAS and LAZ"),
        "med": ("h5py", "MED meshes"),
        "slurm": ("submitit", "batches on a Slurm cluster"),
    }
)


@dataclass(frozen=True)
class Extra:
    """An optional part of otreg. name: as in ``pip install 'otreg[name]'``; package, version: what it brings, None
    where it is not installed; enables: what for."""

    name: str
    package: str
    version: str | None
    enables: str


def package_versions() -> dict[str, str | None]:
    """Version by package, None for those that are missing."""
    return {package: _version(package) for package in PACKAGES}


def extras() -> tuple[Extra, ...]:
    """The optional parts of otreg that a user may want."""
    return tuple(Extra(name, package, _version(package), enables) for name, (package, enables) in EXTRAS.items())


def compiler() -> str | None:
    """The C++ compiler that KeOps would find, None without one."""
    return next((path for name in ("g++", "c++", "clang++") if (path := shutil.which(name))), None)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
