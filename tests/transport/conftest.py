"""The backends that every law of transport is tested on."""

from __future__ import annotations

import pytest

from otreg.errors import ResourceError
from tests.transport.generators import BACKENDS, DEVICE, Backend


@pytest.fixture(params=BACKENDS, ids=lambda backend: backend.name)
def backend(request: pytest.FixtureRequest) -> Backend:
    """Each reduction in turn; those that cannot work here are skipped, with the reason."""
    if request.param.name == "keops":
        require_keops()
    if request.param.name == "triton":
        pytest.importorskip("triton")
    return request.param


def require_keops() -> None:
    """Skip where KeOps cannot compile its kernels, with the reason."""
    import torch

    from otreg.transport.reductions.keops import _kernel

    try:
        _kernel(2, 1, 3, torch.device(DEVICE or "cpu"))
    except ResourceError as error:
        pytest.skip(str(error))
