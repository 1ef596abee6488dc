"""Servers of storage that never come to an end: each exchange has a deadline, and none holds a process."""

import asyncio
import os
import signal
import subprocess
import threading
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from helios.errors import WorkerUnavailableError
from helios.storage import exchanges
from helios.storage.exchanges import Exchange, Exchanges, UnansweredError
from helios.storage.folder import Storage
from helios.storage.stores import StorageSettings
from testbed.slow_server import IN_HEADERS, Talk, flood, slow_server, trickle
from tests.command import HELIOS_JOB, until

OBJECT = (
    b'HTTP/1.1 200 OK\r\nETag: "a"\r\nLast-Modified: Fri, 27 Nov 2026 08:00:00 GMT\r\n'
    b"Content-Length: 1000000000\r\n\r\n"
)
IN_BODY = trickle(OBJECT)
ENDLESS = flood(OBJECT)
MEETINGS: dict[str, tuple[Talk, Callable[[Storage, Path], Awaitable[Any]]]] = {
    "a document": (trickle(OBJECT.replace(b"1000000000", b"1000000")), lambda storage, _: storage.read("a")),
    "a document's headers": (IN_HEADERS, lambda storage, _: storage.read("a")),
    "a probe": (IN_HEADERS, lambda storage, _: storage.size("a")),
    "a record": (IN_HEADERS, lambda storage, _: storage.write("a", b"record")),
    "a listing": (trickle(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"), lambda storage, _: _first(storage)),
    "a removal": (IN_HEADERS, lambda storage, _: storage.delete("a")),
    "a download": (IN_BODY, lambda storage, folder: storage.download("a", folder / "a")),
    "an upload": (IN_HEADERS, lambda storage, folder: storage.upload(folder / "file", "a")),
}


async def _first(storage: Storage) -> list[Any]:
    return [entry async for entry in storage.entries()]


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")


def storage_at(url: str) -> Storage:
    return Storage(StorageSettings(url="s3://bucket/folder", endpoint=url, region="us-east-1"))


@pytest.mark.parametrize("meeting", MEETINGS)
async def test_a_trickle_ends_at_the_deadline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, meeting: str) -> None:
    """An exchange that sends a byte now and then is left at its deadline, once, and leaves no file."""
    monkeypatch.setattr(exchanges, "ANSWER_SECONDS", 0.5)
    (tmp_path / "file").write_bytes(b"content")
    talk, work = MEETINGS[meeting]
    with slow_server(talk) as (url, asked):
        with pytest.raises(UnansweredError, match=r"s3://bucket/folder.* did not answer as a whole within \d+ s"):
            await work(storage_at(url), tmp_path)
        assert len(asked) == 1
        assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("meeting", ["a document's headers", "a download", "an upload"])
async def test_a_cancelled_exchange_is_left_at_once(tmp_path: Path, meeting: str) -> None:
    """Who is cancelled goes at once; a download's thread ends at the next bytes."""
    (tmp_path / "file").write_bytes(b"content")
    talk, work = MEETINGS[meeting]
    with slow_server(talk) as (url, asked):
        task = asyncio.ensure_future(work(storage_at(url), tmp_path))
        while not asked:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert os.listdir(tmp_path) == ["file"]
        if meeting == "a download":
            await asyncio.to_thread(until, lambda: all(one.name != "transfer" for one in threading.enumerate()))


async def test_the_deadline_grows_with_the_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A download that goes on is not left at the deadline of an answer; and no more is read than is expected."""
    monkeypatch.setattr(exchanges, "ANSWER_SECONDS", 0.0)
    monkeypatch.setattr(exchanges, "LEAST_BYTES_PER_SECOND", 1000)
    exchange = Exchange("s3://bucket/a")
    exchange.bytes = 3000
    assert 2 < exchange.seconds_left <= 3
    monkeypatch.undo()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    with slow_server(ENDLESS) as (url, _):
        arrived = await storage_at(url).download("a", tmp_path / "a", most=10**6)
    assert 10**6 < arrived.bytes < 10**8


async def test_what_is_left_takes_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exchanges that were left do not keep later ones waiting; those that are in time do."""
    monkeypatch.setattr(exchanges, "ANSWER_SECONDS", 0.2)
    threads, hung, running = Exchanges(2, "few"), threading.Event(), list[int]()
    hangs = [threads.run(Exchange("s3://bucket/a"), hung.wait) for _ in range(4)]
    found = await asyncio.gather(*hangs, return_exceptions=True)
    assert [type(one) for one in found] == [UnansweredError] * 4
    monkeypatch.setattr(exchanges, "ANSWER_SECONDS", 60)
    gate = threading.Event()

    def wait(number: int) -> int:
        running.append(number)
        gate.wait(60)
        return number

    more = [asyncio.ensure_future(threads.run(Exchange("s3://bucket/a"), partial(wait, n))) for n in range(4)]
    while len(running) < 2:
        await asyncio.sleep(0.01)
    assert len(running) == 2
    gate.set()
    assert await asyncio.gather(*more) == [0, 1, 2, 3]
    hung.set()
    await asyncio.to_thread(until, lambda: all(one.name != "few" for one in threading.enumerate()))


@pytest.mark.parametrize("talk", [IN_HEADERS, pytest.param(IN_BODY, marks=pytest.mark.slow)], ids=["headers", "body"])
def test_no_process_waits_for_what_was_left(talk: Talk) -> None:
    """A command that reads its document from storage which trickles ends soon after Ctrl-C."""
    with slow_server(talk) as (url, asked):
        environment = {**os.environ, "AWS_ENDPOINT_URL_S3": url, "AWS_REGION": "us-east-1"}
        words = [HELIOS_JOB, "validate", "s3://bucket/job.json"]
        process = subprocess.Popen(words, env=environment, stderr=subprocess.PIPE, text=True)
        until(lambda: asked)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=50)  # the deadline of an answer is 60 s
    assert process.returncode in {-signal.SIGINT, 128 + signal.SIGINT, 1}
    assert "Traceback" not in errors


async def test_a_dead_server_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that refuses connections is asked again, as before: it is not one that does not answer in time."""
    monkeypatch.setattr("helios.storage.persistent.PAUSES_SECONDS", (0.01,))
    with pytest.raises(WorkerUnavailableError) as caught:
        await storage_at("http://127.0.0.1:9").read("a")
    assert not isinstance(caught.value, UnansweredError)
