"""Reading a job document from a path, a URL or an object, and the errors when there is none."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from helios.errors import RequestError, SpecError, WorkerUnavailableError
from helios.job.source import MAX_DOCUMENT_BYTES, check_assets_url, load_job_spec, parse_job_spec
from testbed.http_server import Answer, answering
from testbed.jobs import make_job, write_job


def respond(_method: str, path: str, _headers: dict[str, str], _body: bytes) -> Answer:
    """Answer with a job document, an HTML page, or an error."""
    answers = {
        "/job.json": (200, "application/json", json.dumps(make_job()).encode()),
        "/page": (200, "text/html", b"<!doctype html><title>Sign in</title>"),
        "/down": (503, "text/plain", b"later"),
    }
    status, kind, body = answers.get(path, (404, "text/html", b"<h1>Not found</h1>"))
    return status, {"content-type": kind}, body


@pytest.fixture
def site() -> Iterator[str]:
    with answering(respond) as url:
        yield url


def test_reads_a_path_a_url_and_an_object(tmp_path: Path, site: str) -> None:
    """The same document is the same job wherever it comes from."""
    job = make_job()
    from_path = load_job_spec(str(write_job(tmp_path, job)))
    assert from_path == load_job_spec(job) == load_job_spec(f"{site}/job.json")


def test_a_url_without_a_document(site: str) -> None:
    """404 and a page instead of a document are wrong requests; a server in trouble may answer later."""
    with pytest.raises(RequestError, match="answered 404 Not Found"):
        load_job_spec(f"{site}/nothing")
    with pytest.raises(SpecError, match="not JSON .*<!doctype html>"):
        load_job_spec(f"{site}/page")
    with pytest.raises(WorkerUnavailableError, match="503"):
        load_job_spec(f"{site}/down")


def test_a_url_that_nobody_answers() -> None:
    """A URL that refuses the connection is the environment's fault."""
    with pytest.raises(WorkerUnavailableError, match="cannot be fetched"):
        load_job_spec("http://127.0.0.1:9/job.json")


def test_a_missing_file_and_a_directory(tmp_path: Path) -> None:
    """Neither is a document, and the message says which it is."""
    with pytest.raises(RequestError, match="does not exist"):
        load_job_spec(str(tmp_path / "none.json"))
    with pytest.raises(RequestError, match="is a directory"):
        load_job_spec(str(tmp_path))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "it is empty"),
        (b"{", "line 1, column 2"),
        (b"<html>", "'<html>'"),
        (b"\xff\xfe\x00", "not JSON"),
        (b'{"metadata": NaN}', "NaN is not a JSON number"),
        (b"[" * 100_000, "inside each other"),
        (b'{"metadata": {"fps": 30, "fps": 60}}', "the key 'fps' twice in one object; expected each key once"),
        (b"[1, 2]", "a JSON array; expected an object"),
        (b'"text"', "a JSON string; expected an object"),
        (b"null", "a JSON null; expected an object"),
    ],
)
def test_text_that_is_no_document(text: bytes, said: str) -> None:
    """What is not a JSON object is refused in one line that shows how it begins."""
    with pytest.raises(SpecError, match=said.replace("(", r"\(")) as refusal:
        parse_job_spec(text, source="job.json")
    assert "\n" not in str(refusal.value)


def test_a_byte_order_mark_is_read_over() -> None:
    """A byte order mark, which some editors write before UTF-8, is ignored."""
    assert parse_job_spec(b"\xef\xbb\xbf" + json.dumps(make_job()).encode(), source="job") == load_job_spec(make_job())


def test_a_document_over_the_limit(tmp_path: Path) -> None:
    """A document of more than 64 MiB is refused without being parsed."""
    path = tmp_path / "job.json"
    with path.open("wb") as file:
        file.truncate(MAX_DOCUMENT_BYTES + 1)
    with pytest.raises(RequestError, match="more than 64 MiB"):
        load_job_spec(str(path))


def test_a_job_of_too_many_chunks() -> None:
    """A job of more than 100,000 chunks is refused."""
    job = make_job()
    job["chunks"] = [job["chunks"][0]] * 100_001
    with pytest.raises(SpecError, match="100000"):
        load_job_spec(job)


def test_where_workers_find_input_files() -> None:
    """Helios's schemes are known; what no worker can fetch is refused, as `validate` says too."""
    for given, known in (
        ("gcs://bucket/assets", "gs://bucket/assets"),
        ("local:///srv/my assets", "file:///srv/my%20assets"),
        ("https://host/list.json", "https://host/list.json"),
    ):
        spec = load_job_spec(make_job(assetsUrl=given))
        assert spec.assets_url == known
        check_assets_url(known)
    with pytest.raises(SpecError, match="an absolute path behind local://"):
        load_job_spec(make_job(assetsUrl="local://assets"))
    for wrong in ("ftp://host/assets", "https://host/assets.tar", "s3://bucket/a/../b", "assets"):
        with pytest.raises(RequestError):
            check_assets_url(wrong)
