"""The transport engine: multiscale debiased Sinkhorn divergences with certificates and Brenier maps."""

from otreg.transport.result import BrenierMap, PreparedMeasure, Transport, WarmStart
from otreg.transport.sinkhorn import Sinkhorn

__all__ = ["BrenierMap", "PreparedMeasure", "Sinkhorn", "Transport", "WarmStart"]
