"""What goes wrong between an adapter and its workers: each fault fires, and becomes the right kind of error."""

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
    """An adapter of a configuration."""
    adapter: WorkerAdapter = create_adapter({**config, **changes})[1]
    assert isinstance(adapter, StorageAdapter)
    return adapter


def counted(adapter: StorageAdapter, notes: Path, *, seconds: float = 0.0) -> WorkerJob:
    """A chunk that leaves a dot for each of its executions."""
    return store_script(adapter.storage, SLEEPS, str(notes), str(seconds))


async def refused(adapter: StorageAdapter, job: WorkerJob, kind: type[HeliosError]) -> str:
    """Execute, and take the message of the error."""
    with pytest.raises(kind) as caught:
        await adapter.execute(job)
    return str(caught.value)


async def is_quiet(config: Mapping[str, Any], notes: Path) -> bytes:
    """What a job's executions noted, once a later chunk has gone all the way that a further one would have gone."""
    adapter = make(config)
    later = notes.with_name(f"{notes.name}-later")
    assert (await adapter.execute(counted(adapter, later))).artifact is not None
    assert later.read_bytes()
    return notes.read_bytes() if notes.exists() else b""


class Remote:
    """A cloud's controls and an adapter over it."""

    def __init__(self, config: dict[str, Any], faulty: Faulty) -> None:
        self.config = config
        self.faulty = faulty


@pytest.fixture(params=["aws-lambda", "cloud-run"])
def remote(request: pytest.FixtureRequest) -> Remote:
    """The adapters that wait for an answer over a connection."""
    if request.param == "aws-lambda":
        amazon: Aws = request.getfixturevalue("amazon")
        return Remote(amazon.config, amazon.functions)
    google: Google = request.getfixturevalue("google")
    return Remote(google.service_config, google.service)


async def test_throttled(remote: Remote, tmp_path: Path) -> None:
    """The environment's fault, in the platform's words with its request id; nothing was run, nothing tried again."""
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
    """The request's fault, with what to do."""
    adapter = make(remote.config)
    remote.faulty.want("deny")
    message = await refused(adapter, counted(adapter, tmp_path / "n"), RequestError)
    assert "InvokeFunction" in message or "roles/run.invoker" in message
    assert await is_quiet(remote.config, tmp_path / "n") == b""


async def test_an_answer_that_is_lost(remote: Remote, tmp_path: Path) -> None:
    """The connection breaks after the work was done: the recorded answer is found, nothing is rendered again."""
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
    """The environment's fault; the next attempt works, and the dead one's command is gone."""
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
    }  # it may have been killed before its command began


async def test_a_missing_function(amazon: Aws) -> None:
    """The request's fault, with its name and what to do."""
    adapter = make(amazon.config, function="no-such-function")
    message = await refused(adapter, store_script(adapter.storage, "pass"), RequestError)
    assert "no-such-function" in message
    assert "deploy/aws" in message


async def test_a_function_that_can_t_start(amazon: Aws) -> None:
    """A handler that can't be imported is not tried again, and its log says why."""
    adapter = make(amazon.config, function="broken")
    message = await refused(adapter, store_script(adapter.storage, "pass"), RequestError)
    assert "ImportModuleError" in message
    assert "no_such_module" in message


async def test_a_function_that_its_platform_times_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that kept nothing of its time to answer: the command's fault, since it would happen again."""
    with aws(timeout=3, worker={"HELIOS_RESERVE_SECONDS": "0"}) as cloud:
        for name, value in cloud.environment.items():
            monkeypatch.setenv(name, value)
        adapter = make(cloud.config)
        job = store_script(
            adapter.storage, "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"
        )
        message = await refused(adapter, job, CommandTimeoutError)
        assert "fewer frames per chunk" in message


async def test_a_garbled_answer(amazon: Aws, tmp_path: Path) -> None:
    """What is no answer is looked up in storage."""
    adapter = make(amazon.config)
    amazon.functions.want("garble-answer")
    result = await adapter.execute(counted(adapter, tmp_path / "n"))
    assert result.artifact is not None
    assert await is_quiet(amazon.config, tmp_path / "n") == b"."


async def test_an_event_that_is_delivered_twice(amazon: Aws, tmp_path: Path) -> None:
    """One of the two counts, whole; the other's output is gone."""
    adapter = make(amazon.config, mode="async")
    before = amazon.functions.fired("deliver-twice")
    amazon.functions.want("deliver-twice")
    job = counted(adapter, tmp_path / "n", seconds=1)
    result = await adapter.execute(job)
    assert amazon.functions.fired("deliver-twice") == before + 1
    assert result.artifact is not None
    folder = adapter.storage.key_of(attempt_url(str(job.job_url), 1))
    await asyncio.to_thread(until, lambda: (tmp_path / "n").read_bytes() == b"..")
    deadline = time.monotonic() + 60
    while len(outputs := [key async for key, _ in adapter.storage.entries(folder) if "output" in key]) != 1:
        assert time.monotonic() < deadline, outputs
        await asyncio.sleep(0.2)
    assert outputs == [adapter.storage.key_of(result.artifact.url)]
    await adapter.storage.download(outputs[0], tmp_path / "out.mp4", expected=result.artifact)


async def test_a_payload_over_the_limit(amazon: Aws) -> None:
    """Refused in the platform's words before anything runs."""
    for mode, size in (("sync", 7_000_000), ("async", 1_100_000)):
        adapter = make(amazon.config, mode=mode, env={"LONG": "x" * size})
        message = await refused(adapter, store_script(adapter.storage, "pass"), RequestError)
        assert "RequestTooLargeException" in message


async def test_expired_credentials(amazon: Aws, tmp_path: Path) -> None:
    """Static keys that are over are the request's fault, with what to do."""
    adapter = make(amazon.config)
    amazon.functions.want("expired")
    assert "renew the credentials" in await refused(adapter, counted(adapter, tmp_path / "n"), RequestError)


async def test_a_worker_of_helios(amazon: Aws) -> None:
    """Its answer is understood: exit code, output, errors and time."""
    adapter = make(amazon.config, function="of-helios")
    result = await adapter.execute(store_script(adapter.storage, "pass"))
    assert (result.exit_code, result.stdout, result.stderr) == (3, "frame 1\nframe 2", "boom")
    assert (result.duration_ms, result.artifact) == (7, None)


async def test_a_worker_of_another_version(amazon: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    """An orchestrator that speaks a newer protocol is told by the worker, with both versions."""
    adapter = make(amazon.config)
    send = adapter._send  # type: ignore[attr-defined]

    async def newer(request: Any, record: AttemptRecord) -> Any:
        return await send(request.model_copy(update={"protocol": 99}), record)

    monkeypatch.setattr(adapter, "_send", newer)
    message = await refused(adapter, store_script(adapter.storage, "pass"), RequestError)
    assert "protocol 99" in message
    assert "Deploy the worker" in message


async def test_a_lambda_that_can_t_be_reached(amazon: Aws) -> None:
    """The environment's fault."""
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
    """A connection that stays open and silent ends with the process that is cancelled, not minutes later."""
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
    """Said before anything runs."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    with pytest.raises(RequestError, match="There are no AWS credentials"):
        create_adapter(amazon.config)


# -- Cloud Run --


async def test_tokens_are_kept_and_renewed(google: Google, tmp_path: Path) -> None:
    """One token serves many requests; when it is about to expire in the middle of a job, the next one is fetched."""

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
    """The front door refuses it, and the message says where to look."""
    adapter = make(google.service_config, audience="https://another-service")
    message = await refused(adapter, counted(adapter, tmp_path / "n"), RequestError)
    assert "check the audience" in message
    assert await is_quiet(google.service_config, tmp_path / "n") == b""


async def test_a_service_account_s_key(google: Google, tmp_path: Path) -> None:
    """A key in the configuration replaces the standard chain; google-auth signs with it."""
    adapter = make(google.service_config, service_account_key=google.service_account_key)
    assert (await adapter.execute(counted(adapter, tmp_path / "n"))).artifact is not None
    assert google.service_account_key not in repr(adapter.config)  # type: ignore[attr-defined]


async def test_an_instance_that_is_shut_down(google: Google, tmp_path: Path) -> None:
    """SIGTERM in the middle: the worker stops its command and reports, so that the chunk is tried again at once."""
    adapter = make(google.service_config)
    before = google.service.fired("shut-down")
    google.service.want("shut-down")
    message = await refused(adapter, counted(adapter, tmp_path / "n", seconds=60), WorkerUnavailableError)
    assert "stopped by its platform" in message
    assert google.service.fired("shut-down") == before + 1


async def test_a_short_chunk_finishes_before_the_instance_is_gone(google: Google, tmp_path: Path) -> None:
    """After SIGTERM there are seconds left: what ends within them is a success."""
    adapter = make(google.service_config)
    # What a first chunk loads is loaded: the short one has three seconds.
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
    """How many were started."""
    return int(google.jobs.state()["seen"]["executions"])


async def test_chunks_share_executions(google: Google, tmp_path: Path) -> None:
    """Chunks that are ready together are tasks of one execution."""
    adapter = make(google.job_config)
    before = executions(google)
    jobs = [counted(adapter, tmp_path / str(n)) for n in range(12)]
    results = await asyncio.gather(*map(adapter.execute, jobs))
    assert [result.artifact is not None for result in results] == [True] * 12
    assert executions(google) == before + 1


async def test_a_task_that_is_killed(google: Google, tmp_path: Path) -> None:
    """Its chunk fails while the others of the execution go on, with the platform's words on how it ended."""
    adapter = make(google.job_config)
    google.jobs.want("kill")
    jobs = [counted(adapter, tmp_path / str(n), seconds=4) for n in range(2)]
    results = await asyncio.gather(*map(adapter.execute, jobs), return_exceptions=True)
    failed = [result for result in results if isinstance(result, WorkerUnavailableError)]
    assert len(failed) == 1
    assert "signal 9" in str(failed[0])
    assert sum(isinstance(result, WorkerResult) for result in results) == 1


async def test_cancelling_all_ends_the_execution(google: Google, tmp_path: Path) -> None:
    """One call for all of its tasks; one chunk alone is called off by itself."""
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
    """Quota and outages are the environment's fault, permission the request's; the client does not try again."""
    adapter = make(google.job_config)
    before = google.jobs.fired(fault)
    google.jobs.want(fault)
    message = await refused(adapter, counted(adapter, tmp_path / "n"), kind)
    assert re.search(says, message)
    assert google.jobs.fired(fault) == before + 1


async def test_a_missing_job(google: Google) -> None:
    """The request's fault, with what to do."""
    adapter = make(google.job_config, job="projects/p/locations/x/jobs/none")
    assert "deploy/gcp" in await refused(adapter, store_script(adapter.storage, "pass"), RequestError)


# -- storage, clocks, credentials --


async def test_an_upload_that_is_cut(amazon: Aws, tmp_path: Path) -> None:
    """The connection breaks in the middle of an output, more than once: it is sent again, and arrives whole."""
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
    """Storage takes a worker's record and says that it failed: the worker looks, and finds its own."""
    adapter = make(amazon.config)
    before = amazon.storage.fired("lose-put-answer")
    amazon.storage.want("lose-put-answer")
    result = await adapter.execute(counted(adapter, tmp_path / "n"))
    assert result.artifact is not None
    assert amazon.storage.fired("lose-put-answer") == before + 1
    assert await is_quiet(amazon.config, tmp_path / "n") == b"."


@pytest.mark.parametrize("mode", ["sync", "async"])
async def test_a_worker_whose_clock_is_wrong(amazon: Aws, tmp_path: Path, mode: str) -> None:
    """Two hours ahead: neither its deadline nor its answer is taken for another time."""
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
    """Short-lived keys of a container are renewed for Lambda and for S3 alike, while chunks go on."""
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
