"""What follows from facts and trials: which problems there are, what to do about each, and whether otreg works."""

import math
import os
import tomllib
from pathlib import Path

import pytest

import otreg.doctor.examination as module
from otreg.doctor import examine, trials
from otreg.doctor.caches import can_be_written
from otreg.doctor.child import Answer, ask
from otreg.doctor.graphics import Card, _card, cards
from otreg.doctor.machine import Cores, Memory
from otreg.doctor.remedies import INSTALL_COMPILER, remedy
from otreg.doctor.software import EXTRAS
from otreg.doctor.trial import trial

ROOT = Path(__file__).parents[2]
H100 = Card("NVIDIA H100", 80 << 30, "550.54")
HAVE = Cores(2, 2, None), Memory(None, None, 8 << 30)
FACTS = {
    "cuda_build": None,
    "cuda_available": False,
    "cuda_reason": "",
    "devices": [],
    "torch_threads": 2,
    "numba_threads": 2,
    "numba_cache": "/cache",
}
SOLVED = {"value": 0.25, "first_seconds": 2.0, "points": 1000, "seconds": 0.5, "threads": 2}
DENSE = {"reduction": "dense", "device": "cpu", **SOLVED}
CPU = {"reduction": "cpu", "device": "cpu", **SOLVED}


@pytest.fixture
def machine(monkeypatch):
    """A machine that answers as told: facts, and by "reduction device" what the trial says (a text is a reason)."""

    def build(facts=FACTS, answers=None, found=(), have=HAVE):
        told = {"dense cpu": DENSE, "auto auto": CPU, "keops cpu": {**DENSE, "reduction": "keops"}, **(answers or {})}

        def asked(name, *arguments, seconds):
            said = facts if name.endswith("facts") else told[" ".join(arguments)]
            return Answer(None, said) if isinstance(said, str) else Answer(said)

        monkeypatch.setattr(module, "ask", asked)
        monkeypatch.setattr("otreg.doctor.trials.ask", asked)
        monkeypatch.setattr(module, "cards", lambda: tuple(found))
        monkeypatch.setattr(module, "cores", lambda: have[0])
        monkeypatch.setattr(module, "memory", lambda: have[1])
        for variable in ("CUDA_VISIBLE_DEVICES", "NUMBA_CACHE_DIR", "KEOPS_CACHE_FOLDER", "TRITON_CACHE_DIR"):
            monkeypatch.delenv(variable, raising=False)
        return examine()

    return build


def test_a_machine_where_all_works_has_no_problem(machine):
    found = machine()
    assert found.works and found.problems == ()
    assert [(trial.reduction, trial.outcome) for trial in found.trials] == [
        ("cpu", "works"),
        ("dense", "works"),
        ("keops", "works"),
        ("triton", "not here"),
    ]
    assert found.default.reduction == "cpu" and found.default.error == 0
    assert not found.graphics.used_by_default


def test_a_reduction_that_fails_is_a_problem_and_only_the_default_is_fatal(machine):
    found = machine(answers={"keops cpu": "ResourceError: no C++ compiler was found."})
    assert found.works
    (problem,) = found.problems
    assert problem.what == "does not work: keops on cpu: ResourceError: no C++ compiler was found."
    assert (problem.fix, problem.fatal) == (INSTALL_COMPILER, False)
    found = machine(answers={"auto auto": "the process was ended by SIGILL", "cpu cpu": CPU})
    assert not found.works
    assert [(problem.what, problem.fatal) for problem in found.problems] == [
        ("does not work: the default: the process was ended by SIGILL", True)
    ]
    assert "does not fit this processor" in found.problems[0].fix


@pytest.mark.parametrize("value", [0.2505, math.nan, math.inf])
def test_another_answer_than_in_float64_is_a_failure(machine, value):
    found = machine(answers={"auto auto": {**CPU, "value": value}})
    assert not found.works
    assert "differs from that in float64" in found.problems[0].what


def test_without_a_reference_answers_are_not_compared(machine):
    found = machine(answers={"dense cpu": "no answer within 180 seconds"})
    assert found.works and found.default.error is None
    assert "--timeout 600" in found.problems[0].fix


def test_a_gpu_that_computes_by_default_is_said_so_and_all_its_reductions_are_tried(machine):
    facts = {**FACTS, "cuda_build": "12.8", "cuda_available": True, "devices": [{"name": "NVIDIA H100", "memory": 1}]}
    on_gpu = {**SOLVED, "device": "cuda:0"}
    answers = {
        "auto auto": {"reduction": "triton", **on_gpu},
        "cpu cpu": CPU,
        "keops cuda": "RuntimeError: libnvrtc.so: cannot open shared object file",
        "dense cuda": {"reduction": "dense", **on_gpu},
    }
    found = machine(facts, answers, [H100])
    assert found.works and found.graphics.used_by_default
    tried = [(trial.reduction, trial.device, trial.outcome) for trial in found.trials]
    assert tried == [
        ("triton", "cuda:0", "works"),
        ("dense", "cpu", "works"),
        ("cpu", "cpu", "works"),
        ("keops", "cpu", "works"),
        ("keops", "cuda", "fails"),
        ("dense", "cuda:0", "works"),
    ]
    (problem,) = found.problems
    assert "CUDA toolkit" in problem.fix and "triton computes on the GPU" in problem.fix


@pytest.mark.parametrize(
    ("facts", "environment", "what", "fix"),
    [
        ({}, {}, "this build of PyTorch is for the CPU alone", "build of PyTorch for CUDA"),
        (
            {"cuda_build": "12.8", "cuda_reason": "The NVIDIA driver on your system is too old (found version 11040)."},
            {},
            "finds no device: The NVIDIA driver on your system is too old (found version 11040).",
            "update NVIDIA's driver",
        ),
        ({"cuda_build": "12.8"}, {"CUDA_VISIBLE_DEVICES": ""}, "hidden from PyTorch by", "unset CUDA_VISIBLE_DEVICES"),
    ],
)
def test_a_gpu_that_is_not_used_is_a_problem_with_its_reason(machine, monkeypatch, facts, environment, what, fix):
    monkeypatch.setattr(module, "hidden", lambda: next((f"{k}='{v}'" for k, v in environment.items()), None))
    found = machine({**FACTS, **facts}, found=[H100])
    assert found.works and not found.graphics.used_by_default
    (problem,) = found.problems
    assert what in problem.what and "NVIDIA H100 (driver 550.54)" in problem.what and fix in problem.fix


def test_threads_and_memory_beyond_what_is_allowed_are_problems(machine):
    found = machine(have=(Cores(64, 64, 1.0), Memory(64 << 30, 1 << 29, 1 << 28)))
    threads, main = found.problems
    assert threads.what.startswith("2 threads compute on 1 cores") and "--threads 1" in threads.fix
    assert main.what == "only 256 MiB of memory are free"


def test_threads_that_spin_are_a_problem(machine, monkeypatch):
    monkeypatch.setenv("OMP_WAIT_POLICY", "active")
    (problem,) = machine().problems
    assert "OMP_WAIT_POLICY=ACTIVE" in problem.what and "unset" in problem.fix
    monkeypatch.setenv("OMP_WAIT_POLICY", "passive")
    assert machine().problems == ()


def test_imports_that_fail_are_a_problem_and_the_rest_is_still_told(machine):
    reason = "ModuleNotFoundError: No module named 'torch'"
    found = machine(reason, {"dense cpu": reason, "auto auto": reason, "keops cpu": reason, "cpu cpu": reason})
    assert not found.works and found.threads.numba is None
    imports, reductions = found.problems
    assert imports.what == f"PyTorch and numba cannot be imported: {reason}"
    assert reductions.what == f"does not work: the default, dense on cpu, cpu on cpu, keops on cpu: {reason}"
    assert "install otreg again" in imports.fix and reductions.fatal
    assert [cache.owner for cache in found.caches][:1] == ["keops"]


def test_caches_that_cannot_be_written_are_problems_that_name_the_variable(machine, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    facts = {**FACTS, "numba_cache": None}
    monkeypatch.setattr(module, "keops_cache", lambda: _cache("keops", tmp_path / "file" / "x", "KEOPS_CACHE_FOLDER"))
    found = machine(facts, {"keops cpu": "ResourceError: NotADirectoryError"})
    fixes = [problem.fix for problem in found.problems]
    assert ["KEOPS_CACHE_FOLDER" in fixes[0], "NUMBA_CACHE_DIR" in fixes[1], "KEOPS_CACHE_FOLDER" in fixes[2]] == [
        True
    ] * 3


def _cache(owner, path, variable):
    from otreg.doctor.caches import Cache

    return Cache(owner, path, can_be_written(path), variable)


def test_a_folder_can_be_written_if_the_nearest_one_that_exists_can(tmp_path):
    assert can_be_written(tmp_path / "not" / "yet") and not (tmp_path / "not").exists()
    (tmp_path / "file").touch()
    assert not can_be_written(tmp_path / "file")
    assert not can_be_written(tmp_path / "file" / "below")
    assert not can_be_written(Path("/proc/1"))


def test_cards_are_what_the_driver_lists(tmp_path, monkeypatch):
    assert _card("NVIDIA H100 80GB HBM3, 81559, 550.54.15") == Card("NVIDIA H100 80GB HBM3", 81559 << 20, "550.54.15")
    assert _card("NVIDIA GB10, [N/A], 580.1").memory is None
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'NVIDIA A10, 23028, 535.1'\necho 'NVIDIA A10, 23028, 535.1'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert cards() == (Card("NVIDIA A10", 23028 << 20, "535.1"),) * 2
    tool.write_text("#!/bin/sh\necho 'NVIDIA-SMI has failed'\nexit 9\n")
    assert cards() == ()


@pytest.mark.parametrize(
    ("reason", "advice"),
    [
        ("RuntimeError: Failed to find C compiler. Please specify via CC environment variable.", "apt install g++"),
        ("main.c:3:10: fatal error: Python.h: No such file or directory", "apt install python3-dev"),
        ("ResourceError: could not compile its kernel: the C++ compiler failed.", "--reduction keops --debug"),
        ("could not compile a kernel: CalledProcessError: Command '['/usr/bin/gcc', ...", "apt install python3-dev"),
        ("could not compile its kernel: RuntimeError: KeOps finds no CUDA driver and nvrtc.", "CUDA_PATH"),
        ("OSError: libcuda.so.1: cannot open shared object file", "docker run --gpus all"),
        ("RuntimeError: CUDA error: CUDA driver version is insufficient", "update NVIDIA's driver"),
        ("OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB", "nvidia-smi and top"),
        ("the process was ended by SIGKILL", "most likely for its memory"),
        ("the process was ended by SIGSEGV", "empty the cache folders"),
    ],
)
def test_known_failures_get_advice_of_their_own(reason, advice):
    assert advice in remedy(reason)


def test_an_unknown_failure_still_gets_advice():
    assert "--debug" in remedy("ZeroDivisionError: division by zero, significant or not")


def test_the_extras_are_those_that_the_package_offers_its_users():
    offered = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(EXTRAS) == set(offered) - {"test", "dev", "docs"}
    for name, (package, _) in EXTRAS.items():
        assert any(requirement.startswith(package) for requirement in offered[name])


def test_the_default_is_told_before_each_trial():
    told = []
    trials.trials(cuda=False, seconds=1e-3, on_trial=told.append)
    assert told == ["trying dense on cpu", "trying default", "trying cpu on cpu", "trying keops on cpu"]


def test_a_trial_of_keops_on_the_cpu_agrees_with_one_in_float64():
    asked = ask("otreg.doctor.trial", "keops", "cpu", seconds=240)
    assert asked.record is not None, asked.reason
    assert asked.record["reduction"] == "keops"
    assert asked.record["value"] == pytest.approx(trial("dense", "cpu")["value"], rel=1e-3)


def test_keops_without_a_cache_that_can_be_written_says_why(monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("KEOPS_CACHE_FOLDER", str(tmp_path / "file" / "keops"))
    asked = ask("otreg.doctor.trial", "keops", "cpu", seconds=120)
    assert asked.record is None and "could not compile its kernel: NotADirectoryError" in asked.reason
