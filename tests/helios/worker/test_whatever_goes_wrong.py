"""Whatever goes wrong, a worker answers once, in JSON, with the kind of the failure and what to do."""

import argparse
import asyncio
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from helios.errors import Failure
from helios.job.attempts import attempt_url, read_answer
from helios.models.invocation import ChunkAnswer
from helios.storage.folder import Storage
from helios.storage.stores import StorageSettings
from helios.worker import aws_lambda
from helios.worker.__main__ import _answer
from helios.worker.cloud_run import create_app
from helios.worker.runtime import WorkerRuntime
from helios.worker.settings import WorkerSettings
from testbed.jobs import make_job
from testbed.slow_server import IN_BODY, say, slow_server
from tests.helios.worker.stored import store_job, store_script, wait_for

NOTHING = hashlib.sha256(b"").hexdigest()


@pytest.fixture
def storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Storage:
    """Storage, and a worker that takes jobs from it and from loopback."""
    storage = Storage(StorageSettings(url=(tmp_path / "store").as_uri()))
    monkeypatch.setenv("HELIOS_FOLDER", str(tmp_path / "worker"))
    monkeypatch.setenv("HELIOS_JOB_PREFIXES", f"{storage.url},/,http://127.0.0.1,http://h")
    monkeypatch.setattr(aws_lambda, "_runtime", None)
    return storage


class Context:
    """Lambda's."""

    def get_remaining_time_in_millis(self) -> int:
        """Half a minute, of which the worker keeps a third."""
        return 30_000


async def by_http(body: bytes, _folder: Path) -> ChunkAnswer:
    """Ask the service."""
    app = create_app(WorkerRuntime(WorkerSettings.from_environment()))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://worker") as client:
        answer = await client.post("/", content=body)
    assert answer.headers["content-type"] == "application/json"
    assert answer.status_code in (200, 400, 503)
    return ChunkAnswer.model_validate_json(answer.content)


async def by_lambda(body: bytes, _folder: Path) -> ChunkAnswer:
    """Call the handler, as Lambda's HTTP integrations do."""
    answer = await asyncio.to_thread(aws_lambda.handler, {"body": body.decode()}, Context())
    return read_answer(json.dumps(answer), source="the function")


async def by_job(body: bytes, folder: Path) -> ChunkAnswer:
    """Render one of a batch, as a Cloud Run job does."""
    batch = folder / "store" / "batch.json"
    batch.write_bytes(b"[" + body + b"]")
    return await _answer(argparse.Namespace(action="batch", url=batch.as_uri(), index=0))


ENTRIES = {"http": by_http, "lambda": by_lambda, "job": by_job}


def with_assets(storage: Storage, *paths: str, output: str = "out.mp4") -> str:
    """A job with empty input files at some paths; its URL."""
    url = storage.url_of("list.json")
    wait_for(storage.write(f"assets/{NOTHING}", b""))
    assets = [{"path": path, "sha256": NOTHING, "bytes": 0} for path in paths]
    wait_for(storage.write("list.json", json.dumps({"storageUrl": storage.url, "assets": assets}).encode()))
    job = make_job([1], assetsUrl=url)
    job["chunks"][0]["outputFile"] = output
    return store_job(storage, job)


def asset_list(storage: Storage, text: bytes) -> str:
    """A job whose list of input files is a text; its URL."""
    wait_for(storage.write("list.json", text))
    return store_job(storage, make_job([1], assetsUrl=storage.url_of("list.json")))


def stored(storage: Storage, text: bytes) -> str:
    """A document that is a text; its URL."""
    wait_for(storage.write("text.json", text))
    return storage.url_of("text.json")


def with_variable(storage: Storage, value: str) -> bytes:
    """A request with a variable."""
    return json.dumps({"jobPath": store_script(storage, "pass").job_url, "env": {"A": value}}).encode()


DEEP = b"[" * 100_000 + b"]" * 100_000
CASES: dict[str, tuple[Callable[[Storage], str | bytes], Failure, str]] = {
    "a file twice": (lambda s: with_assets(s, "a", "./a"), Failure.REQUEST, "'a' twice"),
    "a file in a file": (lambda s: with_assets(s, "a", "a/b"), Failure.REQUEST, "'a' is where 'a/b' needs a folder"),
    "a file for a folder": (lambda s: with_assets(s, "a", output="a/out.mp4"), Failure.REQUEST, "needs a folder"),
    "NUL in a file's name": (lambda s: with_assets(s, "a\0b"), Failure.REQUEST, "assets[0].path"),
    "a deep list": (lambda s: asset_list(s, DEEP), Failure.REQUEST, "inside each other"),
    "a list that is none": (lambda s: asset_list(s, b"\xff{"), Failure.REQUEST, "not a list of input files"),
    "a deep document": (lambda s: stored(s, DEEP), Failure.REQUEST, "inside each other"),
    "NUL in a path": (lambda _: "/tmp/a\0b", Failure.REQUEST, "NUL"),
    "half of a character": (lambda _: b'{"jobPath": "/tmp/\\ud800"}', Failure.REQUEST, ""),
    "a space in an address": (lambda _: "http://h/a b.json", Failure.REQUEST, "%20"),
    "an open bracket": (lambda _: "http://[::1/a", Failure.REQUEST, "ambiguous"),
    "a deep request": (lambda _: b'{"jobPath": ' + DEEP + b"}", Failure.REQUEST, ""),
    "a long number": (lambda _: b'{"jobPath": "x", "chunkIndex": ' + b"9" * 5000 + b"}", Failure.REQUEST, ""),
    "no object": (lambda _: b"17", Failure.REQUEST, ""),
    "NUL in a variable": (lambda s: with_variable(s, "a\0b"), Failure.REQUEST, ""),
}  # fmt: skip


@pytest.mark.parametrize("entry", [*ENTRIES])
@pytest.mark.parametrize("case", [*CASES])
async def test_what_is_wrong_is_answered(storage: Storage, tmp_path: Path, entry: str, case: str) -> None:
    """Names, lists and texts that are wrong are the request's fault, by whichever entry they come."""
    make, kind, said = CASES[case]
    found = make(storage)
    if isinstance(found, str):
        found = json.dumps({"jobPath": found, "attemptUrl": attempt_url(storage.url_of("jobs/job.json"), 1)}).encode()
    answer = await ENTRIES[entry](found, tmp_path)
    assert answer.error is not None
    assert (answer.error.failure, answer.exit_code) == (kind, 1), answer.error
    assert said in answer.error.message


@pytest.mark.parametrize("entry", [*ENTRIES])
async def test_a_server_that_speaks_something_else(storage: Storage, tmp_path: Path, entry: str) -> None:
    """A junk status line of the job's server is the environment's fault, and named."""
    with slow_server(say(b"SSH-2.0-OpenSSH_9.2\r\n")) as (url, _):
        job = {"jobPath": f"{url}/job.json", "attemptUrl": storage.url_of("attempt")}
        answer = await _ask_below(url, ENTRIES[entry], json.dumps(job).encode(), tmp_path)
    assert answer.error is not None
    assert answer.error.failure is Failure.UNAVAILABLE
    assert "SSH-2.0" in answer.error.message


async def _ask_below(
    url: str, entry: Callable[[bytes, Path], Awaitable[ChunkAnswer]], body: bytes, folder: Path
) -> ChunkAnswer:
    """Ask a worker that takes jobs from one more server."""
    os.environ["HELIOS_JOB_PREFIXES"] += f",{url}"
    return await entry(body, folder)


async def test_a_workspace_that_is_removed(storage: Storage, tmp_path: Path) -> None:
    """A command that removes its workspace has written no output; the worker goes on."""
    job = store_script(storage, "import os, shutil; shutil.rmtree(os.path.dirname(os.getcwd()))")
    request = {"jobPath": job.job_url, "attemptUrl": attempt_url(str(job.job_url), 1)}
    answer = await by_http(json.dumps(request).encode(), tmp_path)
    assert answer.error is not None
    assert answer.error.failure in (Failure.OUTPUT, Failure.UNAVAILABLE)
    assert answer.error.message
    job = store_script(storage, "print('hello')")
    request = {"jobPath": job.job_url, "attemptUrl": attempt_url(str(job.job_url), 1)}
    assert (await by_http(json.dumps(request).encode(), tmp_path)).stdout == "hello\n"


async def test_sigterm_while_the_job_trickles(storage: Storage, tmp_path: Path) -> None:
    """A worker that waits for a document which never ends is gone soon after SIGTERM, with an answer."""
    with slow_server(IN_BODY) as (url, asked):
        worker = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "helios.worker",
            "chunk", f"{url}/job.json", "0", "--attempt-url", storage.url_of("a"),
            stdout=subprocess.PIPE, cwd=Path(__file__).parents[3], env={**os.environ, "HELIOS_JOB_PREFIXES": ""},
        )  # fmt: skip
        while not asked:
            await asyncio.sleep(0.05)
        worker.terminate()
        out, _ = await worker.communicate()
        assert worker.returncode == 1
        assert b"stopped by its platform" in out


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB and few files."""
    place = tmp_path / "disk"
    place.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=1m,nr_inodes=40", "helios-test", str(place)]
    if subprocess.run(words, capture_output=True, check=False).returncode != 0:
        pytest.skip("no file system can be mounted here")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


FILL = """
import itertools, os, sys
print("before", flush=True)
try:
    with open("fill", "wb") as file:
        while True: file.write(b"x" * 4096); file.flush()
except OSError as exc:
    print("after", exc, flush=True)
sys.exit(3)
"""


async def test_a_full_disk(storage: Storage, small_disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a full disk the answer has what the command printed; without room for a file at all, it says so."""
    monkeypatch.setenv("HELIOS_FOLDER", str(small_disk / "worker"))
    monkeypatch.setenv("HELIOS_CHUNK_BYTES", "0")
    job = store_script(storage, FILL)
    request = {"jobPath": job.job_url, "attemptUrl": attempt_url(str(job.job_url), 1)}
    answer = await by_http(json.dumps(request).encode(), tmp_path)
    assert (answer.exit_code, answer.error) == (3, None)
    assert answer.stdout.startswith("before\nafter [Errno 28]")
    for number in range(40):  # no room for a further file
        try:
            (small_disk / str(number)).touch()
        except OSError:
            break
    answer = await by_http(json.dumps(request | {"attemptUrl": storage.url_of("again")}).encode(), tmp_path)
    assert answer.error is not None
    assert answer.error.failure is Failure.UNAVAILABLE
    assert "No space left" in answer.error.message


async def test_a_full_store(small_disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the output does not fit into storage, or not even a record does, the answer says so."""
    monkeypatch.setenv("HELIOS_FOLDER", str(tmp_path / "worker"))
    storage = Storage(StorageSettings(url=(small_disk / "store").as_uri()))
    monkeypatch.setenv("HELIOS_JOB_PREFIXES", storage.url)
    url = store_job(storage, make_job([1]))
    with suppress(OSError), open(small_disk / "fill", "wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)
    answer = await by_http(json.dumps({"jobPath": url, "attemptUrl": attempt_url(url, 1)}).encode(), tmp_path)
    assert answer.error is not None
    assert answer.error.failure is Failure.UNAVAILABLE
    assert "No space left" in answer.error.message
    assert "make room" in answer.error.message
