"""A cache of outputs: what is found in it is whole, whatever was written, damaged or removed beside."""

import asyncio
import os
import re
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

import pytest

from helios.errors import RequestError
from helios.storage.cache_upkeep import UNFINISHED_SECONDS, empty, measure, trim, verify
from helios.storage.folder import Storage
from helios.storage.output_cache import MARK, OutputCache, cache_url, entry_key, output_key
from helios.storage.stores import StorageSettings
from tests.helios.storage.caching import SIZE, entry_of

KEYS = [f"{n:064x}" for n in range(5)]


@pytest.fixture
def cache(storage: Storage) -> OutputCache:
    """An empty cache in each kind of storage."""
    return OutputCache(storage)


async def put(cache: OutputCache, key: str, content: bytes, folder: Path) -> None:
    """Put a content under a key."""
    path = folder / "output.mp4"
    path.write_bytes(content)
    assert await cache.put(key, entry_of(content), path)


async def get(cache: OutputCache, key: str, folder: Path) -> bytes | None:
    """The content under a key."""
    path = folder / "fetched.mp4"
    path.unlink(missing_ok=True)
    entry = await cache.find(key)
    if entry is None or not await cache.fetch(key, entry, path):
        assert not path.exists()
        return None
    await cache.note(key, entry)
    return path.read_bytes()


async def later(cache: OutputCache) -> None:
    """Wait until what is written has a later time than what was written before."""
    await cache.storage.write("now", b"")

    async def written() -> datetime:
        (found,) = [entry async for entry in cache.storage.entries() if entry.key == "now"]
        return found.modified

    before = await written()
    while await written() == before:
        await asyncio.sleep(0.01)
        await cache.storage.write("now", b"")
    await cache.storage.delete("now")


async def keys(cache: OutputCache) -> list[str]:
    """Everything in the cache's folder, sorted."""
    return sorted([entry.key async for entry in cache.storage.entries()])


async def test_what_was_put_is_found(cache: OutputCache, tmp_path: Path) -> None:
    """An output comes back byte for byte with all that is known of it, under its own key alone."""
    await cache.open()
    await put(cache, KEYS[0], b"video", tmp_path)
    assert await cache.find(KEYS[0]) == entry_of(b"video")
    assert await get(cache, KEYS[0], tmp_path) == b"video"
    assert await get(cache, KEYS[1], tmp_path) is None


async def test_a_file_that_was_changed_is_not_kept(cache: OutputCache, tmp_path: Path) -> None:
    """A file that is no longer what was accepted does not get into the cache."""
    (tmp_path / "output").write_bytes(b"changed")
    assert not await cache.put(KEYS[0], entry_of(b"accepted"), tmp_path / "output")
    assert await keys(cache) == []


@pytest.mark.parametrize("damage", ["changed", "cut", "missing", "entry", "empty entry"])
async def test_a_torn_entry_is_a_miss_and_is_removed(cache: OutputCache, tmp_path: Path, damage: str) -> None:
    """A torn entry is never used and does not stay; the next output under its key is found."""
    await put(cache, KEYS[0], b"video", tmp_path)
    output = output_key(KEYS[0], entry_of(b"video").sha256)
    match damage:
        case "changed":
            await cache.storage.write(output, b"vidEo")
        case "cut":
            await cache.storage.write(output, b"vid")
        case "missing":
            await cache.storage.delete(output)
        case "entry":
            await cache.storage.write(entry_key(KEYS[0]), b'{"sha256": "')
        case _:
            await cache.storage.write(entry_key(KEYS[0]), b"")
    assert await get(cache, KEYS[0], tmp_path) is None
    assert entry_key(KEYS[0]) not in await keys(cache)
    await put(cache, KEYS[0], b"video", tmp_path)
    assert await get(cache, KEYS[0], tmp_path) == b"video"


async def test_verifying_names_and_removes_what_is_torn(cache: OutputCache, tmp_path: Path) -> None:
    """Verifying reads everything: each torn entry is named with its fault and removed, and the others stay."""
    for key in KEYS:
        await put(cache, key, key.encode(), tmp_path)
    await cache.storage.write(output_key(KEYS[1], entry_of(KEYS[1].encode()).sha256), b"x")
    await cache.storage.delete(output_key(KEYS[2], entry_of(KEYS[2].encode()).sha256))
    await cache.storage.write(entry_key(KEYS[3]), b"[]")
    found = {key: wrong async for key, wrong in verify(cache)}
    assert [bool(found[key]) for key in KEYS] == [False, True, True, True, False]
    assert "1 bytes with sha256" in str(found[KEYS[1]])
    assert "missing" in str(found[KEYS[2]])
    assert "could not be read" in str(found[KEYS[3]])
    assert {key: wrong async for key, wrong in verify(cache)} == {KEYS[0]: None, KEYS[4]: None}


async def test_the_entries_used_longest_ago_leave_first(cache: OutputCache, tmp_path: Path) -> None:
    """A cache over its size loses the entries whose last use is oldest, and as many as it must."""
    for key in KEYS:
        await put(cache, key, bytes(1000), tmp_path)
        await later(cache)
    assert await get(cache, KEYS[0], tmp_path) == bytes(1000)
    size = await measure(cache)
    assert (size.entries, size.oldest is not None and size.newest is not None) == (5, True)
    assert await trim(cache, most_bytes=size.bytes) == (0, 0)
    removed, freed = await trim(cache, most_bytes=size.bytes - size.bytes // 5 - 1)
    assert (removed, freed) == (2, (size.bytes // 5) * 2)
    assert [await get(cache, key, tmp_path) is not None for key in KEYS] == [True, False, False, True, True]
    assert (await measure(cache)).bytes == size.bytes - freed
    assert (await trim(cache, most_bytes=1))[0] == 3
    assert await keys(cache) == []


async def test_emptying_takes_the_outputs_alone(cache: OutputCache, tmp_path: Path) -> None:
    """Emptying a cache removes its entries and outputs, and no other file in its folder."""
    await cache.open()
    await cache.storage.write("other.txt", b"mine")
    await put(cache, KEYS[0], b"video", tmp_path)
    assert await empty(cache) == 1
    assert await keys(cache) == [MARK, "other.txt"]


async def test_removing_takes_the_output_too(cache: OutputCache, tmp_path: Path) -> None:
    """An entry that was found wrong leaves with its output."""
    await put(cache, KEYS[0], b"video", tmp_path)
    await cache.remove(KEYS[0], sha256=entry_of(b"video").sha256)
    assert await keys(cache) == []


def test_two_writers_of_one_key(tmp_path: Path) -> None:
    """While two processes write one key, every read finds one of their outputs, whole; a killed one does no harm."""
    folder = tmp_path / "cache"

    def start(byte: int, times: int) -> subprocess.Popen[str]:
        words = [sys.executable, "-m", "tests.helios.storage.caching", str(folder), KEYS[0], str(byte), str(times)]
        return subprocess.Popen(words, stdout=subprocess.PIPE, text=True)

    async def read(writer: "subprocess.Popen[str]") -> set[int]:
        cache, seen = OutputCache(_storage(folder)), set()
        while writer.poll() is None:
            content = await get(cache, KEYS[0], tmp_path)
            assert content is not None, "there was an entry all the time"
            assert len(content) == SIZE, "half an output was read"
            assert len(set(content)) == 1, "two outputs were mixed"
            seen.add(content[0])
        return seen

    first, second = start(1, 100_000), start(2, 60)
    try:
        for writer in (first, second):
            assert writer.stdout is not None
            assert writer.stdout.readline() == "put\n"
        assert asyncio.run(read(second)) == {1, 2}
        assert second.returncode == 0
    finally:
        first.kill()
        first.communicate()
        second.communicate()
    assert asyncio.run(get(OutputCache(_storage(folder)), KEYS[0], tmp_path)) is not None


async def test_what_killed_writers_left_is_removed_in_time(tmp_path: Path) -> None:
    """Outputs without an entry, and unfinished files, stay while they may have a writer, and are removed later."""
    cache = OutputCache(_storage(tmp_path / "cache"))
    await put(cache, KEYS[0], b"video", tmp_path)
    outputs = tmp_path / "cache" / "outputs"
    digest = entry_of(b"video").sha256
    left = [outputs / f"{KEYS[1]}-{digest}", outputs / f"{KEYS[0]}-{'0' * 64}", outputs / f"{KEYS[2]}-{digest}#3"]
    for path in left:
        path.write_bytes(b"left")
    await trim(cache, most_bytes=10**9)
    assert all(path.exists() for path in left)
    before = time.time() - UNFINISHED_SECONDS - 60
    for path in (*left, *outputs.iterdir()):
        os.utime(path, (before, before))
    await trim(cache, most_bytes=10**9)
    assert not any(path.exists() for path in left)
    assert await get(cache, KEYS[0], tmp_path) == b"video"


async def test_a_folder_of_another_layout_is_refused(cache: OutputCache) -> None:
    """A cache of a later version is left alone."""
    await cache.storage.write(MARK, b'{"layout": 2}')
    with pytest.raises(RequestError, match="not of a cache that this version knows"):
        await cache.open()


@pytest.mark.parametrize("place", ["", "http://host/x", "s3:///x", "s3://b/../x", "ftp://x"])
def test_places_that_can_be_no_cache(place: str) -> None:
    """A text that names no folder and no storage is refused."""
    with pytest.raises(RequestError, match="expected"):
        cache_url(place)


def test_a_file_is_no_cache(tmp_path: Path) -> None:
    """A file in the place of a folder is refused by its name."""
    (tmp_path / "file").write_text("x")
    with pytest.raises(RequestError, match=re.escape(f"{tmp_path / 'file'} is not a folder")):
        cache_url(str(tmp_path / "file"))
    assert cache_url(str(tmp_path / "a b")) == f"file://{tmp_path}/a%20b"


def _storage(folder: Path) -> Storage:
    return Storage(StorageSettings(url=cache_url(str(folder))))
