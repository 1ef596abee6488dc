"""Which variables of this process a command gets."""

import os

import pytest

from helios.processes.command import run_command
from helios.processes.environment import clean_environment

CREDENTIALS = {
    "PREFECT_API_KEY": "a", "PREFECT_API_URL": "a", "AWS_PROFILE": "a", "AWS_SECRET_ACCESS_KEY": "a",
    "GOOGLE_APPLICATION_CREDENTIALS": "a", "AZURE_CLIENT_ID": "a", "HELIOS_AWS_LAMBDA_CONFIG": "a", "GH_TOKEN": "a",
    "npm_config__authToken": "a", "db_password": "a", "PGPASSWORD": "a", "SMTP_PASS": "a", "API_KEY": "a",
    "NVIDIA_API_KEY": "a", "CUDA_LICENSE_TOKEN": "a", "SENTRY_DSN": "a", "SSH_AUTH_SOCK": "a", "STRIPE_WEBHOOK": "a",
    "DBUS_SESSION_BUS_ADDRESS": "a", "DATABASE_URL": "postgres://render:hush@db/farm",
    "HTTPS_PROXY": "http://user:hush@proxy:3128",
}  # fmt: skip
USUAL = {
    "PATH": "/bin", "HOME": "/home/r", "USER": "r", "LANG": "de_DE.UTF-8", "LC_TIME": "C", "TZ": "UTC", "TERM": "xterm",
    "XAUTHORITY": "/home/r/.Xauthority", "XDG_RUNTIME_DIR": "/run/user/1", "XDG_DATA_DIRS": "/usr/share",
    "VIRTUAL_ENV": "/venv", "LD_LIBRARY_PATH": "/opt/lib", "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "0",
    "NVIDIA_VISIBLE_DEVICES": "all", "ROCR_VISIBLE_DEVICES": "0", "HIP_VISIBLE_DEVICES": "0",
}  # fmt: skip
OTHERS = {
    "PYTHONPATH": "/src",
    "LD_PRELOAD": "x.so",
    "PUPPETEER_CACHE_DIR": "/c",
    "NO_PROXY": "localhost",
    "ODD é": "1",
}
INHERITED = {**CREDENTIALS, **USUAL, **OTHERS, "TMPDIR": "/scratch"}


def test_the_usual_variables_pass() -> None:
    """Commands get what programs need, and nothing else."""
    assert clean_environment(inherited=INHERITED) == USUAL


def test_a_process_without_path_and_language_has_defaults() -> None:
    """PATH and LANG have defaults."""
    assert clean_environment(inherited={}) == {"PATH": os.defpath, "LANG": "C.UTF-8"}


@pytest.mark.parametrize("pattern", ["*", "?*", "[!-]*"])
def test_a_pattern_passes_no_credential(pattern: str) -> None:
    """A pattern that matches everything passes neither credentials nor TMPDIR."""
    assert clean_environment([pattern], inherited=INHERITED) == {**USUAL, **OTHERS}


@pytest.mark.parametrize("name", [*CREDENTIALS, "TMPDIR"])
def test_an_exact_name_passes_every_variable(name: str) -> None:
    """A variable that is named exactly passes, whatever it looks like."""
    found = clean_environment(["PYTHON*", name, "NOT_SET"], inherited=INHERITED)
    assert found == {**USUAL, "PYTHONPATH": "/src", name: INHERITED[name]}


def test_own_variables_stand_between_the_usual_and_the_named_ones() -> None:
    """A command's own variables override the usual ones, and named ones override its own."""
    own = {"HOME": "/job", "TMPDIR": "/job/tmp"}
    assert clean_environment(own=own, inherited=INHERITED) == {**USUAL, **own}
    assert clean_environment(["HOME"], own=own, inherited=INHERITED) == {**USUAL, "TMPDIR": "/job/tmp"}


async def test_a_command_without_an_environment_gets_a_clean_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """`run_command` passes no credential by default, and marks the command's processes as before."""
    monkeypatch.setenv("PREFECT_API_KEY", "hush")
    seen = (await run_command(["env"])).stdout
    assert "PREFECT_API_KEY" not in seen
    assert "HELIOS_PROCESS_TREE=" in seen
