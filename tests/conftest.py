"""What all tests share: small threads, one random seed for hypothesis, and where the repository is."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

# Set before numba and torch start their threads: the tests are small, and many of them run as child processes.
os.environ.setdefault("OMP_NUM_THREADS", "2")

# Time limits of single examples say more about the machine than about the code.
settings.register_profile("otreg", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("otreg")

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def sample_data() -> Path:
    """The folder of the sample shapes."""
    return ROOT / "sample_data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real shapes beside the repository; skips where there is none."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("needs ../shared/data, which is not part of the repository")
    return folder
