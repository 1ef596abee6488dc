"""What a worker's deployment decides, read from its environment variables."""

import os
import re
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TypeVar

from helios.errors import RequestError
from helios.job.source import is_url
from helios.models.sandbox import SandboxKind
from helios.processes.command_user import CommandUser
from helios.storage.urls import is_storage_url, is_within
from helios.variables import COMMAND_USER, PREFIX
from helios.web_urls import is_below

Number = TypeVar("Number", int, float)


@dataclass(frozen=True)
class WorkerSettings:
    """Settings of a worker. Each is read from the variable in its description."""

    job_prefixes: tuple[str, ...] | None = None
    """HELIOS_JOB_PREFIXES, comma-separated: jobs come from below these URLs or paths, and outputs go there.
    None allows every place: for a caller that could run the command itself."""
    command_env: tuple[str, ...] = ()
    """HELIOS_COMMAND_ENV, comma-separated: names or glob patterns of further variables that commands get; see
    `helios.processes.environment`. Its credentials only by their exact names."""
    folder: Path = field(default_factory=lambda: Path(tempfile.gettempdir(), "helios"))
    """HELIOS_FOLDER: for workspaces and kept assets."""
    chunks_at_once: int = 1
    """HELIOS_CHUNKS_AT_ONCE: of the HTTP service; more are answered with 429."""
    grace_seconds: float = 5.0
    """HELIOS_GRACE_SECONDS: for a command that is stopped, from SIGTERM to SIGKILL."""
    reserve_seconds: float = 10.0
    """HELIOS_RESERVE_SECONDS: kept of the platform's time limit to stop the command, upload its log and answer."""
    cancel_poll_seconds: float = 2.0
    """HELIOS_CANCEL_POLL_SECONDS: how often to look whether the chunk was cancelled; 0 for never."""
    chunk_bytes: int | None = None
    """HELIOS_CHUNK_BYTES: free disk that an output needs; estimated from its pixels when empty."""
    log_bytes: int = 64 * 1024 * 1024
    """HELIOS_LOG_BYTES: the most that is kept of a command's output."""
    is_ending: Callable[[], bool] = lambda: False
    """Whether this machine is being taken away: a command that fails then may have been ended with it. No variable:
    given by who runs the worker."""
    user: CommandUser | None = None
    """HELIOS_COMMAND_USER: as whom commands run, of a worker that runs as root."""
    sandbox: SandboxKind | None = None
    """HELIOS_SANDBOX: the sandbox that every command runs in. A request may ask for a stricter one."""
    name: str = ""
    """HELIOS_WORKER_NAME: the worker's name in answers; the platform's name of the function or service when empty."""
    instance: str = ""
    """The platform's name of this instance of the worker, for people who look for its log; elsewhere the machine's."""

    @classmethod
    def from_environment(
        cls, environment: Mapping[str, str] = os.environ, *, trusted: bool = False
    ) -> "WorkerSettings":
        """Read the settings.

        Args:
            environment: The variables.
            trusted: The caller could run any command here anyway, so that missing prefixes allow every place.

        Raises:
            RequestError: A variable has an invalid value.
        """
        given = {name[len(PREFIX) :].lower(): value for name, value in environment.items() if name.startswith(PREFIX)}
        named = (
            environment.get("AWS_LAMBDA_FUNCTION_NAME")
            or environment.get("K_SERVICE")
            or environment.get("CLOUD_RUN_JOB")
        )
        words = _words(given.get("job_prefixes", ""))
        for word in words:
            _check_prefix(word)
        chunk_bytes = _number(given, "chunk_bytes", -1, int)
        return cls(
            job_prefixes=None if trusted and not words else words,
            command_env=_names(given),
            folder=_folder(given.get("folder")) or cls().folder,
            chunks_at_once=_number(given, "chunks_at_once", cls.chunks_at_once, int, least=1),
            grace_seconds=_number(given, "grace_seconds", cls.grace_seconds, float),
            reserve_seconds=_number(given, "reserve_seconds", cls.reserve_seconds, float),
            cancel_poll_seconds=_number(given, "cancel_poll_seconds", cls.cancel_poll_seconds, float),
            chunk_bytes=None if chunk_bytes < 0 else chunk_bytes,
            log_bytes=_number(given, "log_bytes", cls.log_bytes, int),
            user=CommandUser.from_environment(environment),
            sandbox=_sandbox(given.get("sandbox", "").strip()),
            name=given.get("worker_name") or named or os.uname().nodename,
            instance=environment.get("AWS_LAMBDA_LOG_STREAM_NAME")
            or environment.get("CLOUD_RUN_EXECUTION")
            or environment.get("K_REVISION")
            or os.uname().nodename,
        )

    def check_place(self, place: str) -> None:
        """Refuse a place that jobs may not come from and outputs may not go to.

        Raises:
            RequestError: Names the setting.
        """
        if "\0" in place:
            raise RequestError(f"{place!r} has a NUL character; expected the path or the URL of a job document")
        if self.job_prefixes is None or any(_is_below(place, prefix) for prefix in self.job_prefixes):
            return
        allowed = ", ".join(self.job_prefixes) or "none"
        raise RequestError(
            f"This worker takes no jobs from {place}; allowed: {allowed}. Set HELIOS_JOB_PREFIXES where it is deployed"
        )


VARIABLES = frozenset(
    {f"{PREFIX}{one.name.upper()}" for one in fields(WorkerSettings)}
    - {f"{PREFIX}NAME", f"{PREFIX}INSTANCE", f"{PREFIX}USER", f"{PREFIX}IS_ENDING"}
    | {f"{PREFIX}WORKER_NAME", COMMAND_USER}
)
"""Every variable that a worker reads."""


def _is_below(place: str, prefix: str) -> bool:
    if is_storage_url(place) and is_storage_url(prefix):
        return is_within(place, prefix)
    if is_url(place) != is_url(prefix) or is_storage_url(place) or is_storage_url(prefix):
        return False
    if is_url(place):
        return is_below(place, prefix)
    if ".." in place.split("/"):
        return False
    return Path(place).resolve().is_relative_to(Path(prefix).resolve())


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _check_prefix(word: str) -> None:
    """Refuse a place in HELIOS_JOB_PREFIXES in which no job can lie."""
    if ":/" in word and not (is_url(word) or is_storage_url(word)):
        raise RequestError(f"{PREFIX}JOB_PREFIXES has {word!r}; expected s3://, gs://, file://, https:// or a path")
    if is_url(word):
        if "?" in word or "#" in word:
            raise RequestError(f"{PREFIX}JOB_PREFIXES has {word!r}; expected an address without ? and #")
        is_below(word, word)


def _names(given: Mapping[str, str]) -> tuple[str, ...]:
    names = _words(given.get("command_env", ""))
    for name in names:
        if not re.fullmatch(r"[\w*?\[\]!.-]+", name):
            raise RequestError(
                f"{PREFIX}COMMAND_ENV has {name.partition('=')[0]!r}…; expected names of variables, or patterns as "
                "MY_*, separated by commas, without values"
            )
    return names


def _sandbox(text: str) -> SandboxKind | None:
    try:
        return SandboxKind(text) if text else None
    except ValueError:
        raise RequestError(f"{PREFIX}SANDBOX is {text!r}; expected {' or '.join(SandboxKind)}") from None


def _folder(text: str | None) -> Path | None:
    """The folder of HELIOS_FOLDER, made if it is not there; None if the variable is not set."""
    if not text:
        return None
    try:
        Path(text).mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise RequestError(f"{PREFIX}FOLDER is {text!r}, which can't be used ({exc.strerror}); expected a folder that "
                           "the worker can write to") from None  # fmt: skip
    if not os.access(text, os.W_OK | os.X_OK):
        raise RequestError(f"{PREFIX}FOLDER is {text!r}, which the worker can't write to; name another folder")
    return Path(text)


def _number(given: Mapping[str, str], name: str, default: Number, kind: type[Number], *, least: int = 0) -> Number:
    text = given.get(name, "").strip()
    if not text:
        return default
    try:
        value = kind(text)
    except ValueError:
        value = kind(-1)
    if not least <= value < float("inf"):
        expected = "a whole number" if kind is int else "a number"
        raise RequestError(f"{PREFIX}{name.upper()} is {text!r}; expected {expected}, {least} or more")
    return value
