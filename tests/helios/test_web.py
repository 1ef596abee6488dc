"""Exchanges with servers that are not ours: one deadline, one size, one server; and addresses that mean one thing."""

import asyncio
import threading

import httpx
import pytest

from adapters.exchange import ask
from helios.errors import HeliosError, RequestError, WorkerUnavailableError
from helios.job.source import load_job_spec
from helios.web import fetch, fetch_while_awaited
from helios.web_urls import is_below, origin_of
from helios.worker.settings import WorkerSettings
from testbed.slow_server import ENDLESS, ENDLESS_REDIRECT, IN_BODY, IN_CHUNKS, IN_HEADERS, Talk, say, slow_server
from tests.command import until

SLOW = {"headers": IN_HEADERS, "body": IN_BODY, "chunks": IN_CHUNKS}


def exchanges() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "exchange"]


@pytest.mark.parametrize("talk", SLOW.values(), ids=SLOW)
def test_a_trickle_ends_at_the_deadline(talk: Talk) -> None:
    """A server that sends a byte now and then is left at the deadline, and the thread that read it ends."""
    with slow_server(talk) as (url, asked):
        with pytest.raises(WorkerUnavailableError, match=r"did not answer as a whole within 0\.5 s"):
            fetch(f"{url}/job.json", limit=10**6, seconds=0.5)
        assert len(asked) == 1
        until(lambda: not exchanges())


@pytest.mark.parametrize("talk", SLOW.values(), ids=SLOW)
async def test_a_trickle_ends_when_it_is_cancelled(talk: Talk) -> None:
    """A cancelled reader is gone at once, and so is its connection."""
    with slow_server(talk) as (url, asked):
        task = asyncio.create_task(fetch_while_awaited(f"{url}/job.json", limit=10**6))
        while not asked:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.to_thread(until, lambda: not exchanges())


def test_an_endless_answer_is_cut() -> None:
    """No more than the limit is read of an answer, and nothing of a redirect's body."""
    with slow_server(ENDLESS) as (url, _), pytest.raises(RequestError, match="more than 1000000 bytes"):
        fetch(f"{url}/job.json", limit=10**6)
    with slow_server(ENDLESS_REDIRECT) as (url, asked), pytest.raises(RequestError, match="on and on"):
        fetch(f"{url}/job.json", limit=10**6)
    assert len(asked) == 6


@pytest.mark.parametrize("talk", [*SLOW.values(), ENDLESS], ids=[*SLOW, "endless"])
async def test_the_answers_of_workers_are_bounded(talk: Talk) -> None:
    """The answer of a service has a deadline and a size too."""
    with slow_server(talk) as (url, _):
        async with httpx.AsyncClient() as client:
            with pytest.raises(httpx.TransportError):
                await ask(client, "POST", url, seconds=0.5, limit=10**6)


@pytest.mark.parametrize(
    "answer",
    [b"SSH-2.0-OpenSSH_9.2\r\n", b"\r\n\r\n", b"HTTP/1.1 999999 x\r\n\r\n", b"HTTP/1.1 200 OK\r\n" + b"a" * 100_000],
    ids=["ssh", "nothing", "status", "header"],
)
def test_what_is_no_http_is_told(answer: bytes) -> None:
    """A server that speaks something else is the environment's fault, in one line."""
    with slow_server(say(answer)) as (url, _), pytest.raises(WorkerUnavailableError, match="is the address right"):
        fetch(f"{url}/job.json", limit=1000)


def _redirect(target: str) -> Talk:
    return say(f"HTTP/1.1 302 Found\r\nLocation: {target}\r\nContent-Length: 0\r\n\r\n".encode())


@pytest.mark.parametrize("target", ["http://localhost:{port}/job.json", "ftp://127.0.0.1:{port}/job.json",
                                    "//localhost:{port}/job.json", "file:///etc/passwd", "http://u:p@127.0.0.1:{port}/",
                                    "https://127.0.0.1:{port}/job.json", "http://[::1"])  # fmt: skip
def test_a_redirect_stays_on_its_server(target: str) -> None:
    """A document is not fetched from where its server sends the reader: another server, or another kind of one."""
    with slow_server(say(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")) as (other, asked):
        port = other.rpartition(":")[2]
        with slow_server(_redirect(target.format(port=port))) as (url, _), pytest.raises(RequestError):
            load_job_spec(f"{url}/job.json")
    assert asked == []


def test_a_redirect_stays_below_the_prefixes() -> None:
    """A worker follows a redirect to a place that jobs may come from, and no other."""
    with slow_server(_redirect("/secret/job.json")) as (url, asked):
        check = WorkerSettings(job_prefixes=(f"{url}/jobs",)).check_place
        with pytest.raises(RequestError, match="takes no jobs from .*/secret/job.json"):
            fetch(f"{url}/jobs/job.json", limit=1000, check=check)
    assert len(asked) == 1


AMBIGUOUS = (
    "%2e%2e/x", ".%2E/x", "..;/x", "..;a=1/x", "%2e%2e;/x", "x\\..\\..\\y", "x%5c..%5cy", "%252e%252e/x", "%25252e/x",
    "a%2f..%2f..%2fx", "a%2F%2e%2e%2fx", "../x", "./x", "a/../../x", "a//x", "/x", "%2e", "...", ".. /x", "..%20/x",
    "%c0%ae%c0%ae/x", "%ff", "..%00/x", "a%0ab", "a\tb", "\uff0e\uff0e/x", "%ef%bc%8e%ef%bc%8e/x", "a b.json",
    "%E2%81%A5x/../y", "a\r\nHost: evil", "é.json", ";/x", "a/..;x/../b",
)  # fmt: skip


@pytest.mark.parametrize("rest", AMBIGUOUS)
def test_what_a_server_may_read_as_another_path_is_refused(rest: str) -> None:
    """A path that climbs out of the prefix on some servers is no place that jobs may come from."""
    settings = WorkerSettings(job_prefixes=("https://host/jobs",))
    with pytest.raises(RequestError):
        settings.check_place(f"https://host/jobs/{rest}")


@pytest.mark.parametrize(
    "url",
    ["https://host/jobs/a.json", "https://HOST/jobs/a", "https://host:443/jobs", "https://host/%6Aobs/a", "https://host/jobs/a%20b",
     "https://host/jobs/a.json?token=../x", "https://host/jobs/", "https://host/jobs/%C3%A9;v=1/..x"],
)  # fmt: skip
def test_what_lies_below_a_prefix(url: str) -> None:
    """The same place in another spelling lies below the prefix."""
    WorkerSettings(job_prefixes=("https://host/jobs",)).check_place(url)


@pytest.mark.parametrize(
    "url",
    ["http://host/jobs/a", "https://host:444/jobs/a", "https://host.evil/jobs/a", "https://host@evil/jobs/a",
     "https://evil/jobs/a", "https://host/jobsx/a", "https://host/Jobs/a", "https://host./jobs/a", "https://host%2eevil/jobs/a",
     "https://evil#@host/jobs/a", "https://evil\\@host/jobs/a", "https://xn--hst-sna/jobs/a", "https://hoſt/jobs/a"],
)  # fmt: skip
def test_what_lies_elsewhere(url: str) -> None:
    """Another server, or another folder, however it is spelt, is refused."""
    with pytest.raises(RequestError):
        WorkerSettings(job_prefixes=("https://host/jobs",)).check_place(url)


def test_one_form_of_each_server() -> None:
    """Servers are compared by name in small letters, port and number; numbers in unusual forms are refused."""
    assert origin_of("https://HOST.example:443/x") == origin_of("https://host.example")
    assert origin_of("http://[::1]/") == origin_of("http://[0:0:0:0:0:0:0:1]:80/")
    assert is_below("http://[::ffff:7f00:1]/a", "http://[::ffff:127.0.0.1]")
    for server in (
        "2130706433",
        "0x7f.1",
        "127.1",
        "0177.0.0.1",
        "[fe80::1%25eth0]",
        "h:99999",
        "h:8o",
        "",
        "h..x",
        "-x",
    ):
        with pytest.raises(RequestError):
            origin_of(f"http://{server}/")


@pytest.mark.parametrize("word", ["https://host/a b", "https://host/../x", "https://host/x?y=1", "https://u@host/"])
def test_prefixes_that_are_ambiguous(word: str) -> None:
    """A prefix that can't be compared is refused when the worker starts."""
    with pytest.raises(RequestError):
        WorkerSettings.from_environment({"HELIOS_JOB_PREFIXES": word})


def test_addresses_that_are_none() -> None:
    """A space, a line break, a port beyond all or a bracket that is not closed is told in one line."""
    for url in ("http://h/a b.json", "http://h/a\nb", "http://h:99999/x", "http://[::1/x", "http://", "http://h/\x7f"):
        with pytest.raises(HeliosError):
            load_job_spec(url)
