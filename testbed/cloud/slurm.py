"""A real Slurm cluster on this machine: a controller and two nodes, with ports, folders and a Munge key of their own.

Needs Debian's `slurm-wlm` and `munge`, and root. It listens on the loopback address alone; nothing of a Slurm that is
installed is read or changed: every command finds this one by SLURM_CONF.
"""

import os
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from testbed.cloud.processes import ROOT, free_port

PROGRAMS = ("setpriv", "munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "sinfo")
NODES = 2
CPUS = 2
KILL_SECONDS = 5
"""Between SIGTERM and SIGKILL of a job that is cancelled."""
CONFIGURATION = """
ClusterName=helios
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={controller}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
CredType=cred/munge
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SchedulerParameters=sched_interval=2,batch_sched_delay=0
SlurmdParameters=config_overrides
KillWait={kill_seconds}
ReturnToService=2
NodeName=n[1-{nodes}] NodeHostname=localhost NodeAddr=127.0.0.1 Port=[{first}-{last}] CPUs={cpus} RealMemory=4000
PartitionName=render Nodes=n[1-{nodes}] Default=YES MaxTime=60 State=UP
"""


def missing_programs() -> str | None:
    """What this machine lacks for a cluster of its own; None if nothing."""
    if lacking := [name for name in PROGRAMS if shutil.which(name, path=_path()) is None]:
        return f"needs {', '.join(lacking)}: apt-get install slurm-wlm munge"
    return "needs root" if os.geteuid() else None


@dataclass
class SlurmCluster:
    """A running cluster."""

    folder: Path
    """Everything that it writes."""
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    """Munge, the controller, the nodes."""

    @property
    def environment(self) -> dict[str, str]:
        """By which Slurm's commands find it."""
        return {"SLURM_CONF": str(self.folder / "slurm.conf"), "PATH": _path()}

    @property
    def settings(self) -> dict[str, Any]:
        """Settings of the adapter's cluster: two nodes of two chunks at most, which run this checkout."""
        work = f"{self.folder}/spaces/$SLURM_JOB_ID"
        variables = {
            "PYTHONPATH": ROOT, "HELIOS_COMMAND_ENV": "PYTHONPATH", "HELIOS_GRACE_SECONDS": 1, "HELIOS_FOLDER": work,
        }  # fmt: skip
        exports = " ".join(f"{name}={value}" for name, value in variables.items())
        return {
            "type": "slurm", "most": NODES, "slots": CPUS, "folder": str(self.folder / "shared"),
            "prologue": [f"export {exports}", f"mkdir -p {work}"],
        }  # fmt: skip

    def ask(self, *command: str) -> str:
        """Run one of Slurm's commands; what it printed."""
        return subprocess.run(
            command, env={**os.environ, **self.environment}, capture_output=True, text=True, check=True
        ).stdout

    def jobs(self) -> dict[str, str]:
        """The jobs that wait or run, and their states."""
        lines = self.ask("squeue", "--noheader", "--format=%i %T").splitlines()
        return dict(line.split(maxsplit=1) for line in lines)

    def wait_until_empty(self) -> None:
        """Wait until no job waits or runs: a node that has left its farm ends in a moment."""
        _wait(lambda: not self.jobs(), seconds=KILL_SECONDS + 15)

    def start(self) -> None:
        """Start everything, and wait until jobs can run."""
        for name in ("munge", "state", "spool"):
            (self.folder / name).mkdir(mode=0o700)
        key = self.folder / "munge" / "key"
        key.write_bytes(secrets.token_bytes(1024))
        key.chmod(0o400)
        (self.folder / "slurm.conf").write_text(self._configuration())
        munge = self.folder / "munge"
        self._start(
            "munged", "--foreground", "--force", f"--key-file={key}", f"--socket={munge / 'socket'}",
            f"--pid-file={munge / 'pid'}", f"--log-file={munge / 'log'}", f"--seed-file={munge / 'seed'}",
            "--num-threads=2",
        )  # fmt: skip
        _wait(lambda: (munge / "socket").exists())
        self._start("slurmctld", "-D", "-f", str(self.folder / "slurm.conf"))
        for number in range(1, NODES + 1):
            self._start("slurmd", "-D", "-N", f"n{number}", "-f", str(self.folder / "slurm.conf"))
        _wait(lambda: self._idle_nodes() == NODES)

    def close(self) -> None:
        """End every job and every process."""
        with suppress(OSError, subprocess.CalledProcessError):
            self.ask("scancel", "--user", "root")
            with suppress(AssertionError):
                self.wait_until_empty()
        for process in reversed(self.processes):
            process.send_signal(signal.SIGTERM)
        for process in reversed(self.processes):
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _idle_nodes(self) -> int:
        with suppress(subprocess.CalledProcessError):
            return len(self.ask("sinfo", "--noheader", "--Node", "--states=idle", "--format=%N").split())
        return 0

    def _configuration(self) -> str:
        first = _neighbours(NODES)
        return CONFIGURATION.format(
            controller=free_port(), folder=self.folder, kill_seconds=KILL_SECONDS, nodes=NODES, first=first,
            last=first + NODES - 1, cpus=CPUS,
        )  # fmt: skip

    def _start(self, *command: str) -> None:
        with (self.folder / f"{command[0]}-{len(self.processes)}.log").open("ab") as log:
            process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "TERM", *command], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                cwd=self.folder, env={**os.environ, **self.environment}, start_new_session=True,
            )  # fmt: skip
        self.processes.append(process)


@contextmanager
def slurm_cluster(folder: Path) -> Iterator[SlurmCluster]:
    """Run a cluster within the block.

    Args:
        folder: An empty one.
    """
    cluster = SlurmCluster(folder)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.close()


def _neighbours(count: int) -> int:
    """The first of several free ports in a row."""
    while True:
        ports = sorted(free_port() for _ in range(200))
        for port in ports:
            if all(port + step in ports for step in range(count)):
                return port


def _path() -> str:
    return f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"


def _wait(condition: Callable[[], bool], *, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "Slurm did not come up, or did not end its jobs, in time"
        time.sleep(0.1)
