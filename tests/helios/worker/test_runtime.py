"""The worker runtime, with real processes and storage on disk."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from helios.errors import RequestError
from helios.job.assets import AssetBundle, list_name, select_assets, upload_assets
from helios.job.attempts import AttemptRecord, attempt_url
from helios.models.invocation import PROTOCOL, ChunkAnswer, ChunkRequest, Failure
from helios.models.verification import VerifyLevel
from helios.processes.attempt_folder import remove_abandoned
from helios.storage.folder import Storage
from helios.storage.stores import StorageSettings
from helios.storage.urls import join_url, split_url
from helios.worker.runtime import WorkerRuntime, read_request
from helios.worker.settings import WorkerSettings
from helios.worker.workspace import Workspace
from testbed.http_server import Answer, answering
from testbed.jobs import make_job
from testbed.video import Clip, read_numbers, write_clip
from tests.command import until
from tests.helios.worker.stored import store_command, store_job, store_script


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    """Storage on disk."""
    return Storage(StorageSettings(url=(tmp_path / "store").as_uri()))


@pytest.fixture
def settings(tmp_path: Path, storage: Storage) -> WorkerSettings:
    """Settings with short intervals for cancellation and grace."""
    return WorkerSettings(
        job_prefixes=(storage.url,), folder=tmp_path / "worker", grace_seconds=0.5, cancel_poll_seconds=0.1
    )


@pytest.fixture
def runtime(settings: WorkerSettings) -> WorkerRuntime:
    """A worker."""
    return WorkerRuntime(settings)


def request_for(url: str, **fields: Any) -> ChunkRequest:
    """A request as the adapters make it."""
    return ChunkRequest(job_path=url, attempt_url=attempt_url(url, 1), **fields)


def path_of(url: str) -> Path:
    """The file of a file URL."""
    return Path("/", split_url(url)[1])


def workspaces(settings: WorkerSettings) -> list[Path]:
    """The workspaces that exist."""
    return list((settings.folder / "workspaces").glob("*"))


async def test_a_chunk_is_rendered_verified_and_stored(
    runtime: WorkerRuntime, settings: WorkerSettings, storage: Storage
) -> None:
    """The answer has the output with its digest, the timings and the worker's identity; the workspace is removed."""
    url = store_job(storage, make_job((10, 10)))
    answer = await runtime.run(request_for(url, chunk_index=1))
    assert (answer.exit_code, answer.error, answer.frames) == (0, None, 10)
    assert answer.artifact is not None
    assert read_numbers(path_of(answer.artifact.url)) == list(range(10, 20))
    assert answer.timings is not None
    assert answer.timings.render_ms >= answer.duration_ms > 0
    assert answer.timings.boot_ms > 0
    assert answer.worker is not None
    assert answer.worker.protocol == PROTOCOL
    assert answer.worker.instance
    assert answer.to_result("the worker").rendered_by == answer.worker.rendered_by
    assert runtime.identity == answer.worker != WorkerRuntime(settings).identity
    assert answer.verified is VerifyLevel.DECODE
    assert workspaces(settings) == []


@pytest.mark.parametrize(
    ("script", "is_failure"),
    [("pass", False), ("import sys; sys.exit(3)", True), ("import os; os.kill(os.getpid(), 15)", True)],
)
async def test_a_command_that_is_ended_with_its_machine(
    settings: WorkerSettings, storage: Storage, script: str, is_failure: bool
) -> None:
    """Where the machine is being taken away, a command that fails did not fail by itself; one that is done is done."""
    ending = WorkerRuntime(replace(settings, is_ending=lambda: True))
    job = store_script(storage, script)
    assert job.job_url is not None
    answer = await ending.run(request_for(job.job_url))
    if not is_failure:
        assert (answer.exit_code, answer.error) == (0, None)
        return
    assert answer.error is not None
    assert answer.error.failure is Failure.UNAVAILABLE
    again = await WorkerRuntime(settings).run(request_for(store_script(storage, script).job_url or ""))
    assert again.exit_code != 0
    assert again.error is None


@pytest.mark.parametrize(
    ("document", "asked", "done"),
    [
        ({}, {"verify": "container"}, VerifyLevel.CONTAINER),
        ({"verify": "container"}, {}, VerifyLevel.CONTAINER),
        ({"verify": "container"}, {"verify": "decode"}, VerifyLevel.DECODE),
        ({}, {"verify": "a level of a later version"}, VerifyLevel.DECODE),
        ({}, {"verify": "pictures"}, VerifyLevel.PICTURES),
    ],
)
async def test_the_level_of_the_request_wins_over_that_of_the_document(
    runtime: WorkerRuntime, storage: Storage, document: dict[str, Any], asked: dict[str, Any], done: VerifyLevel
) -> None:
    """The answer states the level: the request's, else the document's, else the default."""
    url = store_job(storage, make_job([2], **document))
    answer = await runtime.run(request_for(url, **asked))
    assert (answer.exit_code, answer.verified) == (0, done)
    assert (answer.pictures is not None) == (done is VerifyLevel.PICTURES)
    assert answer.to_result("the worker").pictures == answer.pictures
    again = await runtime.run(request_for(store_job(storage, make_job((10,)))))
    assert again.timings is not None
    assert again.timings.boot_ms == 0, "it is warm"


async def test_a_command_that_fails(runtime: WorkerRuntime, settings: WorkerSettings, storage: Storage) -> None:
    """A failing command's answer has its exit code and the ends of its output; the whole output is in storage."""
    url = store_job(storage, make_job((10,), extra=["--misbehave", "exit:7"]))
    answer = await runtime.run(request_for(url))
    assert (answer.exit_code, answer.error, answer.artifact) == (7, None, None)
    assert answer.stdout == "about to fail\n"
    assert answer.stderr == "the scene can't be loaded: é\n"
    assert answer.log is not None
    lines = [json.loads(line) for line in path_of(answer.log.url).read_text().splitlines()]
    assert [(line["stream"], line["line"]) for line in lines] == [
        ("stdout", "about to fail"), ("stderr", "the scene can't be loaded: é"),
    ]  # fmt: skip
    assert workspaces(settings) == []


# tests/helios/media/test_verify.py has the wrong outputs of every kind.
SLOW_BAD = ("no-output", "empty", "long", "size", "rate")


@pytest.mark.parametrize(
    "how", ["garbage", "damaged", "short", *(pytest.param(how, marks=pytest.mark.slow) for how in SLOW_BAD)]
)
async def test_exit_code_0_is_not_enough(runtime: WorkerRuntime, storage: Storage, how: str) -> None:
    """An output that is not what was ordered is never uploaded."""
    answer = await runtime.run(request_for(store_job(storage, make_job((10,), extra=["--misbehave", how]))))
    assert answer.error is not None
    assert answer.error.kind is Failure.OUTPUT
    assert answer.artifact is None
    assert answer.exit_code == 1
    assert not list(path_of(storage.url).rglob("output*"))


async def test_a_timeout(runtime: WorkerRuntime, settings: WorkerSettings, storage: Storage, tmp_path: Path) -> None:
    """A command is stopped at its timeout, and the answer says after how long."""
    job = store_command(storage, "sh", "-c", "echo 'on it'; sleep 600")  # begins within a moment on any machine
    answer = await runtime.run(request_for(str(job.job_url), timeout_seconds=3))
    assert answer.error is not None
    assert answer.error.kind is Failure.TIMEOUT
    assert answer.exit_code == 124
    assert answer.error.message.endswith("its timeout of 3 s and was stopped. Its last lines:\n  on it")
    assert answer.log is not None
    assert workspaces(settings) == []


async def test_a_stall(runtime: WorkerRuntime, settings: WorkerSettings, storage: Storage) -> None:
    """A stalled command is stopped; the answer has its log and a kind of failure that older orchestrators know."""
    job = store_command(storage, "sh", "-c", "echo 'on it'; exec sleep 600")  # begins within a moment on any machine
    answer = await runtime.run(request_for(str(job.job_url), stall_seconds=3))
    assert answer.error is not None
    assert (answer.error.kind, answer.error.cause) == (Failure.COMMAND, Failure.STALLED)
    assert "printed nothing and out.mp4 did not change for 3 s" in answer.error.message
    assert answer.exit_code == 1
    assert answer.log is not None
    (line,) = path_of(answer.log.url).read_text().splitlines()
    assert json.loads(line)["line"] == "on it"
    assert workspaces(settings) == []


async def test_the_platform_s_deadline(settings: WorkerSettings, storage: Storage) -> None:
    """A worker stops its command before its platform kills it, and refuses a chunk if too little time is left."""
    runtime = WorkerRuntime(WorkerSettings(**{**settings.__dict__, "reserve_seconds": 2.0}))
    job = store_command(storage, "sleep", "600")
    answer = await runtime.run(request_for(str(job.job_url), timeout_seconds=500), remaining_seconds=5)
    assert answer.error is not None
    assert answer.error.kind is Failure.TIMEOUT
    assert "2 s before the end of the worker's own time limit" in answer.error.message
    late = await runtime.run(request_for(str(store_script(storage, "pass").job_url)), remaining_seconds=2.5)
    assert late.error is not None
    assert late.error.kind is Failure.UNAVAILABLE


async def test_a_cancelled_chunk_stops(
    runtime: WorkerRuntime, settings: WorkerSettings, storage: Storage, tmp_path: Path
) -> None:
    """A note in storage stops a chunk, or keeps it from starting, also on platforms that can't cancel."""
    job = store_script(
        storage, "import time, sys; open(sys.argv[1], 'w').close(); time.sleep(600)", str(tmp_path / "n")
    )
    request = request_for(str(job.job_url))
    record = AttemptRecord(storage, str(request.attempt_url))
    work = asyncio.create_task(runtime.run(request))
    await asyncio.to_thread(until, (tmp_path / "n").exists)
    assert await record.started() is not None
    await record.cancel()
    answer = await asyncio.wait_for(work, 120)
    assert answer.error is not None
    assert answer.error.message == "The chunk was cancelled"
    assert workspaces(settings) == []
    before = request_for(str(job.job_url)).model_copy(update={"attempt_url": attempt_url(str(job.job_url), 2)})
    await AttemptRecord(storage, str(before.attempt_url)).cancel()
    assert "before" in str((await runtime.run(before)).error)


async def test_delivered_twice_renders_once(runtime: WorkerRuntime, storage: Storage, tmp_path: Path) -> None:
    """A repeated request gets the first one's answer; of two concurrent executions one counts, and its output stays."""
    both = "while os.path.getsize(sys.argv[1]) < 2: time.sleep(0.05)"  # no execution ends before the other has begun
    script = f"import os, sys, time\nopen(sys.argv[1], 'ab').write(b'.')\n{both}"
    job = store_script(storage, script, str(tmp_path / "n"))
    request = request_for(str(job.job_url))
    first, second = await asyncio.gather(runtime.run(request), runtime.run(request))
    assert first.artifact == second.artifact
    assert (tmp_path / "n").read_bytes() == b".."
    third = await runtime.run(request)
    assert third.artifact == first.artifact
    assert (tmp_path / "n").read_bytes() == b"..", "the third did not render"
    assert len(list(path_of(storage.url).rglob("output.mp4"))) == 1


async def test_a_request_of_helios(runtime: WorkerRuntime, storage: Storage) -> None:
    """With jobPath and chunkIndex alone, the output lies beside the document, under its own name."""
    url = store_job(storage, make_job((10, 10)))
    answer = await runtime.run(read_request(json.dumps({"jobPath": url, "chunkIndex": 1})))
    assert answer.exit_code == 0
    assert read_numbers(path_of(url).parent / "chunk 1.mp4") == list(range(10, 20))


async def test_what_a_command_sees(settings: WorkerSettings, storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command sees the variables that job and deployment name, and never the worker's credentials."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush")
    monkeypatch.setenv("LICENCE", "42")
    for name in set(os.environ) - {"PATH", "LANG", "LICENCE", "AWS_SECRET_ACCESS_KEY"}:
        monkeypatch.delenv(name)
    runtime = WorkerRuntime(WorkerSettings(**{**settings.__dict__, "command_env": ("LICENCE",)}))
    job = store_script(storage, "import os, json; print(json.dumps(dict(os.environ)))")
    answer = await runtime.run(request_for(str(job.job_url), env={"QUALITY": "best"}))
    seen = json.loads(answer.stdout)
    assert (seen["LICENCE"], seen["QUALITY"]) == ("42", "best")
    assert not {name for name in seen if name.startswith(("AWS_", "GOOGLE_"))}
    assert set(seen) - {"LC_CTYPE"} == {
        "HELIOS_PROCESS_TREE", "HELIOS_WORKSPACE", "HOME", "LANG", "LICENCE", "PATH", "QUALITY", "TMPDIR",
    }  # fmt: skip


async def test_jobs_come_from_where_they_may(runtime: WorkerRuntime, storage: Storage, tmp_path: Path) -> None:
    """A document, a place for outputs or a list of assets that is not allowed is refused with the setting's name."""
    other = Storage(StorageSettings(url=f"{storage.url}-of-others"))
    foreign = store_job(other, make_job((1,)))
    own = store_job(storage, make_job((1,)))
    listed = store_job(storage, make_job((1,), assetsUrl=foreign))
    refused = [
        request_for(foreign),
        ChunkRequest(job_path=own, attempt_url=attempt_url(foreign, 1)),
        ChunkRequest(job_path="/etc/passwd"),
        ChunkRequest(job_path="http://127.0.0.1:9/job.json"),
        request_for(listed),
    ]
    for request in refused:
        answer = await runtime.run(request)
        assert answer.error is not None
        assert answer.error.kind is Failure.REQUEST
        assert "HELIOS_JOB_PREFIXES" in answer.error.message


async def test_a_document_within_a_request_is_for_callers_who_may_run_anything(
    runtime: WorkerRuntime, settings: WorkerSettings, storage: Storage
) -> None:
    """A worker that is bound to some places reads the document there, whatever the request says it is."""
    own = store_job(storage, make_job((1,)))
    first, second = (
        ChunkRequest(job_path=own, attempt_url=attempt_url(own, number), document='{"chunks": []}') for number in (1, 2)
    )
    answer = await runtime.run(first)
    assert answer.error is None
    answer = await WorkerRuntime(replace(settings, job_prefixes=None)).run(second)
    assert answer.error is not None
    assert "metadata" in answer.error.message


def test_without_prefixes_a_deployed_worker_takes_nothing() -> None:
    """Without prefixes every place is refused, unless the caller is trusted."""
    with pytest.raises(RequestError, match="allowed: none"):
        WorkerSettings.from_environment({}).check_place("s3://b/job.json")
    WorkerSettings.from_environment({}, trusted=True).check_place("s3://b/job.json")
    settings = WorkerSettings.from_environment({"HELIOS_JOB_PREFIXES": "s3://b/jobs, https://h/x, /mnt/jobs"})
    for place in ("s3://b/jobs/1", "https://h/x/job.json", "/mnt/jobs/1/job.json"):
        settings.check_place(place)
    for place in (
        "s3://b/jobs2/1",
        "https://h/xx",
        "https://h.evil/x/",
        "/mnt/jobs/../x",
        "/mnt/jobs2",
        "gs://b/jobs/1",
    ):
        with pytest.raises(RequestError, match="HELIOS_JOB_PREFIXES"):
            settings.check_place(place)


@pytest.mark.parametrize("name", ["CHUNKS_AT_ONCE", "GRACE_SECONDS", "RESERVE_SECONDS", "LOG_BYTES", "CHUNK_BYTES"])
def test_a_setting_that_is_no_number(name: str) -> None:
    """A setting that is not a valid number is refused with its name and value."""
    for value in ("many", "-1", "nan", "inf"):
        with pytest.raises(RequestError, match=f"HELIOS_{name} is '{value}'"):
            WorkerSettings.from_environment({f"HELIOS_{name}": value})


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("CHUNKS_AT_ONCE", "0", "HELIOS_CHUNKS_AT_ONCE is '0'; expected a whole number, 1 or more"),
        ("CHUNKS_AT_ONCE", "2.5", "expected a whole number"),
        (
            "JOB_PREFIXES",
            "s3://b/jobs, s3:/b",
            "HELIOS_JOB_PREFIXES has 's3:/b'; expected s3://, gs://, file://, https://",
        ),
        ("JOB_PREFIXES", "S3://b", "HELIOS_JOB_PREFIXES has 'S3://b'"),
        ("COMMAND_ENV", "PATH,TOKEN=4711", "HELIOS_COMMAND_ENV has 'TOKEN'…; expected names"),
        ("FOLDER", "/dev/null/here", "HELIOS_FOLDER is '/dev/null/here', which can't be used (Not a directory)"),
    ],
)
def test_a_setting_that_can_t_be(name: str, value: str, says: str) -> None:
    """A setting with which no chunk could be rendered is refused when the worker starts, and not with each chunk."""
    with pytest.raises(RequestError) as raised:
        WorkerSettings.from_environment({f"HELIOS_{name}": value})
    assert says in str(raised.value)
    assert "4711" not in str(raised.value)


async def test_a_disk_that_is_too_small(settings: WorkerSettings, storage: Storage) -> None:
    """A chunk that needs a larger disk is refused before it begins, as the environment's fault."""
    runtime = WorkerRuntime(WorkerSettings(**{**settings.__dict__, "chunk_bytes": 10**18}))
    answer = await runtime.run(request_for(store_job(storage, make_job((1,)))))
    assert answer.error is not None
    assert answer.error.kind is Failure.UNAVAILABLE
    assert "MiB free" in answer.error.message
    assert workspaces(settings) == []


async def test_a_newer_orchestrator(runtime: WorkerRuntime, storage: Storage) -> None:
    """A request in a newer protocol is refused as the request's fault, with its version."""
    request = read_request({"jobPath": f"{storage.url}/job.json", "protocol": PROTOCOL + 1, "newField": 1})
    answer = await runtime.run(request)
    assert answer.error is not None
    assert answer.error.kind is Failure.REQUEST
    assert f"in protocol {PROTOCOL + 1}" in answer.error.message


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"jobPath": ""}', '{"jobPath": "x", "chunkIndex": -1}', b"\xff"])
def test_what_is_no_request(text: str | bytes) -> None:
    """A text that is not a request is refused with what was expected."""
    with pytest.raises(RequestError, match="expected"):
        read_request(text)


async def test_missing_documents_and_chunks(runtime: WorkerRuntime, storage: Storage) -> None:
    """Missing documents, chunks and programs are the request's fault."""
    url = store_job(storage, make_job((1,)))
    for request in (request_for(url, chunk_index=5), request_for(join_url(storage.url, "jobs", "no.json"))):
        answer = await runtime.run(request)
        assert answer.error is not None
        assert answer.error.kind is Failure.REQUEST
    missing = store_command(storage, "helios-no-such-program")
    answer = await runtime.run(request_for(str(missing.job_url)))
    assert answer.error is not None
    assert answer.error.kind is Failure.REQUEST


async def test_a_flood_of_output(settings: WorkerSettings, storage: Storage) -> None:
    """With a flood of output the answer stays small, and the log is bounded and says how much is missing."""
    runtime = WorkerRuntime(WorkerSettings(**{**settings.__dict__, "log_bytes": 1_000_000}))
    url = store_job(storage, make_job((10,), extra=["--misbehave", "flood:3"]))
    answer = await runtime.run(request_for(url))
    assert answer.exit_code == 0
    assert len(answer.model_dump_json()) < 100_000
    assert answer.log is not None
    assert answer.log.bytes < 1_100_000
    assert "more lines were left out" in path_of(answer.log.url).read_text().splitlines()[-1]


async def test_a_job_from_a_web_server(settings: WorkerSettings, storage: Storage) -> None:
    """A job is read over HTTP where that is allowed; a redirect is followed to where that is allowed, too."""
    document = json.dumps(make_job((10,))).encode()

    def respond(_method: str, path: str, _headers: dict[str, str], _body: bytes) -> Answer:
        target = {"/jobs/moved.json": "/jobs/job.json", "/jobs/astray.json": "/job.json"}.get(path)
        return 302 if target else 200, {"location": target or ""}, document

    with answering(respond) as server:
        url = f"{server}/jobs"
        runtime = WorkerRuntime(WorkerSettings(**{**settings.__dict__, "job_prefixes": (url, storage.url)}))
        place = join_url(storage.url, "attempt")
        for number, name in enumerate(("job", "moved")):
            answer = await runtime.run(ChunkRequest(job_path=f"{url}/{name}.json", attempt_url=f"{place}-{number}"))
            assert answer.frames == 10
        for request, says in (
            (ChunkRequest(job_path=f"{url}/astray.json", attempt_url=f"{place}-2"), "takes no jobs from"),
            (ChunkRequest(job_path=f"{url}/job.json"), "add attemptUrl"),
        ):
            answer = await runtime.run(request)
            assert says in str(answer.error)


async def test_a_document_that_comes_with_its_request(settings: WorkerSettings, storage: Storage) -> None:
    """A worker whose callers may run anything reads the document that was sent, and does not look for it."""
    runtime = WorkerRuntime(replace(settings, job_prefixes=None))
    job = store_script(storage, "print('sent')")
    key = storage.key_of(str(job.job_url))
    document = (await storage.read(key) or b"").decode()
    await storage.write(key, b"not read")
    answer = await runtime.run(request_for(str(job.job_url), document=document))
    assert (answer.exit_code, answer.stdout.strip()) == (0, "sent")


# -- input files --


async def bundle_of(folder: Path, storage: Storage) -> str:
    """Upload a folder's files; return the URL of their list."""
    files = select_assets(folder, patterns=None, outputs=[])
    bundle = await upload_assets(files, directory=folder, storage=storage, known={})
    await storage.write("jobs/assets.json", bundle.model_dump_json().encode())
    return join_url(storage.url, "jobs", "assets.json")


async def test_a_list_of_input_files_is_kept_by_its_digest(
    runtime: WorkerRuntime, storage: Storage, tmp_path: Path
) -> None:
    """A list that has its digest for a name is fetched once for all chunks, and refused where it is another one."""
    (tmp_path / "scene").mkdir()
    (tmp_path / "scene" / "data.txt").write_text("one")
    data = await storage.read(storage.key_of(await bundle_of(tmp_path / "scene", storage))) or b""
    key = f"jobs/{list_name(data)}"
    await storage.write(key, data)
    url = storage.url_of(key)
    job = store_script(storage, "print(open('data.txt').read())")
    document = json.loads(path_of(str(job.job_url)).read_text())
    jobs = [store_job(storage, {**document, "assetsUrl": url}) for _ in range(3)]
    first = await asyncio.gather(*(runtime.run(request_for(job)) for job in jobs[:2]))
    await storage.write(key, b"{}")
    last = await runtime.run(request_for(jobs[2]))
    assert [answer.stdout.strip() for answer in (*first, last)] == ["one"] * 3
    answer = await WorkerRuntime(runtime.settings).run(request_for(store_job(storage, {**document, "assetsUrl": url})))
    assert "arrived damaged" in str(answer.error)


async def test_input_files_reach_the_command(
    runtime: WorkerRuntime, settings: WorkerSettings, storage: Storage, tmp_path: Path
) -> None:
    """Input files are at their paths, programs are executable, and files are fetched once while they don't change."""
    scene = tmp_path / "scene"
    (scene / "deep").mkdir(parents=True)
    (scene / "deep" / "data.txt").write_text("one")
    (scene / "tool").write_text("#!/bin/sh\necho tool says $(cat deep/data.txt)\n")
    (scene / "tool").chmod(0o755)
    url = await bundle_of(scene, storage)

    async def render() -> ChunkAnswer:
        job = store_script(storage, "import subprocess; print(subprocess.check_output('./tool').decode())")
        document = json.loads(path_of(str(job.job_url)).read_text())
        return await runtime.run(request_for(store_job(storage, {**document, "assetsUrl": url})))

    assert (await render()).stdout.strip() == "tool says one"
    kept = {path.name: path.stat().st_ino for path in (settings.folder / "assets").iterdir()}
    assert (await render()).stdout.strip() == "tool says one"
    assert {path.name: path.stat().st_ino for path in (settings.folder / "assets").iterdir()} == kept
    before = {entry.key async for entry in storage.entries("assets")}
    (scene / "deep" / "data.txt").write_text("two")
    await bundle_of(scene, storage)
    after = {entry.key async for entry in storage.entries("assets")}
    assert len(after - before) == 1, "a changed file uploads only itself"
    assert (await render()).stdout.strip() == "tool says two"


async def test_a_command_that_writes_to_its_input(runtime: WorkerRuntime, storage: Storage, tmp_path: Path) -> None:
    """After a command has changed its input, the next chunk gets the file as it was uploaded."""
    scene = tmp_path / "scene"
    scene.mkdir()
    (scene / "data").write_text("clean")
    url = await bundle_of(scene, storage)
    script = "import os; print(open('data').read()); os.chmod('data', 0o644); open('data', 'w').write('dirty')"
    for _ in range(2):
        job = store_script(storage, script)
        document = json.loads(path_of(str(job.job_url)).read_text())
        answer = await runtime.run(request_for(store_job(storage, {**document, "assetsUrl": url})))
        assert answer.stdout.strip() == "clean"


async def test_thousands_of_tiny_input_files(runtime: WorkerRuntime, storage: Storage, tmp_path: Path) -> None:
    """Thousands of files, most of them alike and one of them empty, are with the command."""
    scene = tmp_path / "scene"
    (scene / "cache").mkdir(parents=True)
    for number in range(2000):
        (scene / "cache" / f"{number:05d}.vdb").write_text(str(number % 7))
    (scene / "cache" / "empty.vdb").touch()
    url = await bundle_of(scene, storage)
    assert len([entry async for entry in storage.entries("assets")]) == 8, "one for each content"
    script = (
        "import os; names = os.listdir('cache'); print(len(names), sum(os.path.getsize(f'cache/{n}') for n in names))"
    )
    job = store_script(storage, script)
    document = json.loads(path_of(str(job.job_url)).read_text())
    answer = await runtime.run(request_for(store_job(storage, {**document, "assetsUrl": url})))
    assert answer.stdout.strip() == "2001 2000"


async def test_a_folder_of_input_files(runtime: WorkerRuntime, storage: Storage) -> None:
    """If assetsUrl is a folder in storage, a chunk gets everything below it; an empty folder is refused."""
    await storage.write("inputs/deep/data", b"found")
    await storage.write("inputs-of-others/data", b"x")
    job = store_script(storage, "import os; print(open('deep/data').read(), sorted(os.listdir()))")
    document = json.loads(path_of(str(job.job_url)).read_text())
    url = store_job(storage, {**document, "assetsUrl": join_url(storage.url, "inputs")})
    answer = await runtime.run(request_for(url))
    assert answer.stdout.strip() == "found ['deep', 'out.mp4']"
    empty = store_job(storage, {**document, "assetsUrl": join_url(storage.url, "nothing")})
    answer = await runtime.run(request_for(empty))
    assert "no input files below" in str(answer.error)


async def test_an_input_file_with_the_output_s_name(runtime: WorkerRuntime, storage: Storage, tmp_path: Path) -> None:
    """An input file that is called like the output is not taken for it when the command writes nothing."""
    scene = tmp_path / "scene"
    scene.mkdir()
    write_clip(scene / "out.mp4", Clip(), start=0, count=1)
    job = store_command(storage, "true")
    document = json.loads(path_of(str(job.job_url)).read_text())
    url = store_job(storage, {**document, "assetsUrl": await bundle_of(scene, storage)})
    answer = await runtime.run(request_for(url))
    assert answer.artifact is None
    assert "out.mp4 was not written" in str(answer.error)


async def test_an_attempt_in_a_folder_of_others(runtime: WorkerRuntime, storage: Storage) -> None:
    """A caller names a folder that is not his as the attempt's, and the job goes away: what the worker wrote goes."""
    await storage.write("jobs/theirs/output.mp4", b"theirs")
    await storage.write("jobs/theirs/deep/notes", b"theirs")
    script = (
        f"import pathlib; [path.unlink() for path in pathlib.Path({str(path_of(storage.url))!r}).rglob('job.json')]"
    )
    job = store_script(storage, script)
    await runtime.run(ChunkRequest(job_path=str(job.job_url), attempt_url=join_url(storage.url, "jobs", "theirs")))
    assert await storage.size(storage.key_of(str(job.job_url))) is None
    left = {entry.key for entry in [entry async for entry in storage.entries("jobs")]}
    assert left == {"jobs/theirs/output.mp4", "jobs/theirs/deep/notes"}


async def test_a_bundle_that_leaves_the_workspace(runtime: WorkerRuntime, storage: Storage) -> None:
    """A list of assets with a path outside the workspace is refused."""
    evil = {"storageUrl": storage.url, "assets": [{"path": "../evil", "sha256": "0" * 64, "bytes": 1}]}
    await storage.write("jobs/evil.json", json.dumps(evil).encode())
    url = store_job(storage, make_job((1,), assetsUrl=join_url(storage.url, "jobs", "evil.json")))
    answer = await runtime.run(request_for(url))
    assert answer.error is not None
    assert answer.error.kind is Failure.REQUEST


def test_what_a_job_directory_uploads(tmp_path: Path) -> None:
    """All but outputs and dot files is uploaded, or what patterns find; a pattern that finds nothing is refused."""
    for name in ("scene/a.txt", "scene/b.png", "out.mp4", ".env", ".git/config", "data.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)

    def selected(*patterns: str) -> list[str]:
        found = select_assets(tmp_path, patterns=patterns or None, outputs=[tmp_path / "out.mp4"])
        return [path.relative_to(tmp_path).as_posix() for path in found.files]

    assert selected() == ["data.json", "scene/a.txt", "scene/b.png"]
    assert selected("scene") == selected("scene/**") == ["scene/a.txt", "scene/b.png"]
    assert selected("**/*.png", "data.json") == ["scene/b.png", "data.json"]
    assert selected(".env") == [".env"]
    for wrong in ("*.exr", "../x", "/etc/*"):
        with pytest.raises(RequestError, match="assets pattern"):
            selected(wrong)
    for target in ("/etc/hostname", "/etc"):
        (tmp_path / "link").symlink_to(target)
        with pytest.raises(RequestError, match=f"{tmp_path}/link is, .* leads out of the job directory, to {target}"):
            selected()
        (tmp_path / "link").unlink()


def test_links_to_folders_are_followed(tmp_path: Path) -> None:
    """Files behind links to folders are uploaded under the names that commands read; a circle of links has an end."""
    (tmp_path / "models/v1").mkdir(parents=True)
    (tmp_path / "models/v1/chair.txt").write_text("chair")
    (tmp_path / "models/v1/out.mp4").write_text("an output")
    (tmp_path / "current").symlink_to("models/v1")
    (tmp_path / "models/v1/again").symlink_to("..")
    (tmp_path / "notes").symlink_to(".helios")
    (tmp_path / ".helios").mkdir()
    (tmp_path / ".helios/digests.json").write_text("{}")

    def selected(*patterns: str) -> list[str]:
        written = [tmp_path / "models/v1/out.mp4"]
        found = select_assets(tmp_path, patterns=patterns or None, outputs=written)
        return [path.relative_to(tmp_path).as_posix() for path in found.files]

    assert set(selected()) == {"current/chair.txt", "models/v1/chair.txt"}
    for pattern in ("current", "current/**", "current/*.txt", "cur*/*.txt"):
        assert "current/chair.txt" in selected(pattern), pattern
    assert "current/chair.txt" in selected("**/*.txt")


def test_what_is_not_uploaded_is_said(tmp_path: Path) -> None:
    """Names that begin with a dot, broken links, and what is no file are named; a name that is not UTF-8 is refused."""
    for folder in (".git", "scene/.cache", "__pycache__"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "scene/a.txt").write_text("a")
    (tmp_path / ".env").write_text("x")
    (tmp_path / "gone").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe")
    found = select_assets(tmp_path, patterns=None, outputs=[])
    assert [path.name for path in found.files] == ["a.txt"]
    assert all(name in found.left_out[0] for name in (".git", ".env", "scene/.cache", "__pycache__"))
    assert any("gone: a link that leads to nothing" in line for line in found.left_out)
    assert any("pipe: neither a file nor a folder" in line for line in found.left_out)
    with open(os.fsencode(tmp_path / "scene") + b"/\xff.txt", "wb"):
        pass
    with pytest.raises(RequestError, match="not UTF-8"):
        select_assets(tmp_path, patterns=None, outputs=[])


async def test_folders_without_files_are_on_the_worker_too(
    runtime: WorkerRuntime, storage: Storage, tmp_path: Path
) -> None:
    """A folder that is empty, or holds only what is not uploaded, is empty on the worker."""
    scene = tmp_path / "scene"
    for folder in ("empty/deep", "hidden/.git", "full"):
        (scene / folder).mkdir(parents=True)
    (scene / "full/data").write_text("x")
    url = await bundle_of(scene, storage)
    script = "import os; print(sorted((name, *files) for name, _, files in os.walk('.') if name != '.'))"
    job = store_script(storage, script)
    document = json.loads(path_of(str(job.job_url)).read_text())
    answer = await runtime.run(request_for(store_job(storage, {**document, "assetsUrl": url})))
    expected = [("./empty",), ("./empty/deep",), ("./full", "data"), ("./hidden",)]
    assert answer.stdout.strip() == str(expected)


# -- workers that die --


def test_a_killed_worker_s_workspace_goes_with_the_next_one(
    settings: WorkerSettings, storage: Storage, tmp_path: Path
) -> None:
    """Files and processes that a killed worker left are removed by the next worker."""
    job = store_script(
        storage, "import time, sys; open(sys.argv[1], 'w').close(); time.sleep(600)", str(tmp_path / "begun")
    )
    environment = {**os.environ, "HELIOS_FOLDER": str(settings.folder), "PYTHONPATH": str(Path(__file__).parents[3])}
    worker = subprocess.Popen(
        [sys.executable, "-m", "helios.worker", "chunk", str(job.job_url), "0"],
        env=environment, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    until((tmp_path / "begun").exists)
    left = psutil.Process(worker.pid).children(recursive=True)  # guardian, warden, command; what reads outputs
    assert len(left) >= 4
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    assert any(process.is_running() for process in left)
    assert len(workspaces(settings)) == 1
    with Workspace(settings.folder) as mine:
        assert workspaces(settings) == [mine.path]
        assert remove_abandoned(settings.folder / "workspaces") == 0, "a workspace in use is left alone"
    assert workspaces(settings) == []
    _, alive = psutil.wait_procs(left, timeout=60)
    assert alive == []


def test_sigterm_is_reported(settings: WorkerSettings, storage: Storage, tmp_path: Path) -> None:
    """A worker that its platform ends stops its command, and reports that in its answer and in storage."""
    job = store_script(
        storage, "import time, sys; open(sys.argv[1], 'w').close(); time.sleep(600)", str(tmp_path / "begun")
    )
    place = attempt_url(str(job.job_url), 1)
    worker = subprocess.Popen(
        [sys.executable, "-m", "helios.worker", "chunk", str(job.job_url), "0", "--attempt-url", place],
        env={**os.environ, "HELIOS_FOLDER": str(settings.folder), "HELIOS_GRACE_SECONDS": "1"},
        stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[3],
    )  # fmt: skip
    until((tmp_path / "begun").exists)
    worker.terminate()
    out, _ = worker.communicate(timeout=120)
    assert worker.returncode == 1
    assert "stopped by its platform" in ChunkAnswer.model_validate_json(out).stderr
    recorded = ChunkAnswer.model_validate_json((path_of(place) / "result.json").read_text())
    assert recorded.error is not None
    assert recorded.error.kind is Failure.UNAVAILABLE
    assert workspaces(settings) == []


@pytest.mark.slow
def test_the_command_line(settings: WorkerSettings, storage: Storage, tmp_path: Path) -> None:
    """`chunk` and `batch` answer in one line of JSON; the exit code tells a rendered, a failed and a refused chunk."""
    url = store_job(storage, make_job((10, 10)))
    environment = {**os.environ, "HELIOS_FOLDER": str(settings.folder)}

    def worker(*words: str, **variables: str) -> tuple[int, ChunkAnswer]:
        done = subprocess.run(
            [sys.executable, "-m", "helios.worker", *words], env={**environment, **variables},
            capture_output=True, text=True, check=False, timeout=300, cwd=Path(__file__).parents[3],
        )  # fmt: skip
        return done.returncode, ChunkAnswer.model_validate_json(done.stdout)

    assert worker("chunk", str(path_of(url)), "1")[0] == 0
    assert worker("chunk", url, "2")[0] == 2
    failing = store_job(storage, make_job((10,), extra=["--misbehave", "exit:3"]))
    code, answer = worker("chunk", failing, "0")
    assert (code, answer.exit_code) == (1, 3)
    batch = tmp_path / "store" / "batch.json"
    requests = [request_for(url, chunk_index=0), request_for(failing)]
    batch.write_text(json.dumps([request.model_dump(mode="json", exclude_none=True) for request in requests]))
    allowed = {"HELIOS_JOB_PREFIXES": storage.url}
    assert worker("batch", batch.as_uri(), CLOUD_RUN_TASK_INDEX="0", **allowed)[0] == 0
    assert worker("batch", batch.as_uri(), AWS_BATCH_JOB_ARRAY_INDEX="1", **allowed)[1].exit_code == 3
    assert worker("batch", batch.as_uri(), "7", **allowed)[0] == 2
    assert worker("batch", batch.as_uri(), "0")[0] == 2, "without prefixes nothing is allowed"


def test_a_bundle_is_read_as_it_is_written(tmp_path: Path) -> None:
    """A bundle is written with field names in camelCase."""
    bundle = AssetBundle.model_validate({"storage_url": "s3://b", "assets": []})
    assert json.loads(bundle.model_dump_json()) == {"storageUrl": "s3://b", "assets": []}
