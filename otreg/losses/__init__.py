"""Losses between measures, for any PyTorch code."""

from otreg.losses.sinkhorn_divergence import SinkhornDivergence, divergence

__all__ = ["SinkhornDivergence", "divergence"]
