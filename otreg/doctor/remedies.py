"""What to do about what is wrong: one sentence for each kind of failure that is known."""

from __future__ import annotations

INSTALL_COMPILER = (
    "install a C++ compiler: apt install g++ (Debian, Ubuntu), dnf install gcc-c++ (Fedora, RHEL), "
    "conda install -c conda-forge cxx-compiler, xcode-select --install (macOS)"
)
CUDA_BUILD = "install a build of PyTorch for CUDA: https://pytorch.org/get-started/locally says how"
PYTHON_HEADERS = "install the headers of Python: apt install python3-dev, dnf install python3-devel"
UPDATE_DRIVER = (
    "update NVIDIA's driver, or install a build of PyTorch for the older CUDA that this driver supports "
    "(nvidia-smi names it): https://pytorch.org/get-started/previous-versions"
)


def set_variable(variable: str) -> str:
    """What to do about a cache that cannot be written."""
    return f"set {variable} to a folder that can be written, on a disk of this machine: export {variable}=FOLDER"


# The first of these that occurs in the reason of a failure, in lower case, says what to do.
_KNOWN = (
    ("compiler was found", INSTALL_COMPILER),
    ("failed to find c compiler", INSTALL_COMPILER),  # Triton's words
    ("python.h", PYTHON_HEADERS),
    ("calledprocesserror", PYTHON_HEADERS),  # of Triton's launcher, whose compiler has written elsewhere what it misses
    (
        "compiler failed",
        f"look at what it says with: otreg distance A B --reduction keops --debug; or {INSTALL_COMPILER}",
    ),
    ("no locator available", set_variable("NUMBA_CACHE_DIR")),
    (
        "nvrtc",
        "KeOps needs a CUDA toolkit: install one, set CUDA_PATH to its folder and add its lib64 to LD_LIBRARY_PATH; "
        "without it triton computes on the GPU, which needs none",
    ),
    ("libcuda", "install NVIDIA's driver; in a container start it with the GPU, as docker run --gpus all does"),
    ("driver", UPDATE_DRIVER),
    ("out of memory", "other programs hold the memory: nvidia-smi and top list them; or compute on fewer points"),
    ("no module named", "install otreg again, with everything that it needs: pip install --force-reinstall otreg"),
    ("no answer within", "run it once more, with --timeout 600 if the machine is slow or busy: first calls compile"),
    (
        "ended by sigill",
        "the compiled code does not fit this processor: empty the cache folders, then install numba and PyTorch again",
    ),
    ("ended by sigkill", "something killed it, most likely for its memory: free some, or ask the scheduler for more"),
    (
        "ended by sig",
        "empty the cache folders, then install numba, PyTorch and pykeops again; if it still crashes, report it",
    ),
)


def remedy(reason: str) -> str:
    """What to do about a failure whose reason is known; else how to see the whole of it."""
    lower = reason.lower()
    found = next((advice for sign, advice in _KNOWN if sign in lower), None)
    return found or "run a small otreg distance with that --reduction and --debug, and report what it prints"
