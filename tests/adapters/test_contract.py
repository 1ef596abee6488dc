"""The adapter contract suite, run over the local adapter and over the fake adapter."""

import asyncio
import json
import time
from pathlib import Path

import pytest

from adapters.local import LocalAdapter, LocalAdapterConfig
from helios.adapter import OutputSink, WorkerAdapter
from helios.errors import RequestError
from helios.models import WorkerJob, WorkerResult
from helios.testing import AdapterContract, FakeAdapter


class TestLocal(AdapterContract):
    """The local adapter, whose workers are processes on this machine."""

    @pytest.fixture
    def adapter(self) -> WorkerAdapter:
        """A local adapter with a short grace period, since the suite's jobs ignore SIGTERM."""
        return LocalAdapter(LocalAdapterConfig(grace_seconds=0.2))

    async def test_sets_its_own_variables(self) -> None:
        """Variables of the configuration are set for every command, and the job's own variables override them."""
        adapter = LocalAdapter(LocalAdapterConfig(env={"A": "adapter", "B": "adapter"}))
        job = WorkerJob(command="sh", args=("-c", 'echo "$A $B $HOME"'), env={"B": "job", "HOME": "/h"})
        assert (await adapter.execute(job)).stdout == "adapter job /h\n"


class TestFake(AdapterContract):
    """The fake adapter keeps the contract, so that tests that use it hold for other adapters."""

    @pytest.fixture
    def adapter(self) -> WorkerAdapter:
        """A fake adapter that does in this process what the suite's Python scripts do."""
        return FakeAdapter(act)

    def python(self, script: str, *args: str, timeout_seconds: float | None = None) -> WorkerJob:
        """Replace a script by the name of the action that it performs."""
        act_name = (
            "stall"
            if "begun" in script
            else "beat"
            if "while True" in script
            else "print"
            if "line in out" in script
            else "echo"
        )
        return WorkerJob(
            command="count" if "sys.exit(3)" in script else act_name, args=args, timeout_seconds=timeout_seconds
        )

    async def test_keeps_count(self) -> None:
        """The fake adapter records its jobs in order, how many ran at once, and none as running after its end."""

        async def wait(_job: WorkerJob, _sink: OutputSink | None) -> WorkerResult:
            await asyncio.sleep(0)
            return WorkerResult(exit_code=0)

        adapter = FakeAdapter(wait)
        results = await asyncio.gather(*(adapter.execute(WorkerJob(command=str(n))) for n in range(3)))
        assert [result.exit_code for result in results] == [0, 0, 0]
        assert [job.command for job in adapter.jobs] == ["0", "1", "2"]
        assert (adapter.running, adapter.most_running) == (0, 3)


async def act(job: WorkerJob, on_output: OutputSink | None) -> WorkerResult:
    """Perform the action of one of the suite's jobs."""
    match job.command:
        case "print":
            out, err, code = json.loads(job.args[0])
            if on_output:
                for stream, lines in (("stdout", out), ("stderr", err)):
                    for line in lines:
                        on_output(stream, line)  # type: ignore[arg-type]
            return WorkerResult(exit_code=code, stdout="\n".join(out), stderr="\n".join(err))
        case "echo":
            return WorkerResult(exit_code=0, stdout=json.dumps([list(job.args), job.env["WORD"]]))
        case "count":
            with Path(job.args[0]).open("ab") as file:
                file.write(b".")
            return WorkerResult(exit_code=3)
        case "beat" | "stall":
            if job.command == "stall" and on_output:
                on_output("stdout", "begun")
            end = time.monotonic() + 60
            while time.monotonic() < end:
                with Path(job.args[0]).open("ab") as file:
                    file.write(b".")
                await asyncio.sleep(0.05)
            return WorkerResult(exit_code=0)
    raise RequestError(f"The program {job.command!r} was not found")
