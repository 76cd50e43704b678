"""A part of PyTorch that no command uses is loaded when something asks for it, not when torch is imported.

Importing torch takes longer than many a registration, and a quarter of that goes to what tensors without data compute
with. Here that module is an empty one at first. The first time that something is looked for in it, it becomes what it
always was.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

SPARED = "torch._meta_registrations"


class _Empty(ModuleType):
    """The module before its loader has run."""

    def __getattr__(self, name: str) -> Any:
        loader = self.__spec__.loader if self.__spec__ else None
        if name.startswith("__") or not isinstance(loader, _Later):  # whatever looks through all modules asks for those
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        self.__class__ = ModuleType  # type: ignore[assignment]
        loader.real.exec_module(self)
        return getattr(self, name)


class _Later(Loader):
    """Makes an empty module, and knows what fills it."""

    def __init__(self, real: Loader) -> None:
        self.real = real

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _Empty(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        pass


class _Finder(MetaPathFinder):
    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path, target) if name == SPARED else None
        if spec is not None and spec.loader is not None:
            spec.loader = _Later(spec.loader)
        return spec


def spare_torch() -> None:
    """From now on torch is imported without that part; without effect where it has been imported."""
    sys.meta_path.insert(0, _Finder())
