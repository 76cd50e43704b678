"""Result folders that take a second to make: once per session, to be copied or only read."""

import pytest

from .shapes import result, ring, sphere, turned


@pytest.fixture(scope="session")
def surface_result(tmp_path_factory):
    """A rigid registration of two ellipsoids with a few hundred vertices."""
    shape = sphere(12)
    return result(tmp_path_factory.mktemp("surface"), shape, turned(shape))


@pytest.fixture(scope="session")
def curve_result(tmp_path_factory):
    """A rigid registration of two curves of the plane."""
    return result(tmp_path_factory.mktemp("curve"), ring(100), turned(ring(100)))
