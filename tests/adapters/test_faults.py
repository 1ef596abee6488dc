"""Faults between an adapter and its workers: each test makes a fault fire and checks the resulting error."""

import asyncio
import datetime
import json
import re
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from adapters import create_adapter
from helios.adapter import StorageAdapter, WorkerAdapter
from helios.errors import (
    CommandTimeoutError,
    HeliosError,
    RequestError,
    WorkerUnavailableError,
)
from helios.job.attempts import AttemptRecord, attempt_url
from helios.models.worker import WorkerJob, WorkerResult
from testbed.cloud.aws import Aws, Faulty, aws
from testbed.cloud.google import Google
from testbed.http_server import Answer, answering
from tests.command import until
from tests.helios.worker.stored import store_command, store_script

SLEEPS = "import sys, time; open(sys.argv[1], 'ab').write(b'.'); time.sleep(float(sys.argv[2]))"


def make(config: Mapping[str, Any], **changes: Any) -> StorageAdapter:
    """Create the adapter of a configuration, with some settings changed."""
    adapter: WorkerAdapter = create_adapter({**config, **changes})[1]
    assert isinstance(adapter, StorageAdapter)
    return adapter


def counted(adapter: StorageAdapter, notes: Path, *, seconds: float = 0.0) -> WorkerJob:
    """Store a chunk whose command appends a dot to a file on each execution."""
    return store_script(adapter.storage, SLEEPS, str(notes), str(seconds))


async def refused(adapter: StorageAdapter, job: WorkerJob, kind: type[HeliosError]) -> str:
    """Execute a job, expect an error of this kind, and return its message."""
    with pytest.raises(kind) as caught:
        await adapter.execute(job)
    return str(caught.value)


async def is_quiet(config: Mapping[str, Any], notes: Path) -> bytes:
    """Return the dots of a job's executions after a later chunk has ended: by then a repeated execution would show."""
    adapter = make(config)
    later = notes.with_name(f"{notes.name}-later")
    assert (await adapter.execute(counted(adapter, later))).artifact is not None
    assert later.read_bytes()
    return notes.read_bytes() if notes.exists() else b""


class Remote:
    """An adapter's configuration, and the controls of the stand-in that it uses."""

    def __init__(self, config: dict[str, Any], faulty: Faulty) -> None:
        self.config = config
        self.faulty = faulty


@pytest.fixture(params=["aws-lambda", "cloud-run"])
def remote(request: pytest.FixtureRequest) -> Remote:
    """Each adapter that waits for its answer over a connection."""
    if request.param == "aws-lambda":
        amazon: Aws = request.getfixturevalue("amazon")
        return Remote(amazon.config, amazon.functions)
    google: Google = request.getfixturevalue("google")
    return Remote(google.service_config, google.service)


async def test_throttled(remote: Remote, tmp_path: Path) -> None:
    """Throttling is the environment's fault: the error has the platform's words and request id, and nothing is run."""
    adapter = make(remote.config)
    kind = "throttle" if remote.config["type"] == "aws-lambda" else "busy"
    before = remote.faulty.fired(kind)
    remote.faulty.want(kind)
    message = await refused(adapter, counted(adapter, tmp_path / "n"), WorkerUnavailableError)
    assert "Rate" in message
    assert "request " in message or "trace " in message
    assert remote.faulty.fired(kind) == before + 1
    assert await is_quiet(remote.config, tmp_path / "n") == b""


async def test_no_permission(remote: Remote, tmp_path: Path) -> None:
    """A refused permission is the request's fault, and the error names the permission to grant."""
    adapter = make(remote.config)
    remote.faulty.want("deny")
    message = await refused(adapter, counted(adapter, tmp_path / "n"), RequestError)
    assert "InvokeFunction" in message or "roles/run.invoker" in message
    assert await is_quiet(remote.config, tmp_path / "n") == b""


async def test_an_answer_that_is_lost(remote: Remote, tmp_path: Path) -> None:
    """When the connection breaks after the work was done, the adapter finds the recorded answer and repeats nothing."""
    adapter = make(remote.config)
    before = remote.faulty.fired("lose-answer")
    remote.faulty.want("lose-answer")
    result = await adapter.execute(counted(adapter, tmp_path / "n"))
    assert result.exit_code == 0
    assert result.artifact is not None
    assert await adapter.storage.size(adapter.storage.key_of(result.artifact.url)) == result.artifact.bytes
    assert remote.faulty.fired("lose-answer") == before + 1
    assert await is_quiet(remote.config, tmp_path / "n") == b"."


async def test_a_worker_that_is_killed_in_the_middle(remote: Remote, tmp_path: Path) -> None:
    """A killed worker is the environment's fault, and the next attempt succeeds."""
    adapter = make(remote.config, answer_wait_seconds=1)
    before = remote.faulty.fired("kill")
    remote.faulty.want("kill")
    job = counted(adapter, tmp_path / "n", seconds=4)
    await refused(adapter, job, WorkerUnavailableError)
    assert remote.faulty.fired("kill") == before + 1
    second = job.model_copy(update={"attempt": 2})
    assert (await adapter.execute(second)).artifact is not None
    assert await is_quiet(remote.config, tmp_path / "n") in {
        b"..",
        b".",
    }  # the worker may be killed before its command notes anything


async def test_a_missing_function(amazon: Aws) -> None:
    """A missing function is the request's fault, and the error has its name and how to deploy it."""
    adapter = make(amazon.config, function="no-such-function")
    message = await refused(adapter, store_script(adapter.storage, "pass"), RequestError)
    assert "no-such-function" in message
    assert "deploy/aws" in message


@pytest.mark.slow
async def test_a_function_that_can_t_start(amazon: Aws) -> None:
    """A function whose handler can't be imported is the request's fault, and the error quotes its log."""
    adapter = make(amazon.config, function="broken")
    message = await refused(adapter, store_script(adapter.storage, "pass"), RequestError)
    assert "ImportModuleError" in message
    assert "no_such_module" in message


async def test_a_function_that_its_platform_times_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A function that its platform times out is the command's fault, since another attempt would time out, too."""
    with aws(timeout=10, worker={"HELIOS_RESERVE_SECONDS": "0"}) as cloud:
        for name, value in cloud.environment.items():
            monkeypatch.setenv(name, value)
        adapter = make(cloud.config)
        job = store_script(
            adapter.storage, "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"
        )
        message = await refused(adapter, job, CommandTimeoutError)
        assert "fewer frames per chunk" in message


async def test_a_garbled_answer(amazon: Aws, tmp_path: Path) -> None:
    """An unreadable answer is replaced by the recorded answer in storage, and nothing is rendered again."""
    adapter = make(amazon.config)
    amazon.functions.want("garble-answer")
    result = await adapter.execute(counted(adapter, tmp_path / "n"))
    assert result.artifact is not None
    assert await is_quiet(amazon.config, tmp_path / "n") == b"."


async def test_an_event_that_is_delivered_twice(amazon: Aws, tmp_path: Path) -> None:
    """When Lambda delivers an event twice, one execution counts, and the other one's output is removed."""
    adapter = make(amazon.config, mode="async")
    before = amazon.functions.fired("deliver-twice")
    amazon.functions.want("deliver-twice")
    job = counted(adapter, tmp_path / "n", seconds=4)  # the second delivery comes meanwhile
    result = await adapter.execute(job)
    assert amazon.functions.fired("deliver-twice") == before + 1
    assert result.artifact is not None
    folder = adapter.storage.key_of(attempt_url(str(job.job_url), 1))
    await asyncio.to_thread(until, lambda: (tmp_path / "n").read_bytes() == b"..")
    deadline = time.monotonic() + 60
    while len(outputs := [entry.key async for entry in adapter.storage.entries(folder) if "output" in entry.key]) != 1:
        assert time.monotonic() < deadline, outputs
        await asyncio.sleep(0.2)
    assert outputs == [adapter.storage.key_of(result.artifact.url)]
    await adapter.storage.download(outputs[0], tmp_path / "out.mp4", expected=result.artifact)


async def test_a_payload_over_the_limit(amazon: Aws) -> None:
    """A payload over the platform's limit is refused in the platform's words before anything runs."""
    for mode, size in (("sync", 7_000_000), ("async", 1_100_000)):
        adapter = make(amazon.config, mode=mode, env={"LONG": "x" * size})
        message = await refused(adapter, store_script(adapter.storage, "pass"), RequestError)
        assert "RequestTooLargeException" in message


async def test_expired_credentials(amazon: Aws, tmp_path: Path) -> None:
    """Expired static keys are the request's fault, and the error says to renew them."""
    adapter = make(amazon.config)
    amazon.functions.want("expired")
    assert "renew the credentials" in await refused(adapter, counted(adapter, tmp_path / "n"), RequestError)


async def test_a_worker_of_helios(amazon: Aws) -> None:
    """The answer of Helios's own worker is understood: exit code, output, errors and time."""
    adapter = make(amazon.config, function="of-helios")
    result = await adapter.execute(store_script(adapter.storage, "pass"))
    assert (result.exit_code, result.stdout, result.stderr) == (3, "frame 1\nframe 2", "boom")
    assert (result.duration_ms, result.artifact) == (7, None)


async def test_a_worker_of_another_version(amazon: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker refuses a newer protocol, and the error names the protocol and says to deploy the worker."""
    adapter = make(amazon.config)
    send = adapter._send  # type: ignore[attr-defined]

    async def newer(request: Any, record: AttemptRecord) -> Any:
        return await send(request.model_copy(update={"protocol": 99}), record)

    monkeypatch.setattr(adapter, "_send", newer)
    message = await refused(adapter, store_script(adapter.storage, "pass"), RequestError)
    assert "protocol 99" in message
    assert "Deploy the worker" in message


async def test_a_lambda_that_can_t_be_reached(amazon: Aws) -> None:
    """An address that nothing listens on is the environment's fault."""
    adapter = make(amazon.config, endpoint="http://127.0.0.1:9")
    assert "can't be reached" in await refused(adapter, store_command(adapter.storage, "true"), WorkerUnavailableError)


HANGING = """
import asyncio, sys
import adapters.remote
from adapters import create_adapter
from helios import WorkerJob
adapters.remote.CANCEL_SECONDS = 0.5

async def main():
    config = {"type": "aws-lambda", "storage": sys.argv[1], "endpoint": sys.argv[2]}
    adapter = create_adapter(config)[1]
    task = asyncio.create_task(adapter.execute(WorkerJob(command="x", job_url=sys.argv[1] + "/chunk-0/job.json")))
    await asyncio.to_thread(sys.stdin.readline)
    task.cancel()
    await asyncio.wait([task])
    print(task.cancelled())

asyncio.run(main())
"""


def test_a_lambda_that_never_answers_does_not_hold_the_process(amazon: Aws, tmp_path: Path) -> None:
    """A cancelled process ends while its connection to Lambda stays open and silent, not minutes later."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        process = subprocess.Popen(
            [sys.executable, "-c", HANGING, (tmp_path / "store").as_uri(), endpoint],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            cwd=Path(__file__).parents[2],
        )  # fmt: skip
        silent.settimeout(120)
        connection, _ = silent.accept()
        with connection:
            assert connection.recv(4).startswith(b"POST")
            out, errors = process.communicate("cancel\n", timeout=120)
    assert out == "True\n", errors
    assert process.returncode == 0


async def test_no_credentials(amazon: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    """Missing AWS credentials are reported when the adapter is created, before anything runs."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    with pytest.raises(RequestError, match="There are no AWS credentials"):
        create_adapter(amazon.config)


# -- Cloud Run --


async def test_tokens_are_kept_and_renewed(google: Google, tmp_path: Path) -> None:
    """One token serves many requests, and a new token is fetched shortly before it expires."""

    def tokens() -> int:
        return int(google.identity.state()["seen"].get("id-token", 0))

    adapter = make(google.service_config)
    before = tokens()
    tokens_of_service = adapter.tokens  # type: ignore[attr-defined]
    first = await asyncio.gather(*(tokens_of_service.token() for _ in range(100)))
    assert len(set(first)) == 1
    assert tokens() == before + 1
    assert (await adapter.execute(counted(adapter, tmp_path / "n"))).artifact is not None
    deadline = time.monotonic() + 120
    while await tokens_of_service.token() == first[0]:
        assert time.monotonic() < deadline, "a token was never renewed"
        await asyncio.sleep(0.2)
    assert tokens() == before + 2
    assert (await adapter.execute(counted(adapter, tmp_path / "n"))).artifact is not None


async def test_a_token_for_somebody_else(google: Google, tmp_path: Path) -> None:
    """A token for another audience is refused, and the error says to check the audience."""
    adapter = make(google.service_config, audience="https://another-service")
    message = await refused(adapter, counted(adapter, tmp_path / "n"), RequestError)
    assert "check the audience" in message
    assert await is_quiet(google.service_config, tmp_path / "n") == b""


async def test_a_service_account_s_key(google: Google, tmp_path: Path) -> None:
    """A service account's key in the configuration replaces the standard chain; google-auth signs with it."""
    adapter = make(google.service_config, service_account_key=google.service_account_key)
    assert (await adapter.execute(counted(adapter, tmp_path / "n"))).artifact is not None
    assert google.service_account_key not in repr(adapter.config)  # type: ignore[attr-defined]


async def test_an_instance_that_is_shut_down(google: Google, tmp_path: Path) -> None:
    """A worker that gets SIGTERM stops its command and reports that, so that the chunk is tried again at once."""
    adapter = make(google.service_config)
    before = google.service.fired("shut-down")
    google.service.want("shut-down")
    message = await refused(adapter, counted(adapter, tmp_path / "n", seconds=60), WorkerUnavailableError)
    assert "stopped by its platform" in message
    assert google.service.fired("shut-down") == before + 1


async def test_a_short_chunk_finishes_before_the_instance_is_gone(google: Google, tmp_path: Path) -> None:
    """A chunk that ends within the seconds left after SIGTERM succeeds."""
    adapter = make(google.service_config)
    # A first chunk loads what the worker imports late: the short chunk has only three seconds.
    assert (await adapter.execute(counted(adapter, tmp_path / "first"))).artifact is not None
    before = google.service.seen("SIGTERM")
    google.service.want("shut-down")
    until_gate = "import os, sys, time\nwhile not os.path.exists(sys.argv[1]): time.sleep(0.05)"
    job = store_script(adapter.storage, until_gate, str(tmp_path / "gate"))
    work = asyncio.create_task(adapter.execute(job))
    await asyncio.to_thread(until, lambda: google.service.seen("SIGTERM") == before + 1)
    (tmp_path / "gate").touch()
    assert (await work).artifact is not None


# -- Cloud Run jobs --


def executions(google: Google) -> int:
    """Return how many executions were started."""
    return int(google.jobs.state()["seen"]["executions"])


async def test_chunks_share_executions(google: Google, tmp_path: Path) -> None:
    """Chunks that are ready together are tasks of one execution."""
    adapter = make(google.job_config)
    before = executions(google)
    jobs = [counted(adapter, tmp_path / str(n)) for n in range(4)]
    results = await asyncio.gather(*map(adapter.execute, jobs))
    assert [result.artifact is not None for result in results] == [True] * 4
    assert executions(google) == before + 1


async def test_a_task_that_is_killed(google: Google, tmp_path: Path) -> None:
    """A killed task fails its own chunk in the platform's words, and the other tasks of the execution go on."""
    adapter = make(google.job_config)
    google.jobs.want("kill")
    jobs = [counted(adapter, tmp_path / str(n), seconds=4) for n in range(2)]
    results = await asyncio.gather(*map(adapter.execute, jobs), return_exceptions=True)
    failed = [result for result in results if isinstance(result, WorkerUnavailableError)]
    assert len(failed) == 1
    assert "signal 9" in str(failed[0])
    assert sum(isinstance(result, WorkerResult) for result in results) == 1


async def test_cancelling_all_ends_the_execution(google: Google, tmp_path: Path) -> None:
    """Cancelling all chunks of an execution cancels it in one call; cancelling one chunk leaves the others."""
    adapter = make(google.job_config)
    cancelled = google.jobs.fired("cancelled")
    works = [asyncio.create_task(adapter.execute(counted(adapter, tmp_path / str(n), seconds=60))) for n in range(3)]
    deadline = time.monotonic() + 30
    while not all((tmp_path / str(n)).exists() for n in range(3)):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.1)
    works[0].cancel()
    with pytest.raises(asyncio.CancelledError):
        await works[0]
    assert google.jobs.fired("cancelled") == cancelled, "the other two go on"
    for work in works[1:]:
        work.cancel()
    await asyncio.gather(*works, return_exceptions=True)
    assert google.jobs.fired("cancelled") == cancelled + 1


@pytest.mark.parametrize(
    ("fault", "kind", "says"),
    [
        ("quota", WorkerUnavailableError, "RESOURCE_EXHAUSTED: .*Quota exceeded"),
        ("unavailable", WorkerUnavailableError, "UNAVAILABLE"),
        ("deny", RequestError, "roles/run.developer"),
    ],
)
async def test_the_job_api_refuses(
    google: Google, tmp_path: Path, fault: str, kind: type[HeliosError], says: str
) -> None:
    """Quota and outages are the environment's fault, permission is the request's; the client does not retry."""
    adapter = make(google.job_config)
    before = google.jobs.fired(fault)
    google.jobs.want(fault)
    message = await refused(adapter, counted(adapter, tmp_path / "n"), kind)
    assert re.search(says, message)
    assert google.jobs.fired(fault) == before + 1


async def test_a_missing_job(google: Google) -> None:
    """A missing Cloud Run job is the request's fault, and the error says how to deploy it."""
    adapter = make(google.job_config, job="projects/p/locations/x/jobs/none")
    assert "deploy/gcp" in await refused(adapter, store_script(adapter.storage, "pass"), RequestError)


# -- storage, clocks, credentials --


async def test_an_upload_that_is_cut(amazon: Aws, tmp_path: Path) -> None:
    """An upload whose connection breaks in the middle, twice, is sent again and arrives whole."""
    adapter = make(amazon.config)
    before = amazon.storage.fired("cut-upload")
    amazon.storage.want("cut-upload", 2)
    result = await adapter.execute(counted(adapter, tmp_path / "n"))
    assert result.artifact is not None
    assert amazon.storage.fired("cut-upload") == before + 2
    key = adapter.storage.key_of(result.artifact.url)
    await adapter.storage.download(key, tmp_path / "out.mp4", expected=result.artifact)
    assert await is_quiet(amazon.config, tmp_path / "n") == b"."


async def test_a_record_whose_answer_is_lost(amazon: Aws, tmp_path: Path) -> None:
    """When storage keeps a worker's record but reports a failure, the worker finds its own record there."""
    adapter = make(amazon.config)
    before = amazon.storage.fired("lose-put-answer")
    amazon.storage.want("lose-put-answer")
    result = await adapter.execute(counted(adapter, tmp_path / "n"))
    assert result.artifact is not None
    assert amazon.storage.fired("lose-put-answer") == before + 1
    assert await is_quiet(amazon.config, tmp_path / "n") == b"."


@pytest.mark.parametrize("mode", ["sync", pytest.param("async", marks=pytest.mark.slow)])
async def test_a_worker_whose_clock_is_wrong(amazon: Aws, tmp_path: Path, mode: str) -> None:
    """A worker's clock that is two hours ahead spoils neither its deadline nor its timings."""
    adapter = make(amazon.config, function="wrong-clock", mode=mode)
    script = "import time; time.sleep(1); print(round(time.time()))"
    result = await adapter.execute(store_script(adapter.storage, script))
    assert result.artifact is not None
    assert result.timings is not None
    assert 1000 <= result.timings.render_ms < 60_000
    assert int(result.stdout) > time.time() + 7000, "the fault is there"


async def test_credentials_that_expire_during_a_job(
    amazon: Aws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Short-lived keys of a container are renewed while chunks go on, and Lambda gets the new keys."""
    given = 0

    def respond(*_request: object) -> Answer:
        nonlocal given
        given += 1
        # botocore renews keys that have less than ten minutes left before it uses them.
        ends = datetime.datetime.now(datetime.UTC) + datetime.timedelta(minutes=5)
        keys = {"AccessKeyId": f"TEMPORARY{given}", "SecretAccessKey": "x", "Token": "y",
                "Expiration": ends.strftime("%Y-%m-%dT%H:%M:%SZ")}  # fmt: skip
        return 200, {}, json.dumps(keys).encode()

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    with answering(respond) as container:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{container}/")
        adapter = make(amazon.config)
        for _ in range(3):
            job = await asyncio.to_thread(counted, adapter, tmp_path / "n")
            assert (await adapter.execute(job)).artifact is not None
    used = [key for key in amazon.functions.state()["seen"] if key.startswith("key TEMPORARY")]
    assert len(used) >= 3, used
