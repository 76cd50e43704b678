"""The backends that every law of transport is tested on."""

from __future__ import annotations

import pytest

from otreg.errors import ResourceError
from tests.transport.generators import BACKENDS, Backend


@pytest.fixture(params=BACKENDS, ids=lambda backend: backend.name)
def backend(request: pytest.FixtureRequest) -> Backend:
    """Each reduction in turn; keops is skipped where nothing can compile it."""
    if request.param.name == "keops":
        require_keops()
    return request.param


def require_keops() -> None:
    """Skip where KeOps cannot compile its kernels, with the reason."""
    import torch

    from otreg.transport.reductions.keops import _kernel

    try:
        _kernel(2, 1, 3, torch.device("cpu"))
    except ResourceError as error:
        pytest.skip(str(error))
