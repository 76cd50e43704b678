"""The transport engine: multiscale debiased Sinkhorn divergences with certificates and Brenier maps.

The subpackage is also the function that is named like it: ``otreg.transport(source, target, blur=...)`` solves one
problem, see :func:`otreg.transport.call.transport`.
"""

import sys
from types import ModuleType
from typing import Any

from otreg.transport.answer import Transport
from otreg.transport.brenier import BrenierMap
from otreg.transport.call import MeasureLike, transport
from otreg.transport.prepared import PreparedMeasure
from otreg.transport.result import EntropicTransport
from otreg.transport.sinkhorn import Reach, Sinkhorn
from otreg.transport.sorting import SortedTransport
from otreg.transport.warm_start import WarmStart

__all__ = [
    "BrenierMap",
    "EntropicTransport",
    "PreparedMeasure",
    "Sinkhorn",
    "SortedTransport",
    "Transport",
    "WarmStart",
    "transport",
]


class _CallableModule(ModuleType):
    """A module that solves a transport problem when it is called.

    One name can then be both: the import system sets ``otreg.transport`` to this module whenever something below it is
    imported, which would replace a plain function of that name.
    """

    def __call__(
        self,
        source: MeasureLike,
        target: MeasureLike,
        *,
        blur: float,
        reach: Reach = None,
        p: int = 2,
        **settings: Any,
    ) -> Transport:
        """See :func:`otreg.transport.call.transport`."""
        return transport(source, target, blur=blur, reach=reach, p=p, **settings)


sys.modules[__name__].__class__ = _CallableModule
