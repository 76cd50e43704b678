"""The transport engine: multiscale debiased Sinkhorn divergences with certificates and Brenier maps."""

from otreg.transport.answer import Transport
from otreg.transport.brenier import BrenierMap
from otreg.transport.prepared import PreparedMeasure, WarmStart
from otreg.transport.result import EntropicTransport
from otreg.transport.sinkhorn import Sinkhorn
from otreg.transport.sorting import SortedTransport

__all__ = [
    "BrenierMap",
    "EntropicTransport",
    "PreparedMeasure",
    "Sinkhorn",
    "SortedTransport",
    "Transport",
    "WarmStart",
]
