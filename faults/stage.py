"""One launch of a job: the process that the flow runs in, and the processes below it."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

from faults import runner
from faults.farm import POOL, processes_of
from faults.trial import Trial
from testbed.cloud.processes import ROOT

BIN = Path(sys.executable).parent


class Stage:
    """One launch of a job: the process that the flow runs in.

    Args:
        trial: The job.
        by_command: Start `helios-job resume` instead of a forked process.
    """

    def __init__(self, trial: Trial, *, by_command: bool) -> None:
        self.trial = trial
        self.ended = asyncio.Event()
        """Set when the flow's process has ended."""
        self.was_killed = False
        """Whether a SIGKILL ended it."""
        self.ended_at = 0.0
        """When it ended, on the monotonic clock."""
        self.last_guardian: psutil.Process | None = None
        """The guardian of a flow's process that was killed."""
        self.flow: psutil.Process | None = None
        """The flow's process."""
        self._by_command = by_command
        self._kill: Callable[[], None] = lambda: None

    async def start(self) -> None:
        """Start the flow's process, or the Prefect worker that starts it."""
        trial = self.trial
        run_id = str(trial.run.id) if trial.run else ""
        if self._by_command:
            process = self._popen("helios-job", "resume", run_id)
            self.flow, self._kill = psutil.Process(process.pid), process.kill
            self._watch(process.wait)
            return
        if trial.by_worker:
            await self._start_worker()
            return
        forked = trial.farm.processes.Process(
            target=runner.run, args=(run_id, trial.parameters, str(trial.folder), {}), daemon=False
        )
        await asyncio.to_thread(forked.start)
        assert forked.pid is not None
        self.flow, self._kill = psutil.Process(forked.pid), forked.kill
        self._watch(forked.join)

    async def _start_worker(self) -> None:
        """Start a Prefect worker, which starts the flow's process; the launch ends with the run, or the worker."""
        worker = self._popen("prefect", "worker", "start", "--pool", POOL, "--limit", "1")
        self._kill = worker.kill
        client, run = self.trial.farm.client, self.trial.run
        assert run is not None

        async def watch() -> None:
            while worker.poll() is None:
                if self.flow is None:
                    with suppress(psutil.Error):
                        self.flow = next(iter(psutil.Process(worker.pid).children()), None)
                state = (await client.read_flow_run(run.id)).state
                if self.flow is not None and state is not None and state.is_final():
                    worker.kill()
                await asyncio.sleep(0.1)
            self.ended_at = time.monotonic()
            self.ended.set()

        self._watcher = asyncio.create_task(watch())

    def _popen(self, program: str, *words: str) -> "subprocess.Popen[bytes]":
        # The bench's own jobs name their adapter's settings.
        own = {"PREFECT_WORKER_QUERY_SECONDS": "1", "PREFECT_LOGGING_LEVEL": "WARNING", "HELIOS_ALLOW_INLINE": "yes"}
        environment = {**os.environ, **own}
        with (self.trial.folder / "log").open("ab") as log:
            return subprocess.Popen(
                [str(BIN / program), *words], stdout=log, stderr=log, start_new_session=True, env=environment, cwd=ROOT
            )

    def kill(self) -> None:
        """Send SIGKILL to the flow's process, or to its Prefect worker."""
        self.was_killed = True
        self.last_guardian = self.guardian
        self._kill()

    def _watch(self, wait: Callable[[], object]) -> None:
        async def watch() -> None:
            await asyncio.to_thread(wait)
            self.ended_at = time.monotonic()
            self.ended.set()

        self._watcher = asyncio.create_task(watch())

    @property
    def guardian(self) -> psutil.Process | None:
        """The guardian of the flow's process."""
        with suppress(psutil.Error):
            for child in self.flow.children() if self.flow else []:
                if "guardian_process" in " ".join(child.cmdline()):
                    return child
        return None

    @property
    def programs(self) -> list[psutil.Process]:
        """The chunks' own processes."""
        found = []
        for process in processes_of(self.trial.mark):
            with suppress(psutil.Error):
                if "chunk.sh" in " ".join(process.cmdline()):
                    found.append(process)
        return found
