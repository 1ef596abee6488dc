"""The first start of a server in a new home, several at once, and a home whose database is damaged."""

import os
import subprocess
import threading
from contextvars import copy_context
from pathlib import Path

import pytest
from prefect.settings import PREFECT_API_DATABASE_CONNECTION_URL, PREFECT_HOME, temporary_settings

from farm.server.database import DAMAGE, READY, configured, damage, prepared
from testbed.jobs import make_job, write_job
from tests.command import HELIOS_JOB, helios_job


def _environment(home: Path) -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    return {**own, "PREFECT_HOME": str(home)}


def test_one_makes_the_database_and_the_others_wait(tmp_path: Path) -> None:
    """While a server makes the database of a new home, another one waits; once it is made, nobody waits."""
    with temporary_settings({PREFECT_HOME: tmp_path}):
        inside = threading.Event()

        def start() -> None:
            with prepared():
                inside.set()

        with prepared():
            other = threading.Thread(target=copy_context().run, args=[start])
            other.start()
            assert not inside.wait(0.2)
            (tmp_path / "prefect.db").touch()
        other.join(60)
        assert inside.is_set()
        assert (tmp_path / READY).exists()
        with prepared(), prepared():
            pass
        (tmp_path / "prefect.db").unlink()
        (tmp_path / "prefect.db.damaged").touch()
        inside.clear()
        with prepared():
            other = threading.Thread(target=copy_context().run, args=[start])
            other.start()
            assert not inside.wait(0.2)
        other.join(60)


def test_a_damaged_database_is_named(tmp_path: Path) -> None:
    """What to do with a damaged database follows from what SQLite says of it, and not for a database of one's own."""
    with temporary_settings({PREFECT_HOME: tmp_path}):
        for words in DAMAGE:
            assert f"mv {tmp_path}/prefect.db {tmp_path}/prefect.db.damaged" in str(damage(f"Error: {words} (x)"))
        assert damage("all is well") is None


@pytest.mark.slow
def test_a_configured_database_is_named() -> None:
    """Where a server ended because of a database that was configured, its setting is named; that of no other is."""
    log = "sqlalchemy.exc.ArgumentError: Could not parse SQLAlchemy URL from given URL string"
    assert configured(log) is None
    with temporary_settings({PREFECT_API_DATABASE_CONNECTION_URL: "nonsense"}):
        assert "PREFECT_API_DATABASE_CONNECTION_URL, such as postgresql+asyncpg://" in str(configured(log))
        assert configured("out of memory") is None


@pytest.mark.slow  # the tests' own servers begin with a new home, and the test above has the wait
def test_three_runs_in_a_new_home(tmp_path: Path) -> None:
    """Three commands that start at once where Prefect has no database yet all render their video."""
    runs = []
    for name in ("one", "two", "three"):
        (tmp_path / name).mkdir()
        words = [
            HELIOS_JOB,
            "run",
            str(write_job(tmp_path / name, make_job([5]))),
            "--output",
            f"{tmp_path}/{name}.mp4",
        ]
        runs.append(
            subprocess.Popen(words, env=_environment(tmp_path / "home"), stderr=subprocess.PIPE, stdout=subprocess.PIPE)
        )
    said = [run.communicate(timeout=500) for run in runs]
    assert [run.returncode for run in runs] == [0, 0, 0], said
    assert len(list(tmp_path.glob("*.mp4"))) == 3


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["noise", "zeros", "cut"])
def test_a_home_with_a_damaged_database(tmp_path: Path, kind: str) -> None:
    """A command says in a few lines that the database is damaged, and what to do; what it says works."""
    home, database = tmp_path / "home", tmp_path / "home" / "prefect.db"
    home.mkdir()
    database.write_bytes({"noise": os.urandom(50_000), "zeros": bytes(50_000), "cut": b"SQLite format 3\0" * 40}[kind])
    done = helios_job("list", env=_environment(home))
    assert (done.returncode, "Traceback" in done.stderr) == (1, False)
    assert f"Prefect's database {database} can't be used" in done.stderr
    advice = done.stderr.rpartition("without the runs so far: ")[2]
    subprocess.run(["sh", "-c", advice], check=True)
    assert helios_job("list", env=_environment(home)).returncode == 0
