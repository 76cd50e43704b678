"""A Slurm cluster of one node: this machine, its daemons in a folder of their own, nobody else's business.

    python tests/slurm/single_node.py COMMAND [ARGUMENT ...]      runs a command that finds the cluster

Needs Debian's packages slurmctld and slurmd (``apt install slurm-wlm``), and to be root, as slurmd does. There is no
authentication: the daemons listen as long as the command runs, so not on a machine that others can reach.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

PROGRAMS = ("slurmctld", "slurmd", "sbatch", "srun", "scontrol", "sinfo")
START_SECONDS = 60.0

CONFIGURATION = """
ClusterName=otreg
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
AuthType=auth/none
CredType=cred/none
# A job that was queued again waits until its old credential has expired, two minutes by default.
AuthInfo=cred_expire=5
SlurmctldPort={controller_port}
SlurmdPort={node_port}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=batch_sched_delay=0,sched_interval=1
JobRequeue=1
KillWait=5
ReturnToService=2
NodeName={host} NodeAddr=127.0.0.1 CPUs={cores} State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def why_not() -> str | None:
    """Why there can be no such cluster here; None if there can."""
    missing = [program for program in PROGRAMS if find(program) is None]
    if missing:
        return f"needs {', '.join(missing)} (apt install slurm-wlm)"
    return None if os.geteuid() == 0 else "slurmd needs to be root"


def find(program: str) -> str | None:
    """The path of a program, which may be one of those for administrators."""
    return shutil.which(program, path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"]))


@contextmanager
def single_node(cores: int = 2) -> Iterator[Mapping[str, str]]:
    """The environment in which Slurm's commands find the cluster, which exists inside the block.

    Raises RuntimeError with the daemons' last words when it does not start.
    """
    with tempfile.TemporaryDirectory(prefix="slurm-") as name:
        folder = Path(name)
        for part in ("state", "spool"):
            (folder / part).mkdir()
        configuration = folder / "slurm.conf"
        configuration.write_text(
            CONFIGURATION.format(
                host=socket.gethostname().split(".")[0],
                folder=folder,
                cores=cores,
                controller_port=free_port(),
                node_port=free_port(),
            )
        )
        environment = {**os.environ, "SLURM_CONF": str(configuration)}
        daemons = []
        try:
            for program in ("slurmctld", "slurmd"):
                path = find(program)
                assert path is not None
                with (folder / f"{program}.out").open("wb") as said:
                    daemons.append(subprocess.Popen([path, "-D"], env=environment, stdout=said, stderr=said))
            wait_until_idle(environment, folder)
            yield environment
        finally:
            subprocess.run(
                ["scancel", "--signal=KILL", "--user=root"], env=environment, check=False, capture_output=True
            )
            for daemon in daemons:
                daemon.terminate()
            for daemon in daemons:
                try:
                    daemon.wait(timeout=15)
                except subprocess.TimeoutExpired:
                    daemon.kill()
                    daemon.wait()


def free_port() -> int:
    """A port that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until_idle(environment: Mapping[str, str], folder: Path) -> None:
    """Returns when the node takes jobs."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        state = subprocess.run(
            ["sinfo", "--noheader", "--format=%T"], env=environment, capture_output=True, text=True, check=False
        )
        if state.stdout.strip() == "idle":
            return
        time.sleep(0.5)
    logs = "\n".join(path.read_text(errors="replace")[-2000:] for path in sorted(folder.glob("slurm*.[ol]*")))
    raise RuntimeError(f"Slurm did not start within {START_SECONDS:g} s:\n{logs}")


if __name__ == "__main__":
    if reason := why_not():
        raise SystemExit(reason)
    with single_node() as found:
        raise SystemExit(subprocess.run(sys.argv[1:], env=found, check=False).returncode)
