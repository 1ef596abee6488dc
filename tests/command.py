"""Run the real `helios-job`, in a process of its own or in this process."""

import io
import os
import pty
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner

from cli.commands import commands
from cli.main import main
from farm.server.credentials import basic, client_headers

HELIOS_JOB = str(Path(sys.executable).with_name("helios-job"))


def helios_job(
    *words: str | int | float | Path,
    cwd: Path | None = None,
    stdin: bytes | None = None,
    env: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, with its streams as text; `env` is the whole environment, this process's by default."""
    done = subprocess.run(
        [HELIOS_JOB, *map(str, words)], input=stdin, capture_output=True, cwd=cwd, timeout=400, check=False, env=env
    )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


def here(
    *words: str | int | float | Path,
    cwd: Path | None = None,
    stdin: bytes = b"",
    env: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end in this process, from its entry point to its exit code.

    A process of its own takes half a second of CPU for its imports, and three seconds where it imports Prefect. What
    Prefect logs is not in the result.

    Args:
        words: The command's.
        cwd: The current directory meanwhile.
        stdin: What it reads from standard input, which is no terminal.
        env: Variables besides those of this process.
    """
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    with pytest.MonkeyPatch.context() as patch, ExitStack() as stack:
        patch.setattr(sys, "argv", ["helios-job", *map(str, words)])
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8"))
        for name, value in (env or {}).items():
            patch.setenv(name, value)
        if cwd is not None:
            patch.chdir(cwd)
        ended = stack.enter_context(pytest.raises(SystemExit))
        stack.enter_context(redirect_stdout(out))
        stack.enter_context(redirect_stderr(err))
        main()
    code = ended.value.code or 0
    assert isinstance(code, int), code
    printed, errors = (stream.buffer.getvalue().decode() for stream in (out, err))
    return subprocess.CompletedProcess([*map(str, words)], code, printed, errors)


def said(*words: object) -> str:
    """Run a command in this process, where Prefect is imported; return what it prints, or raise its error."""
    done = CliRunner().invoke(commands, [str(word) for word in words], standalone_mode=False)
    if done.exception is not None:
        raise done.exception
    return done.stdout


def start_helios_job(*words: str | int | Path, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
    """Start a command in a session of its own, like a terminal's foreground job; `env` is added to this process's."""
    return subprocess.Popen(
        [HELIOS_JOB, *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, **(env or {})},
    )


def on_a_terminal(*words: str | int | Path, cwd: Path, typed: bytes = b"") -> tuple[int, str]:
    """Run a command with a terminal for all three streams, on which something was typed ahead.

    Returns:
        The exit code, and everything that the command drew.
    """
    code, drawn = -1, bytearray()
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(cwd)
        os.environ["TERM"], os.environ["COLUMNS"] = "xterm-256color", "160"
        os.execv(HELIOS_JOB, [HELIOS_JOB, *map(str, words)])
    os.write(terminal, typed)
    try:
        while data := os.read(terminal, 65536):
            drawn += data
    except OSError:
        pass  # Linux raises EIO when a terminal's last writer has gone
    _, status = os.waitpid(child, 0)
    os.close(terminal)
    code = os.waitstatus_to_exitcode(status)
    return code, drawn.decode(errors="replace")


def ask_api(method: str, url: str, body: object = None, *, auth: str | None = None) -> Any:
    """Query Prefect's API, repeatedly while it answers 503, as it does with SQLite when another write came between.

    The credential is `auth`; by default that of this process.
    """
    headers = {"Authorization": f"Basic {basic(auth)}"} if auth else client_headers()
    deadline = time.monotonic() + 60
    while True:
        answer = httpx.request(method, url, json=body, headers=headers, timeout=60)
        if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE or time.monotonic() > deadline:
            answer.raise_for_status()
            return answer.json() if answer.content else None
        time.sleep(0.1)


def until(condition: Callable[[], object], *, seconds: float = 180) -> None:
    """Wait for a condition, with a deadline."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        time.sleep(0.05)
