"""The package is lazy, complete and typed."""

import doctest
import importlib
import importlib.metadata
import inspect
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


@pytest.mark.parametrize(
    "first",
    [
        "import otreg",
        "import otreg.transport",
        "import otreg.transport.sorting",
        "from otreg import Sinkhorn, transport",
    ],
)
def test_the_subpackage_transport_can_be_called_however_it_was_imported(first):
    code = (
        f"{first}\nimport otreg, types, numpy\nassert isinstance(otreg.transport, types.ModuleType)\n"
        "x = numpy.zeros((2, 1)); print(otreg.transport(x, x + 1, blur=0, p=1).value, otreg.transport.sorting.__name__)"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "1.0 otreg.transport.sorting"


def test_the_call_shows_the_signature_of_the_function():
    shown, meant = (inspect.signature(f).parameters for f in (otreg.transport, otreg.transport.transport))
    assert list(shown) == list(meant)
    assert [parameter.default for parameter in shown.values()] == [parameter.default for parameter in meant.values()]


EXAMPLES = {
    "otreg.losses.sinkhorn_divergence": ("SinkhornDivergence", "SinkhornDivergence.forward", "divergence"),
    "otreg.transport.call": ("transport",),
    "otreg.transport.sorting": ("SortedTransport",),
}


@pytest.mark.parametrize(("module", "name"), [(module, name) for module in EXAMPLES for name in EXAMPLES[module]])
def test_the_example_in_the_docstring_is_right(module, name):
    found = [test for test in doctest.DocTestFinder().find(importlib.import_module(module)) if test.examples]
    (example,) = [test for test in found if test.name == f"{module}.{name}"]
    assert len(found) == len(EXAMPLES[module])
    said: list[str] = []
    failed, attempted = doctest.DocTestRunner().run(example, out=said.append)
    assert attempted > 1 and not failed, "".join(said)


def test_the_version_is_the_installed_one():
    assert importlib.metadata.version("otreg") == otreg.__version__
