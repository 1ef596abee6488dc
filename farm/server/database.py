"""The database of a server that this program starts: made by one process at a time, and named when it is damaged.

Prefect's server makes its database as it starts, and brings it up to date. Two servers that do so at once fail.
"""

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import prefect
from prefect.settings import PREFECT_API_DATABASE_CONNECTION_URL, PREFECT_HOME

NAME = "prefect.db"
LOCK = "helios-job-server.lock"
READY = "helios-job-server.ready"
"""Says which version of Prefect has made the database ready: a server of this version changes nothing in it."""
DAMAGE = (
    "file is not a database", "database disk image is malformed", "unable to open database file",
    "disk I/O error", "no such table", "Can't locate revision",
)  # fmt: skip
"""What SQLite, and Prefect's migrations, say of a file that is no whole database of this version."""


@contextmanager
def prepared() -> Iterator[None]:
    """Within the block, in which a server starts, no other one that this program starts makes the same database."""
    home = Path(PREFECT_HOME.value())
    ready, version = home / READY, _version()
    if _is_there(home) and ready.exists() and ready.read_text(encoding="utf-8") == version:
        yield
        return
    lock = os.open(home / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
        ready.write_text(version, encoding="utf-8")
    finally:
        os.close(lock)


def damage(log: str) -> str | None:
    """What to do about a database for which a server did not start; None if its log says nothing of it.

    Args:
        log: The server's.
    """
    said = next((words for words in DAMAGE if words in log), None)
    if said is None or not _is_own():
        return None
    path = Path(PREFECT_HOME.value(), NAME)
    return (
        f"Prefect's database {path} can't be used ({said}). Put a back-up in its place (docs/operations.md), or move "
        "it away, and a new one is made, without the runs so far: "
        f"mv {path} {path}.damaged; rm -f {path}-wal {path}-shm"
    )


def configured(log: str) -> str | None:
    """What is to be said of a database that was configured, where a server that ended speaks of one; None elsewhere.

    Args:
        log: What the server said.
    """
    if _is_own() or not any(word in log for word in ("sqlalchemy", "asyncpg", "aiosqlite", "database")):
        return None
    return (
        "Its database is the one of PREFECT_API_DATABASE_CONNECTION_URL, such as "
        "postgresql+asyncpg://user:password@host/prefect; is that right, and does it answer? Unset, a file in "
        "PREFECT_HOME is used"
    )


def _is_there(home: Path) -> bool:
    return not _is_own() or (home / NAME).exists()


def _is_own() -> bool:
    """Whether the database is the one that Prefect makes by itself, and none that was configured."""
    url = PREFECT_API_DATABASE_CONNECTION_URL.value()
    return url is None or (str(url).startswith("sqlite") and str(url).endswith(f"/{NAME}"))


def _version() -> str:
    place = str(PREFECT_API_DATABASE_CONNECTION_URL.value() or NAME)
    return f"{prefect.__version__} {hashlib.sha256(place.encode()).hexdigest()[:12]}"
