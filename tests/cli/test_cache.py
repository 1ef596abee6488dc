"""`helios-job cache show|verify|empty`."""

import asyncio
import sys
from pathlib import Path

import pytest

from helios.storage.folder import Storage
from helios.storage.output_cache import OutputCache, cache_url
from helios.storage.stores import StorageSettings
from testbed.cloud.aws import Aws
from tests.command import helios_job, here, on_a_terminal
from tests.helios.storage.caching import entry_of

KEYS = [f"{n:064x}" for n in range(3)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A cache with three outputs."""
    fill(str(tmp_path / "cache"), tmp_path)
    return tmp_path / "cache"


def fill(place: str, folder: Path) -> None:
    """Make a cache with three outputs."""

    async def put() -> None:
        cache = OutputCache(Storage(StorageSettings(url=cache_url(place))))
        await cache.open()
        for key in KEYS:
            (folder / "output").write_bytes(key.encode())
            assert await cache.put(key, entry_of(key.encode()), folder / "output")

    asyncio.run(put())


def test_show_counts(folder: Path) -> None:
    """Show says how many outputs there are, their size, and when they were used."""
    done = helios_job("cache", "show", folder)
    lines = done.stdout.splitlines()
    assert (done.returncode, len(lines)) == (0, 2), done.stderr
    assert lines[0].startswith("3 outputs, ")
    assert lines[1].startswith("last uses from 20")


def test_verify_removes_what_is_torn(folder: Path) -> None:
    """Verify names each torn output with its fault and ends with 1; a second look finds nothing."""
    (torn,) = (folder / "outputs").glob(f"{KEYS[1]}-*")
    torn.write_bytes(b"short")
    done = here("cache", "verify", folder)
    assert done.returncode == 1
    assert done.stdout.startswith(f"{KEYS[1]} its output has 5 bytes")
    assert done.stdout.endswith("; removed\n3 outputs were read, 1 were torn\n")
    done = here("cache", "verify", folder)
    assert (done.returncode, done.stdout) == (0, "2 outputs were read, 0 were torn\n")


def test_empty_asks(folder: Path) -> None:
    """Empty removes nothing without consent: it asks on a terminal, and wants --yes elsewhere."""
    done = here("cache", "empty", folder, stdin=b"y\n")
    assert done.returncode == 2
    assert "say so with --yes" in done.stderr
    assert len(list((folder / "outputs").iterdir())) == 3
    done = here("cache", "empty", folder, "--yes")
    assert (done.returncode, done.stdout) == (0, f"3 outputs were removed from {folder}\n")
    assert [path.name for path in folder.rglob("*")] == ["helios-cache.json"]
    assert here("cache", "show", folder).stdout == "0 outputs, 0 bytes (0 bytes)\n"


def test_empty_on_a_terminal(folder: Path) -> None:
    """On a terminal, an empty answer to the question leaves everything as it is."""
    code, drawn = on_a_terminal("cache", "empty", folder, cwd=folder, typed=b"\n")
    assert "Remove 3 outputs" in drawn
    assert (code, len(list((folder / "outputs").iterdir()))) == (130, 3)


def test_a_place_without_a_cache_is_refused(tmp_path: Path) -> None:
    """A folder that is no cache is neither made nor emptied; a file and a wrong address are refused too."""
    places: list[tuple[str | Path, str]] = [
        (tmp_path / "none", "There is no cache at"),
        (tmp_path, "There is no cache at"),
        (sys.executable, "is not a folder"),
        ("http://host/x", "is in no storage that is known"),
    ]
    for place, said in places:
        done = here("cache", "empty", place, "--yes")
        assert (done.returncode, done.stdout) == (2, ""), place
        assert said in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_cache_in_a_bucket(amazon: Aws, tmp_path: Path) -> None:
    """A cache in a bucket is shown, verified and emptied in the same way; a missing bucket is refused."""
    url = f"{amazon.storage_url}/shared/cache"
    fill(url, tmp_path)
    assert here("cache", "show", url).stdout.startswith("3 outputs, ")
    assert here("cache", "verify", url).returncode == 0
    assert here("cache", "empty", url, "--yes").stdout == f"3 outputs were removed from {url}\n"
    done = here("cache", "show", "s3://no-such-bucket/cache")
    assert (done.returncode, "does not exist" in done.stderr) == (2, True)
