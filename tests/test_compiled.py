"""numba is spared an import that no kernel needs, and works as before for other people's kernels."""

import subprocess
import sys

SCRIPT = """
import sys
import numpy as np
from otreg.transport.tree_kernels import leaves_for, tree_order
points = np.random.default_rng(0).normal(size=(100, 3))
assert sorted(tree_order(points, leaves_for(100))) == list(range(100))
assert "scipy.linalg" not in sys.modules, "nothing needed it"
import numba
product = numba.njit(lambda a, b: (np.dot(a, b), np.convolve(a[0], b[0])))
found = product(points, points.T.copy())
assert np.allclose(found[0], points @ points.T) and np.allclose(found[1], np.convolve(points[0], points.T[0]))
"""


def test_kernels_do_not_import_scipy_and_products_and_convolutions_work_in_those_of_others() -> None:
    subprocess.run([sys.executable, "-c", SCRIPT], check=True)
