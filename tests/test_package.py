"""The package is lazy, complete and typed."""

import importlib.metadata
import subprocess
import sys

import pytest

import otreg


@pytest.mark.parametrize("name", [name for name in otreg.__all__ if name != "__version__"])
def test_every_public_name_is_there_and_says_what_it_is(name):
    assert getattr(otreg, name).__doc__


def test_the_public_names_are_those_that_are_imported_on_demand():
    assert set(otreg.__all__) == {*otreg._HOME, "__version__"}
    assert dir(otreg) == sorted(otreg.__all__)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'regster'"):
        _ = otreg.regster


def test_the_import_costs_nothing():
    code = "import otreg, sys; print(sorted({'numpy', 'torch', 'numba', 'pydantic'} & set(sys.modules)))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


def test_the_version_is_the_installed_one():
    assert importlib.metadata.version("otreg") == otreg.__version__
