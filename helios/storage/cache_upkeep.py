"""Look after a cache of outputs: measure it, keep it within its size, verify it, empty it."""

import re
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from helios.bounded import map_bounded
from helios.storage.folder import Storage
from helios.storage.local_folder import path_of, remove_unfinished
from helios.storage.output_cache import ENTRIES, OUTPUTS, OutputCache, entry_key, output_key
from helios.storage.stores import StoredObject

READS_AT_ONCE = 4
"""Outputs that are verified at a time."""
DELETES_AT_ONCE = 16
UNFINISHED_SECONDS = 24 * 3600.0
"""An output without an entry is removed when it is this old: until then, its writer may be about to write the entry."""
_ENTRY_KEY = re.compile(rf"{ENTRIES}/([0-9a-f]{{64}})\.json")
_OUTPUT_KEY = re.compile(rf"{OUTPUTS}/([0-9a-f]{{64}})-([0-9a-f]{{64}})")


@dataclass
class Kept:
    """What a cache has of one key."""

    entry: StoredObject | None = None
    """Its entry."""
    outputs: list[StoredObject] = field(default_factory=list)
    """Its outputs: one, unless two writers have written two, or a writer was killed."""

    @property
    def bytes(self) -> int:
        """Size of all of it."""
        return sum(one.bytes for one in self.objects)

    @property
    def objects(self) -> list[StoredObject]:
        """The entry first: what can be found is whole while the rest is removed."""
        return [*([self.entry] if self.entry else []), *self.outputs]


@dataclass(frozen=True)
class CacheSize:
    """What is in a cache."""

    entries: int
    """Number of entries."""
    bytes: int
    """Size of everything in it."""
    oldest: datetime | None
    """When the entry was used whose use is longest ago; None without entries."""
    newest: datetime | None
    """When an entry was used last."""


async def measure(cache: OutputCache) -> CacheSize:
    """Count a cache's entries and bytes, by two listings."""
    kept = await _list(cache.storage)
    used = [one.entry.modified for one in kept.values() if one.entry]
    total = sum(one.bytes for one in kept.values())
    return CacheSize(len(used), total, min(used, default=None), max(used, default=None))


async def trim(cache: OutputCache, *, most_bytes: int) -> tuple[int, int]:
    """Remove the entries whose use is longest ago until a cache is no larger than it may be; and what writers left.

    Returns:
        The number of entries that were removed, and their bytes.
    """
    kept = await _list(cache.storage)
    await _delete(cache.storage, await _leftovers(cache, kept))
    total = sum(one.bytes for one in kept.values())
    entries = sorted((one for one in kept.values() if one.entry), key=lambda one: _used(one))
    leaving: list[Kept] = []
    for one in entries:
        if total <= most_bytes:
            break
        leaving.append(one)
        total -= one.bytes
    await map_bounded(lambda one: _delete(cache.storage, one.objects), leaving, limit=DELETES_AT_ONCE)
    return len(leaving), sum(one.bytes for one in leaving)


async def verify(cache: OutputCache) -> AsyncIterator[tuple[str, str | None]]:
    """Read every entry and its output, and remove those that are torn.

    Yields:
        For each entry, its key, and what is wrong with it; None if it is sound.
    """
    storage = cache.storage
    async for one in storage.entries(ENTRIES):
        if _ENTRY_KEY.fullmatch(one.key) is None:
            await storage.delete(one.key)
            yield one.key, "is not the name of an entry"
    kept = await _list(storage)
    keys = sorted(key for key, one in kept.items() if one.entry)
    for start in range(0, len(keys), READS_AT_ONCE):
        group = keys[start : start + READS_AT_ONCE]
        found = await map_bounded(lambda key: _verify(cache, key), group, limit=READS_AT_ONCE)
        for key, wrong in zip(group, found, strict=True):
            yield key, wrong
    await _delete(storage, await _leftovers(cache, await _list(storage)))


async def empty(cache: OutputCache) -> int:
    """Remove all entries and outputs, and nothing else; return the number of entries."""
    removed = await cache.storage.delete_folder(ENTRIES)
    await cache.storage.delete_folder(OUTPUTS)
    return removed


async def _verify(cache: OutputCache, key: str) -> str | None:
    """Compare an entry with its output; remove it if it is torn, and say what is wrong."""

    async def is_gone() -> bool:
        return await cache.storage.size(entry_key(key)) is None  # another process has removed it meanwhile

    if await is_gone():
        return None
    if (entry := await cache.find(key)) is None:
        return "its entry could not be read"
    try:
        digest, size = await cache.storage.digest(output_key(key, entry.sha256))
    except FileNotFoundError:
        if await is_gone():
            return None
        wrong = "its output is missing"
    else:
        if (digest, size) == (entry.sha256, entry.bytes):
            return None
        wrong = (
            f"its output has {size} bytes with sha256 {digest[:12]}… instead of {entry.bytes} with {entry.sha256[:12]}…"
        )
    await cache.remove(key, sha256=entry.sha256)
    return wrong


async def _list(storage: Storage) -> dict[str, Kept]:
    """Everything in a cache, by key. Entries first: each had its output before, so that it is found afterwards."""
    kept: dict[str, Kept] = {}
    async for one in storage.entries(ENTRIES):
        if match := _ENTRY_KEY.fullmatch(one.key):
            kept.setdefault(match[1], Kept()).entry = one
    async for one in storage.entries(OUTPUTS):
        if match := _OUTPUT_KEY.fullmatch(one.key):
            kept.setdefault(match[1], Kept()).outputs.append(one)
    return kept


async def _leftovers(cache: OutputCache, kept: dict[str, Kept]) -> list[StoredObject]:
    """Take out of `kept` what can't be used: entries without outputs, and old outputs that no entry names."""
    found: list[StoredObject] = []
    latest = datetime.now(UTC) - timedelta(seconds=UNFINISHED_SECONDS)
    for key, one in kept.items():
        named = None
        if one.entry and not one.outputs:
            found.append(one.entry)
            one.entry = None
        elif one.entry and len(one.outputs) > 1:
            entry = await cache.find(key)
            named = output_key(key, entry.sha256) if entry else None
        elif one.entry:
            continue
        old = [output for output in one.outputs if output.modified < latest and output.key != named]
        one.outputs = [output for output in one.outputs if output not in old]
        found += old
    if (folder := path_of(cache.storage.url)) is not None:
        for part in (folder, folder / ENTRIES, folder / OUTPUTS):
            remove_unfinished(part, older_than_seconds=UNFINISHED_SECONDS)
    return found


async def _delete(storage: Storage, objects: Iterable[StoredObject]) -> None:
    for one in objects:
        await storage.delete(one.key)


def _used(one: Kept) -> tuple[datetime, str]:
    assert one.entry is not None  # noqa: S101  sorted by it
    return one.entry.modified, one.entry.key
