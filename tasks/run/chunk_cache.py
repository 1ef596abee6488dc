"""A run's use of a cache of outputs: which chunks are in it, and what this run puts into it.

The cache never fails a run: the first time that it can't be read or written, a warning says so, and the run goes on
without it. Nothing is put into it that was rendered after an input had changed: entries are found by what the inputs
were at the run's start.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from helios.bounded import map_bounded
from helios.errors import HeliosError
from helios.job.content_key import content_key
from helios.models.report import ChunkResult
from helios.models.spec import RenderJobChunk
from helios.sizes import write_size
from helios.storage.cache_upkeep import trim
from helios.storage.output_cache import CachedImages, CacheEntry, OutputCache
from tasks.prefect_api.log import RunLogger
from tasks.run.identity import RunIdentity
from tasks.run.image_packing import content_of, packed
from tasks.run.inputs import RunInputs

LOOKS_AT_ONCE = 32
PUTS_AT_ONCE = 4
"""Outputs that are copied into the cache at a time, beside the commands."""


@dataclass(frozen=True)
class _Waiting:
    """What is to be written into the cache."""

    chunk: RenderJobChunk
    entry: CacheEntry
    result: ChunkResult | None
    """The output; None if it is in the cache already."""


class ChunkCache:
    """The cache of one run; does nothing where the job has none.

    Args:
        identity: The run.
        inputs: What its chunks are rendered from.
        log: The run's.
    """

    def __init__(self, identity: RunIdentity, inputs: RunInputs, log: RunLogger) -> None:
        choice = identity.job.cache
        self._cache: OutputCache | None = choice.cache if choice else None
        self._most_bytes = choice.most_bytes if choice else 0
        self._is_read = choice is not None and choice.is_read
        self._identity = identity
        self._inputs = inputs
        self._log = log
        self._found: dict[int, CacheEntry] = {}
        self._digests: dict[int, str] = {}
        self._keys: dict[int, str | None] = {}
        self._waiting: list[_Waiting] = []
        self._writing: asyncio.Task[None] | None = None
        self._has_put = False

    async def look_up(self, chunks: Sequence[RenderJobChunk]) -> set[int]:
        """Find the chunks whose outputs are in the cache; return their ids."""
        if self._cache is None or not self._is_read:
            return set()

        async def look(chunk: RenderJobChunk) -> None:
            key, cache = self._key(chunk), self._cache
            if key is not None and cache is not None and (entry := await cache.find(key)) is not None:
                self._found[chunk.id] = entry

        try:
            await map_bounded(look, chunks, limit=LOOKS_AT_ONCE)
        except (HeliosError, OSError) as exc:
            self._give_up(exc)
            self._found.clear()
        return set(self._found)

    async def fetch(self, chunk: RenderJobChunk, path: Path) -> CacheEntry | None:
        """Copy the output of a chunk that was found; None where it can't be had, and the chunk is to be rendered."""
        key, cache, entry = self._key(chunk), self._cache, self._found.get(chunk.id)
        if key is None or cache is None or entry is None:
            return None
        try:
            if await cache.fetch(key, entry, path):
                return entry
        except (HeliosError, OSError) as exc:
            self._give_up(exc)
            return None
        del self._found[chunk.id]
        self._log.warning("Chunk %d is rendered: its output in the cache was damaged, and is removed", chunk.id)
        return None

    def keep(self, chunk: RenderJobChunk, result: ChunkResult, *, is_rendered: bool) -> None:
        """Put an accepted output into the cache, soon and beside other work; or note that it was used, if it is there.

        Args:
            chunk: The chunk.
            result: Its output.
            is_rendered: Whether this run has rendered it. What an earlier run rendered is not put: the inputs that it
                had are not known for certain.
        """
        found = self._found.pop(chunk.id, None)
        is_there = found is not None and content_of(found) == result.artifact.sha256
        if self._cache is None or self._key(chunk) is None or not (is_there or is_rendered):
            return
        if is_there and found is not None:
            self._digests[chunk.id] = found.sha256
        entry = found if is_there and found and found.verified.covers(result.verified) else self._entry(result)
        self._waiting.append(_Waiting(chunk, entry, None if is_there else result))
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write_waiting())

    async def forget(self, chunk: RenderJobChunk) -> None:
        """Take an output out of the cache that was found wrong after it had been accepted."""
        self._waiting = [one for one in self._waiting if one.chunk.id != chunk.id]
        await self.settle()
        key, digest = self._key(chunk), self._digests.pop(chunk.id, None)
        if self._cache is None or key is None or digest is None:
            return
        try:
            await self._cache.remove(key, sha256=digest)
        except (HeliosError, OSError) as exc:
            self._give_up(exc)

    async def settle(self) -> None:
        """Wait until what was to be kept is in the cache."""
        if self._writing is not None:
            await asyncio.wait([self._writing])

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """At the end of the block, wait for what is to be kept, and bring the cache back to its size.

        A run that is cancelled waits for nothing.
        """
        try:
            try:
                yield
            except Exception:
                await self._finish()
                raise
            await self._finish()
        finally:
            if self._writing is not None:
                self._writing.cancel()

    async def _finish(self) -> None:
        await self.settle()
        if self._cache is None or not self._has_put:
            return
        try:
            removed, freed = await trim(self._cache, most_bytes=self._most_bytes)
        except (HeliosError, OSError) as exc:
            self._give_up(exc)
            return
        if removed:
            self._log.info("%d outputs left the cache, %s, to keep it below %s",
                           removed, write_size(freed), write_size(self._most_bytes))  # fmt: skip

    async def _write_waiting(self) -> None:
        while self._waiting and self._cache is not None:
            batch, self._waiting = self._waiting, []
            try:
                # All of the batch was rendered by now: if nothing has changed yet, nothing had when it was.
                if changed := await self._inputs.changed_meanwhile():
                    self._cache = None
                    self._log.warning("%s changed while chunks were rendered: no more outputs are put into the cache",
                                      changed[0])  # fmt: skip
                    return
                await map_bounded(self._write, batch, limit=PUTS_AT_ONCE)
            except Exception as exc:  # noqa: BLE001  whatever happens to the cache, the run goes on
                self._give_up(exc)

    async def _write(self, one: "_Waiting") -> None:
        key, cache = self._key(one.chunk), self._cache
        if key is None or cache is None:
            return
        if one.result is None:
            await cache.note(key, one.entry)
            return
        async with packed(one.result, one.entry, self._identity) as (entry, path):
            self._digests[one.chunk.id] = entry.sha256
            if await cache.put(key, entry, path):
                self._has_put = True

    def _entry(self, result: ChunkResult) -> CacheEntry:
        return CacheEntry(
            sha256=result.artifact.sha256,
            bytes=result.artifact.bytes,
            verified=result.verified,
            pictures=result.pictures,
            images=CachedImages(kind=result.images.kind, sha256=result.artifact.sha256) if result.images else None,
            quality=result.quality,
            render_ms=result.render_ms,
            adapter=result.adapter,
            rendered_by=result.rendered_by,
            run_id=self._identity.run_id,
        )

    def _key(self, chunk: RenderJobChunk) -> str | None:
        """The chunk's content key; None where it is not known all that its command reads."""
        if chunk.id not in self._keys:
            spec, inputs = self._identity.job.spec, self._inputs.digest_of(chunk)
            is_known = inputs is not None and (spec.assets_url is None or self._identity.job.input_rules.revision)
            self._keys[chunk.id] = (
                content_key(chunk, spec.metadata, inputs=self._inputs_of(chunk, inputs)) if is_known else None
            )
        return self._keys[chunk.id]

    def _inputs_of(self, chunk: RenderJobChunk, digest: str | None) -> str:
        """All that decides about an output besides its order; parts of images may come of the command for ranges."""
        spec = self._identity.job.spec
        ranges = f" {spec.range_command}" if chunk.images is not None and spec.range_command is not None else ""
        return f"{spec.assets_url} {digest}{ranges}"

    def _give_up(self, error: Exception) -> None:
        if self._cache is not None:
            url, self._cache = self._cache.storage.url, None
            self._log.warning("The cache %s is not used any more in this run: %s", url, error)
