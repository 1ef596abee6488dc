"""What Prefect's server answers reaches a person in a line, and never as a traceback."""

import httpx
import pytest

from cli.server_errors import explain

TOO_LARGE = "Value error, Flow run parameters must be less than 524,288 bytes"
ADDRESS = "http://user:secret@127.0.0.1:4200/api/flow_runs/"


def refused(status: int, **answer: object) -> httpx.HTTPStatusError:
    """The error of an answer."""
    request = httpx.Request("POST", ADDRESS)
    response = httpx.Response(status, request=request, **answer)  # type: ignore[arg-type]
    return httpx.HTTPStatusError(f"Client error, with {'x' * 100_000}", request=request, response=response)


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (refused(422, json={"exception_detail": [{"msg": TOO_LARGE}]}),
         "answered 422 to POST http://127.0.0.1:4200/api/flow_runs/: Value error, Flow run parameters must be less "
         "than 524,288 bytes; save a large job document in a file"),
        (refused(404, json={"detail": "Not Found"}), "does PREFECT_API_URL end in /api"),
        (refused(500, text="<html>" + "y" * 10_000), "its log says why"),
        (httpx.ConnectError("Connection refused"), "does not answer (Connection refused)"),
    ],
)  # fmt: skip
def test_an_answer_in_a_line(error: Exception, says: str) -> None:
    """The message has the status, the address without its password, the reason, and what to do."""
    line = explain(error)
    assert line is not None
    assert says in line
    assert "secret" not in line
    assert len(line) < 600


def test_a_home_that_cant_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where Prefect's folder can't be made or written, the message names it, and the variable that names another."""
    monkeypatch.setenv("PREFECT_HOME", "/dev/null/prefect")
    line = explain(NotADirectoryError(20, "Not a directory", "/dev/null"))
    assert line is not None
    assert "Prefect keeps its data in /dev/null/prefect" in line
    assert "set PREFECT_HOME" in line
    assert explain(PermissionError(13, "Permission denied", "/elsewhere")) is None


def test_other_errors_are_not_explained() -> None:
    """A fault of the program itself keeps its traceback."""
    assert explain(KeyError("x")) is None
