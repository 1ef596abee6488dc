"""Homes for the tests' Prefect servers, with a ready database: making a database takes ten seconds."""

import fcntl
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

SHARED = "HELIOS_TESTS_SHARED"
"""Variable with the folder that all processes of a test run share."""
DATABASE = "prefect.db"
READY = {"PREFECT_SERVER_REGISTER_BLOCKS_ON_START": "false"}
"""Variables for servers whose home `furnish` made: the database has Prefect's block types, and is not compared with all
that are installed, which takes seconds."""

_MAKE = "from farm.server.connect import prefect_server\nwith prefect_server(): pass"


def shared_folder() -> Path:
    """Return the shared folder; the first process makes it, and its children find it by the variable."""
    if SHARED not in os.environ:
        os.environ[SHARED] = tempfile.mkdtemp(prefix="helios-shared-")
    return Path(os.environ[SHARED])


def furnish(home: Path) -> None:
    """Put a database as a new server makes it into a PREFECT_HOME."""
    made = shared_folder() / "made"
    with (shared_folder() / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (made / DATABASE).exists():
            _make(made)
    home.mkdir(parents=True, exist_ok=True)
    # Files that an earlier server left beside its database do not belong to this database.
    for name in (DATABASE, f"{DATABASE}-wal", f"{DATABASE}-shm"):
        (home / name).unlink(missing_ok=True)
    shutil.copyfile(made / DATABASE, home / DATABASE)


def flow_run_states(home: Path) -> tuple[list[str], dict[str, str]]:
    """States of the flow runs, and of the task runs by name, in the database that a run left behind."""
    with closing(sqlite3.connect(home / "prefect.db")) as database:
        flows = [row[0] for row in database.execute("select state_name from flow_run")]
        return flows, dict(database.execute("select name, state_name from task_run").fetchall())


def _make(folder: Path) -> None:
    with tempfile.TemporaryDirectory(dir=folder.parent) as home:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
        subprocess.run(
            [sys.executable, "-c", _MAKE],
            cwd=Path(__file__).parents[1], env={**environment, "PREFECT_HOME": home}, check=True,
        )  # fmt: skip
        folder.mkdir(exist_ok=True)
        # A copy of the file alone would lack what the server has left in the log beside it: two years of migrations,
        # which each server would then make again.
        with (
            closing(sqlite3.connect(Path(home, DATABASE))) as database,
            closing(sqlite3.connect(folder / "beside")) as copy,
        ):
            database.backup(copy)
    (folder / "beside").replace(folder / DATABASE)
