"""`helios-job doctor` on this machine and on the clouds' stand-ins."""

import json
import os
from pathlib import Path

import pytest

from testbed.cloud.aws import Aws
from testbed.cloud.google import Google
from tests.adapters.test_sandbox import needs_bubblewrap
from tests.command import helios_job, here


def test_this_machine() -> None:
    """Doctor runs a process for the local adapter, and exits with 0."""
    done = helios_job("doctor")
    assert done.returncode == 0
    assert "round trip" in done.stdout
    assert "commands get" in done.stdout
    assert "PREFECT_HOME" not in done.stdout


@needs_bubblewrap
def test_a_sandbox_that_works() -> None:
    """Doctor says that the sandbox works, and runs a process in it."""
    code, found = doctor("local", {"sandbox": "bubblewrap"})
    assert (code, found["sandbox"][0], found["round trip"][0]) == (0, "ok", "ok")
    assert "bubblewrap" in found["sandbox"][1]


def test_a_sandbox_that_is_not_installed() -> None:
    """Without bubblewrap doctor says what to install, and exits with 1."""
    done = helios_job(
        "doctor", "--adapter-config", json.dumps({"sandbox": "bubblewrap"}), env={**os.environ, "PATH": "/nonexistent"}
    )
    assert done.returncode == 1
    assert "FIX   configuration The sandbox bubblewrap needs the program 'bwrap'" in done.stdout
    assert "install it" in done.stdout


def test_a_temporary_folder_that_is_too_deep(tmp_path: Path) -> None:
    """Doctor says that Chromium's sockets do not fit into a deep temporary folder; other renderers work there."""
    deep = tmp_path / ("deep" * 20)
    deep.mkdir()
    done = helios_job("doctor", env={**os.environ, "TMPDIR": str(deep)})
    assert done.returncode == 0
    assert "set TMPDIR to a shorter folder" in done.stdout


def doctor(adapter: str, config: dict[str, object]) -> tuple[int, dict[str, tuple[str, str]]]:
    """Run doctor; return its exit code, and each finding's mark and text."""
    done = here("doctor", "--adapter", adapter, "--adapter-config", json.dumps(config))
    lines = [line for line in done.stdout.splitlines() if not line.startswith("      ")]
    return done.returncode, {line[6:20].strip(): (line[:6].strip(), line[20:]) for line in lines}


def test_a_farm_that_works(amazon: Aws) -> None:
    """For a working Lambda farm every finding is ok, up to a worker that writes to storage."""
    code, found = doctor("aws-lambda", amazon.config)
    assert code == 0, found
    assert set(found) == {"configuration", "storage", "credentials", "function", "permission", "quota", "round trip"}
    assert {mark for mark, _ in found.values()} == {"ok"}
    assert "protocol 1" in found["round trip"][1]


def test_google_s(google: Google) -> None:
    """For a working Cloud Run service and a working Cloud Run job every finding is ok."""
    for config in (google.service_config, google.job_config):
        code, found = doctor(str(config["type"]), config)
        assert code == 0, found
        assert {mark for mark, _ in found.values()} == {"ok"}


@pytest.mark.parametrize(
    ("changes", "what", "says"),
    [
        ({"storage": "s3://no-such-bucket/x"}, "storage", "does not exist; create it"),
        ({"function": "no-such-function"}, "function", "deploy it (deploy/aws)"),
        ({"profile": "no-such-profile"}, "configuration", "no-such-profile"),
        ({"storage": "ftp://x"}, "configuration", "expected file://, s3:// or gs://"),
        ({"function": "of-helios"}, "round trip", "deploy this project's worker"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_is_to_be_fixed(amazon: Aws, changes: dict[str, object], what: str, says: str) -> None:
    """A finding with a fault is marked and says what to do, and the exit code is 1."""
    code, found = doctor("aws-lambda", {**amazon.config, **changes})
    assert code == 1
    assert found[what][0] == "FIX"
    assert says in found[what][1]
