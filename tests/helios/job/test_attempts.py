"""Answers of workers: ours, those of Helios, and texts that are not answers."""

import json

import pytest

from helios.errors import (
    CommandError,
    CommandStalledError,
    CommandTimeoutError,
    Failure,
    HeliosError,
    RequestError,
    WorkerUnavailableError,
)
from helios.job.attempts import attempt_url, read_answer, write_answer
from helios.models.invocation import ChunkAnswer


def test_an_answer_comes_back_as_it_was() -> None:
    """An answer survives JSON, on its own and inside Lambda's response."""
    answer = ChunkAnswer(exit_code=3, output="o", stdout="o", stderr="é", duration_ms=7, frames=1)
    assert read_answer(write_answer(answer), source="x") == answer
    wrapped = json.dumps({"statusCode": 200, "body": write_answer(answer).decode()})
    assert read_answer(wrapped, source="x") == answer


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"statusCode": 200, "body": '{"exitCode": 0, "output": "done", "durationMs": 12}'}, (0, "done", "", 12)),
        ({"statusCode": 200, "body": {"exitCode": 2, "stdout": "a", "stderr": "b"}}, (2, "a", "b", 0)),
        ({"exitCode": 0, "output": "done", "message": "Chunk rendered"}, (0, "done", "", 0)),
        ({"statusCode": 500, "body": '{"message": "Error", "error": "boom"}'}, (1, "", "boom", 0)),
        ({"exitCode": 0, "fieldOfTheFuture": {"x": 1}}, (0, "", "", 0)),
    ],
)
def test_helios_s_shapes(document: object, expected: tuple[int, str, str, int]) -> None:
    """Answers of Helios's workers on Lambda and Cloud Run are understood, and fields of later versions are ignored."""
    result = read_answer(json.dumps(document), source="x").to_result("it")
    assert (result.exit_code, result.stdout, result.stderr, result.duration_ms) == expected


@pytest.mark.parametrize(
    "text", ["", "<html>", "null", "[]", "{}", '{"exitCode": "x"}', '{"statusCode": 200, "body": "x"}']
)
def test_what_is_no_answer(text: str) -> None:
    """A text that is not an answer is the environment's fault, and the error quotes its beginning."""
    with pytest.raises(WorkerUnavailableError, match="is not the answer of a worker") as caught:
        read_answer(text, source="The function f")
    assert repr(text[:20]).strip("'") in str(caught.value)


@pytest.mark.parametrize("kind", Failure)
def test_kinds_of_failure_survive_the_way(kind: Failure) -> None:
    """The caller raises the same kind of error as the worker."""
    error = kind.error("it broke")
    answer = read_answer(write_answer(ChunkAnswer.failed(error)), source="x")
    assert answer.exit_code != 0
    with pytest.raises(HeliosError, match="it broke") as caught:
        answer.to_result("the function f")
    assert type(caught.value) is type(error)


@pytest.mark.parametrize("kind", Failure)
def test_an_older_orchestrator_understands_every_kind(kind: Failure) -> None:
    """A later kind is sent as one of the five known kinds, with the same budget of retries, and as its cause."""
    sent = json.loads(write_answer(ChunkAnswer.failed(kind.error("m"))))["error"]
    known = {"request", "command", "timeout", "output", "unavailable"}
    if kind.value in known:
        assert sent == {"kind": kind.value, "message": "m"}
    else:
        assert sent == {"kind": sent["kind"], "cause": kind.value, "message": "m"}
        assert sent["kind"] in known
        assert Failure(sent["kind"]).budget is kind.budget


def test_how_a_stall_is_written() -> None:
    """A stall is sent as a command's failure with the cause `stalled`, which is fixed between versions."""
    sent = json.loads(write_answer(ChunkAnswer.failed(CommandStalledError("m"))))
    assert sent["error"] == {"kind": "command", "cause": "stalled", "message": "m"}


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        ({"kind": "command"}, CommandError),  # the form in which the first workers sent a stall
        ({"kind": "command", "cause": "melted"}, CommandError),
        ({"kind": "unavailable", "cause": "melted"}, WorkerUnavailableError),
        ({"kind": "melted"}, CommandError),
        ({"kind": "melted", "cause": "stalled"}, CommandStalledError),
        ({"kind": "stalled"}, CommandStalledError),
        ({"kind": "timeout", "cause": None}, CommandTimeoutError),
        ({"kind": "request", "cause": {"what": ["is", "no", "kind"]}}, RequestError),
    ],
)
def test_failures_of_older_and_newer_workers(stated: dict[str, object], expected: type[HeliosError]) -> None:
    """An unknown kind counts as a failed command, and an unknown cause is ignored."""
    document = {"exitCode": 1, "error": {**stated, "message": "it broke"}}
    with pytest.raises(HeliosError, match="it broke") as caught:
        read_answer(json.dumps(document), source="x").to_result("the function f")
    assert type(caught.value) is expected


def test_attempts_lie_beside_the_document() -> None:
    """An attempt's folder lies beside the document, so that both sides find it by the document's URL alone."""
    assert attempt_url("s3://b/jobs/1/chunk-7/job.json", 2) == "s3://b/jobs/1/chunk-7/attempt-2"
