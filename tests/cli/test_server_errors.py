"""What Prefect's server answers reaches a person in a line, and never as a traceback."""

import httpx
import pytest
from prefect.settings import Settings
from pydantic import ValidationError

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


def test_a_client_that_does_not_reach_the_server() -> None:
    """Prefect's client hides what its HTTP client says; the message has it."""
    error = RuntimeError("Failed to reach API at http://127.0.0.1:1/api/")
    error.__cause__ = httpx.ConnectError("Connection refused")
    assert "does not answer (Connection refused)" in str(explain(error))


def test_a_user_without_a_home() -> None:
    """Where there is no home folder, the message says which variable names one."""
    assert "set HOME to a folder" in str(explain(RuntimeError("Could not determine home directory.")))
    assert explain(RuntimeError("something else")) is None


def test_a_setting_of_prefect_with_a_wrong_value(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong value of a setting is named with its variable and its value, unless that may be a secret."""
    monkeypatch.setenv("PREFECT_API_REQUEST_TIMEOUT", "soon")
    with pytest.raises(ValidationError) as raised:
        Settings()
    line = str(explain(raised.value))
    assert line.startswith("Prefect's setting PREFECT_API_REQUEST_TIMEOUT=soon is wrong: ")
    monkeypatch.delenv("PREFECT_API_REQUEST_TIMEOUT")
    monkeypatch.setenv("PREFECT_SERVER_EPHEMERAL_ENABLED", "maybe")
    with pytest.raises(ValidationError) as raised:
        Settings()
    assert str(explain(raised.value)).startswith("Prefect's setting PREFECT_SERVER_EPHEMERAL_ENABLED=maybe is wrong: ")
    monkeypatch.delenv("PREFECT_SERVER_EPHEMERAL_ENABLED")
    monkeypatch.setenv("PREFECT_CLIENT_CUSTOM_HEADERS", "token: 4711")
    with pytest.raises((ValidationError, ValueError)) as refused:
        Settings()
    assert "4711" not in str(explain(refused.value))


def test_other_errors_are_not_explained() -> None:
    """A fault of the program itself keeps its traceback."""
    assert explain(KeyError("x")) is None
