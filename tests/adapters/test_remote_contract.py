"""The contract suite over every adapter whose workers are elsewhere."""

from pathlib import Path

import pytest

from adapters import create_adapter
from helios.adapter import StorageAdapter, WorkerAdapter
from helios.errors import CommandStalledError, RequestError
from helios.job.attempts import attempt_url
from helios.models.worker import WorkerJob
from helios.testing import AdapterContract
from testbed.cloud.aws import Aws
from testbed.cloud.google import Google
from tests.helios.worker.stored import store_command, store_script

LINES = 3_000
"""Of a command whose output does not fit into the 16 KiB of an answer."""


class RemoteContract(AdapterContract):
    """The contract suite with its jobs as documents in the adapter's storage."""

    @pytest.fixture(autouse=True)
    def _keep(self, adapter: WorkerAdapter) -> None:
        assert isinstance(adapter, StorageAdapter)
        self.adapter_in_use = adapter

    def python(self, script: str, *args: str, timeout_seconds: float | None = None) -> WorkerJob:
        """Store a job that runs a Python script."""
        return store_script(self.adapter_in_use.storage, script, *args, timeout_seconds=timeout_seconds)

    def missing_program(self) -> WorkerJob:
        """Store a job whose program does not exist."""
        return store_command(self.adapter_in_use.storage, "helios-no-such-program")

    async def test_hands_on_a_long_output_whole(self, adapter: WorkerAdapter) -> None:
        """Output that is longer than an answer is read from storage, to the last line."""
        seen: list[str] = []
        job = self.python(f"for n in range({LINES}): print('line', n)")
        await adapter.execute(job, on_output=lambda _stream, line: seen.append(line))
        assert seen == [f"line {n}" for n in range(LINES)]

    async def test_hands_on_the_whole_output_of_a_job_that_stalls(self, adapter: WorkerAdapter) -> None:
        """A stalled job's log is stored, like that of every command that ran, and reaches the sink to the last line."""
        seen: list[str] = []
        # A shell begins within a moment; an interpreter takes seconds on a busy machine.
        words = ("sh", "-c", f"seq -f 'line %g' 0 {LINES - 1}; exec sleep 600")
        job = store_command(self.adapter_in_use.storage, *words)
        with pytest.raises(CommandStalledError, match="for 3 s, and was stopped"):
            await adapter.execute(
                job.model_copy(update={"stall_seconds": 3.0}), on_output=lambda _stream, line: seen.append(line)
            )
        assert seen == [f"line {n}" for n in range(LINES)]
        storage = self.adapter_in_use.storage
        folder = storage.key_of(attempt_url(str(job.job_url), 1))
        (log,) = [entry.key async for entry in storage.entries(folder) if entry.key.endswith("log.jsonl")]
        assert len((await storage.read(log) or b"").splitlines()) == LINES

    async def test_refuses_a_command_that_is_not_in_storage(self, adapter: WorkerAdapter) -> None:
        """A command that is not in storage is refused, since a remote worker can't see it."""
        with pytest.raises(RequestError, match="merge adapter: local"):
            await adapter.execute(WorkerJob(command="true"))

    async def test_names_the_output_and_the_times(self, adapter: WorkerAdapter, tmp_path: Path) -> None:
        """The result says where the output is, and where the worker's time went."""
        result = await adapter.execute(self.python("pass"))
        assert result.artifact is not None
        storage = self.adapter_in_use.storage
        await storage.download(storage.key_of(result.artifact.url), tmp_path / "out.mp4", expected=result.artifact)
        assert result.timings is not None
        assert result.timings.render_ms > 0


class TestAwsLambda(RemoteContract):
    """Synchronous invocations."""

    @pytest.fixture
    def adapter(self, amazon: Aws) -> WorkerAdapter:
        """boto3, the router, the real emulator, awslambdaric, our handler, S3."""
        return create_adapter(amazon.config)[1]


@pytest.mark.slow
class TestAwsLambdaEvents(RemoteContract):
    """Asynchronous invocations: the same adapter and worker; tests/flows/test_remote.py renders a job with them."""

    @pytest.fixture
    def adapter(self, amazon: Aws) -> WorkerAdapter:
        """The same parts, with events, and with answers in S3."""
        return create_adapter({**amazon.config, "mode": "async"})[1]


@pytest.mark.slow
class TestCloudRun(RemoteContract):
    """Requests to a service: the test below, test_faults.py and tests/flows/test_remote.py use them."""

    @pytest.fixture
    def adapter(self, google: Google) -> WorkerAdapter:
        """google-auth, the front door, our HTTP worker, Cloud Storage."""
        return create_adapter(google.service_config)[1]


@pytest.mark.slow
class TestCloudRunJob(RemoteContract):
    """Tasks of executions: the same worker; the test below, test_faults.py and tests/flows/test_remote.py use them."""

    @pytest.fixture
    def adapter(self, google: Google) -> WorkerAdapter:
        """gRPC, processes, Cloud Storage."""
        return create_adapter(google.job_config)[1]


@pytest.mark.parametrize("kind", ["service", "job"])
async def test_cloud_run_hands_on_exit_code_and_lines(google: Google, kind: str) -> None:
    """What a service, or a task of a job's execution, answers is what its command said, and how that ended."""
    adapter = create_adapter(google.service_config if kind == "service" else google.job_config)[1]
    assert isinstance(adapter, StorageAdapter)
    seen: list[tuple[str, str]] = []
    job = store_command(adapter.storage, "sh", "-c", "echo one; echo two >&2; exit 3")
    result = await adapter.execute(job, on_output=lambda *line: seen.append(line))
    assert result.exit_code == 3
    assert sorted(seen) == [("stderr", "two"), ("stdout", "one")]
    with pytest.raises(RequestError, match="helios-no-such-program"):
        await adapter.execute(store_command(adapter.storage, "helios-no-such-program"))
