"""The Lambda handler, called as awslambdaric calls it."""

import json
from pathlib import Path

import pytest

from helios.storage.folder import Storage
from helios.storage.stores import StorageSettings
from helios.worker import aws_lambda
from testbed.jobs import make_job
from testbed.video import read_numbers
from tests.helios.worker.stored import store_job


class Context:
    """A stand-in for Lambda's context."""

    def get_remaining_time_in_millis(self) -> int:
        """Return one minute."""
        return 60_000


@pytest.fixture
def storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Storage:
    """Storage on disk, and a fresh worker that takes jobs from there."""
    found = Storage(StorageSettings(url=(tmp_path / "store").as_uri()))
    monkeypatch.setenv("HELIOS_JOB_PREFIXES", found.url)
    monkeypatch.setenv("HELIOS_FOLDER", str(tmp_path / "worker"))
    monkeypatch.setattr(aws_lambda, "_runtime", None)
    return found


def test_an_orchestrator_of_helios(storage: Storage, tmp_path: Path) -> None:
    """Helios's orchestrator sends jobPath and chunkIndex, by invocation or over HTTP, and reads statusCode and body."""
    url = store_job(storage, make_job((10, 10)))
    for event in ({"jobPath": url, "chunkIndex": 1}, {"body": json.dumps({"jobPath": url, "chunkIndex": 1})}):
        answer = aws_lambda.handler(event, Context())
        assert answer["statusCode"] == 200
        body = json.loads(answer["body"])
        assert body["exitCode"] == 0
        assert {"output", "stdout", "stderr", "durationMs"} <= set(body)
    (video,) = (tmp_path / "store").rglob("chunk 1.mp4")
    assert read_numbers(video) == list(range(10, 20))


def test_what_is_refused(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A refusal is an answer with 400 and a message, and not an exception, which Lambda would wrap in a traceback."""
    for event in ({}, {"jobPath": "s3://elsewhere/job.json"}, {"body": "nonsense"}):
        answer = aws_lambda.handler(event, Context())
        assert answer["statusCode"] == 400
        assert json.loads(answer["body"])["error"]["kind"] == "request"
    monkeypatch.setattr(aws_lambda, "_runtime", None)
    monkeypatch.setenv("HELIOS_GRACE_SECONDS", "soon")
    assert "HELIOS_GRACE_SECONDS" in aws_lambda.handler({}, Context())["body"]
