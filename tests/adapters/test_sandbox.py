"""The sandbox of the local adapter, run for real; skipped where bubblewrap does not work."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.local import LocalAdapter, LocalAdapterConfig
from helios.adapter import WorkerAdapter
from helios.errors import RequestError
from helios.models.worker import WorkerJob, WorkerResult
from helios.processes.attempt_folder import own_temporary_folder
from helios.processes.sandbox import open_sandbox
from helios.testing import AdapterContract
from tests.command import until
from tests.conftest import ProcessesOf
from tests.helios.processes.test_guardian import FAMILY


def _refusal() -> str:
    try:
        open_sandbox(network=False)
    except RequestError as exc:
        return str(exc)
    return ""


needs_bubblewrap = pytest.mark.skipif(bool(_refusal()), reason=_refusal())


def adapter_with(**settings: object) -> LocalAdapter:
    return LocalAdapter(LocalAdapterConfig.model_validate({"sandbox": "bubblewrap", "grace_seconds": 0.5, **settings}))


async def run(script: str, folder: Path, **settings: object) -> WorkerResult:
    """Run a shell script in a sandbox, in a folder."""
    return await adapter_with(**settings).execute(WorkerJob(command="sh", args=("-c", script), cwd=str(folder)))


@pytest.mark.slow  # the tests below say what a sandbox changes
@needs_bubblewrap
class TestSandbox(AdapterContract):
    """The local adapter with a sandbox keeps the contract; its commands run in the folder that they write to."""

    @pytest.fixture
    def adapter(self) -> WorkerAdapter:
        """A local adapter with a sandbox."""
        return adapter_with()

    def beats(self, file: Path, *, timeout_seconds: float | None = None) -> WorkerJob:
        """Run in the file's folder."""
        return super().beats(file, timeout_seconds=timeout_seconds).model_copy(update={"cwd": str(file.parent)})

    def falls_silent(self, file: Path, *, stall_seconds: float) -> WorkerJob:
        """Run in the file's folder."""
        job = super().falls_silent(file, stall_seconds=stall_seconds)
        return job.model_copy(update={"cwd": str(file.parent)})

    def counts_and_fails(self, file: Path) -> WorkerJob:
        """Run in the file's folder."""
        return super().counts_and_fails(file).model_copy(update={"cwd": str(file.parent)})


@needs_bubblewrap
async def test_only_the_job_directory_and_tmpdir_are_writable(tmp_path: Path) -> None:
    """A command writes to its job directory and to TMPDIR, and nowhere else."""
    job = tmp_path / "a job é"
    job.mkdir()
    places = [str(tmp_path), "/tmp", "/var/tmp", str(Path.home()), "/etc", str(own_temporary_folder())]
    tries = "; ".join(f"touch '{place}/helios-was-here' && echo wrote {place}" for place in places)
    ended = await run(f"touch here $TMPDIR/here && echo both; {tries}; mount -o remount,rw / && echo remounted", job)
    assert ended.stdout == "both\n", ended.stderr
    assert (job / "here").exists()
    assert list(own_temporary_folder().glob("*/*/here")) == []


@needs_bubblewrap
async def test_processes_and_sessions_of_the_machine_are_hidden(tmp_path: Path) -> None:
    """A command sees its own processes alone, and no sockets of the user's session."""
    ended = await run("ls -d /proc/[0-9]*; ls -A /run/user; test -w /dev/null && echo ok", tmp_path)
    *processes, ok = ended.stdout.split()
    assert ok == "ok"
    assert len(processes) <= 4
    assert f"/proc/{os.getpid()}" not in processes or os.getpid() <= 4


@pytest.fixture
def port() -> Iterator[int]:
    """A port of this machine at which something listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@needs_bubblewrap
@pytest.mark.parametrize(("allowed", "code"), [(False, 1), (True, 0)])
async def test_the_network_must_be_allowed(tmp_path: Path, port: int, allowed: bool, code: int) -> None:
    """A command reaches the network only if the configuration allows it."""
    script = f"import socket; socket.create_connection(('127.0.0.1', {port}), 5)"
    adapter = adapter_with(sandbox_network=allowed)
    ended = await adapter.execute(WorkerJob(command=sys.executable, args=("-c", script), cwd=str(tmp_path)))
    assert ended.exit_code == code, ended.stderr


@needs_bubblewrap
async def test_a_cancel_leaves_time_to_end(tmp_path: Path) -> None:
    """At a cancel a command gets SIGTERM and its grace period, as without a sandbox."""
    script = "trap 'sleep 0.3; touch ended; exit' TERM; touch begun; while :; do sleep 0.05; done"
    task = asyncio.create_task(run(script, tmp_path, grace_seconds=30))
    while not (tmp_path / "begun").exists():
        await asyncio.sleep(0.02)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (tmp_path / "ended").exists()


@needs_bubblewrap
async def test_a_cancel_ends_every_process(tmp_path: Path, processes_of: ProcessesOf) -> None:
    """A cancel ends descendants that ignore SIGTERM, have a session of their own, or lost environment and parent."""
    job = WorkerJob(command=sys.executable, args=("-c", FAMILY, str(tmp_path)), cwd=str(tmp_path))
    task = asyncio.create_task(adapter_with().execute(job))
    while len(processes_of(tmp_path)) < 6:  # the family's four, and bubblewrap's two
        await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert processes_of(tmp_path) == []


@needs_bubblewrap
async def test_a_process_left_behind_is_ended(tmp_path: Path, processes_of: ProcessesOf) -> None:
    """A process that outlives its command is ended, also in a session of its own and without environment."""
    stray = f'setsid env -i sh -c "sleep 600; : {tmp_path}" >/dev/null 2>&1 &'
    assert (await run(f"{stray} echo done", tmp_path)).stdout == "done\n"
    assert processes_of(tmp_path) == []


ORDERS = """
import asyncio, sys
from adapters.local import LocalAdapter, LocalAdapterConfig
from helios.models.worker import WorkerJob

job = WorkerJob(command=sys.executable, args=("-c", sys.argv[1], sys.argv[2]), cwd=sys.argv[2])
asyncio.run(LocalAdapter(LocalAdapterConfig(sandbox="bubblewrap", grace_seconds=0.5)).execute(job))
"""


@needs_bubblewrap
# tests/helios/processes/test_guardian.py has each alone, without a sandbox.
@pytest.mark.parametrize(
    "victim",
    [pytest.param("process", marks=pytest.mark.slow), pytest.param("guardian", marks=pytest.mark.slow), "both"],
)
def test_sigkill_leaves_no_process(tmp_path: Path, processes_of: ProcessesOf, victim: str) -> None:
    """SIGKILL of the process that ordered a command, or of its guardian, ends everything in the sandbox."""
    (tmp_path / "tmp").mkdir()
    orders = subprocess.Popen(
        [sys.executable, "-c", ORDERS, FAMILY, str(tmp_path)], stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": os.getcwd(), "TMPDIR": str(tmp_path / "tmp")},
    )  # fmt: skip
    until(lambda: len(processes_of(tmp_path)) >= 7)  # with the process that ordered them
    guardian = next(
        int(pid)
        for pid in Path(f"/proc/{orders.pid}/task/{orders.pid}/children").read_text().split()
        if b"guardian_process" in Path(f"/proc/{pid}/cmdline").read_bytes()
    )
    for pid in {"process": [orders.pid], "guardian": [guardian], "both": [orders.pid, guardian]}[victim]:
        os.kill(pid, signal.SIGKILL)
    orders.wait(60)
    if victim == "both":
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
            LocalAdapter()  # the next run on this machine
    until(lambda: not processes_of(tmp_path))


@needs_bubblewrap
async def test_the_whole_disk_is_no_job_directory() -> None:
    """A job directory that is the whole disk is refused."""
    with pytest.raises(RequestError, match="it is /, the whole disk; expected a folder"):
        await run("true", Path("/"))


@needs_bubblewrap
async def test_a_program_in_the_job_directory(tmp_path: Path) -> None:
    """A program is named by its path in the job directory; one that is not executable is refused as without sandbox."""
    (tmp_path / "tool").write_text("#!/bin/sh\necho it ran\n")
    job = WorkerJob(command="./tool", cwd=str(tmp_path))
    with pytest.raises(RequestError, match="is not executable"):
        await adapter_with().execute(job)
    (tmp_path / "tool").chmod(0o755)
    assert (await adapter_with().execute(job)).stdout == "it ran\n"


def test_without_bubblewrap_the_adapter_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without bwrap on PATH, or with one that fails, the error says what to install, or why it fails."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RequestError, match="'bwrap', which is not on PATH; install it"):
        adapter_with()
    (tmp_path / "bwrap").write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2; exit 1\n")
    (tmp_path / "bwrap").chmod(0o755)
    with pytest.raises(RequestError, match="does not work on this machine: bwrap: No permissions to create"):
        adapter_with()
