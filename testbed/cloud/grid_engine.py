"""A real Grid Engine on this machine: a master and one execution host, with ports, folders and a queue of their own.

Needs Debian's `gridengine-master`, `gridengine-exec` and `gridengine-client`, and root. Nothing of an installed Grid
Engine is read or changed but its programs: every command finds this one by SGE_ROOT. Its host is `localhost`.
"""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from testbed.cloud.processes import ROOT, free_port

PROGRAMS = ("sge_qmaster", "sge_execd", "qsub", "qconf", "setpriv")
SHIPPED = Path("/usr/share/gridengine")
LIBRARY = Path("/usr/lib/gridengine")
INSTALLED = Path("/var/lib/gridengine")
SLOTS = 4
CPUS = 2
"""Of each node: two nodes at a time."""
BOOTSTRAP = """admin_user none
default_domain none
ignore_fqdn true
spooling_method classic
spooling_lib libspoolc
spooling_params {common};{spool}/qmaster
binary_path /usr/sbin
qmaster_spool_dir {spool}/qmaster
security_mode none
listener_threads 2
worker_threads 2
scheduler_threads 1
"""
ENVIRONMENT = """pe_name smp
slots 999
user_lists NONE
xuser_lists NONE
start_proc_args NONE
stop_proc_args NONE
allocation_rule $pe_slots
control_slaves FALSE
job_is_first_task TRUE
urgency_slots min
accounting_summary FALSE
qsort_args NONE
"""
QUEUE = {"qname": "render.q", "hostlist": "localhost", "slots": str(SLOTS), "pe_list": "smp", "load_thresholds": "NONE",
         "shell": "/bin/sh"}  # fmt: skip
SCHEDULE = {"schedule_interval": "0:0:1", "flush_submit_sec": "1", "flush_finish_sec": "1"}


def missing_programs() -> str | None:
    """What this machine lacks for a Grid Engine of its own; None if nothing."""
    if lacking := [name for name in PROGRAMS if shutil.which(name, path=_path()) is None]:
        packages = "gridengine-master gridengine-exec gridengine-client"
        return f"needs {', '.join(lacking)}: apt-get install {packages}"
    return "needs root" if os.geteuid() else None


@dataclass
class GridEngine:
    """A running Grid Engine."""

    folder: Path
    """Everything that it writes."""
    ports: tuple[int, int] = field(default_factory=lambda: (free_port(), free_port()))
    """The master's and the execution host's."""
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    """Both."""

    @property
    def environment(self) -> dict[str, str]:
        """By which Grid Engine's commands find it."""
        return {
            "SGE_ROOT": str(self.folder / "root"), "SGE_CELL": "default", "SGE_ND": "1", "PATH": _path(),
            "SGE_QMASTER_PORT": str(self.ports[0]), "SGE_EXECD_PORT": str(self.ports[1]),
        }  # fmt: skip

    @property
    def settings(self) -> dict[str, Any]:
        """Settings of the adapter's cluster: two nodes of two chunks at most, which run this checkout."""
        work = f"{self.folder}/spaces/$JOB_ID"
        variables = {
            "PYTHONPATH": ROOT, "HELIOS_COMMAND_ENV": "PYTHONPATH", "HELIOS_GRACE_SECONDS": 1, "HELIOS_FOLDER": work,
        }  # fmt: skip
        exports = " ".join(f"{name}={value}" for name, value in variables.items())
        return {
            "type": "sge", "most": SLOTS // CPUS, "slots": CPUS, "queue": "render.q", "directives": [f"-pe smp {CPUS}"],
            "folder": str(self.folder / "shared"), "prologue": [f"export {exports}", f"mkdir -p {work}"],
        }  # fmt: skip

    def ask(self, *command: str) -> str:
        """Run one of Grid Engine's commands; what it printed."""
        return subprocess.run(
            command, env={**os.environ, **self.environment}, capture_output=True, text=True, check=True, timeout=60
        ).stdout

    def jobs(self) -> dict[str, str]:
        """The jobs that wait or run, and their states."""
        lines = [line.split() for line in self.ask("qstat").splitlines()]
        return {words[0]: words[4] for words in lines if words and words[0].isdigit()}

    def start(self) -> None:
        """Start everything, and wait until jobs can run."""
        root, spool = self.folder / "root", self.folder / "spool"
        common = root / "default" / "common"
        for path in (common, spool / "qmaster", spool / "execd"):
            path.mkdir(parents=True)
        for name in ("bin", "lib", "util", "utilbin"):
            (root / name).symlink_to((INSTALLED / name).resolve())
        (common / "bootstrap").write_text(BOOTSTRAP.format(common=common, spool=spool))
        (common / "act_qmaster").write_text("localhost\n")
        (common / "host_aliases").write_text(f"localhost {socket.gethostname()}\n")
        self._initialise(common, spool)
        self._start("sge_qmaster")
        _wait(lambda: self._answers("qconf", "-sm"))
        self.ask("qconf", "-as", "localhost")
        self._start("sge_execd")
        self._configure("-Ap", ENVIRONMENT)
        self._configure("-Aq", _changed(self.ask("qconf", "-sq"), QUEUE))
        self._configure("-Msconf", _changed(self.ask("qconf", "-ssconf"), SCHEDULE))
        _wait(lambda: "render.q@localhost" in self.ask("qstat", "-f") and " au" not in self.ask("qstat", "-f"))

    def close(self) -> None:
        """End every job and every process."""
        with suppress(OSError, subprocess.SubprocessError, AssertionError):
            self.ask("qdel", "-u", "root")
            _wait(lambda: not self.jobs())
        for process in reversed(self.processes):
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _initialise(self, common: Path, spool: Path) -> None:
        shipped = (SHIPPED / "default-configuration").read_text()
        own = {"execd_spool_dir": str(spool / "execd"), "min_uid": "0", "min_gid": "0"}
        configuration = self.folder / "configuration"
        configuration.write_text(_changed(shipped, own))
        resources = SHIPPED / "util" / "resources"
        self.ask(str(LIBRARY / "spoolinit"), "classic", "libspoolc", f"{common};{spool}/qmaster", "init")
        for what, given in (("configuration", configuration), ("complexes", resources / "centry"),
                            ("usersets", resources / "usersets"), ("managers", "root")):  # fmt: skip
            self.ask(str(LIBRARY / "spooldefaults"), what, str(given))

    def _configure(self, option: str, text: str) -> None:
        path = self.folder / "given"
        path.write_text(text)
        self.ask("qconf", option, str(path))

    def _answers(self, *command: str) -> bool:
        try:
            return bool(self.ask(*command))
        except subprocess.SubprocessError:
            return False

    def _start(self, program: str) -> None:
        with (self.folder / f"{program}.log").open("ab") as log:
            process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "TERM", program], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                cwd=self.folder, env={**os.environ, **self.environment}, start_new_session=True,
            )  # fmt: skip
        self.processes.append(process)


@contextmanager
def grid_engine(folder: Path) -> Iterator[GridEngine]:
    """Run a Grid Engine within the block.

    Args:
        folder: An empty one.
    """
    engine = GridEngine(folder)
    try:
        engine.start()
        yield engine
    finally:
        engine.close()


def _changed(text: str, values: dict[str, str]) -> str:
    """A text of names and values in lines, with other values."""
    lines = []
    for line in text.splitlines():
        name = line.split(maxsplit=1)[0] if line.strip() else ""
        lines.append(f"{name} {values[name]}" if name in values else line)
    return "\n".join([*lines, ""])


def _path() -> str:
    return f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"


def _wait(condition: Callable[[], object], *, seconds: float = 90.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "Grid Engine did not come up, or did not end its jobs, in time"
        time.sleep(0.2)
