"""Put a sequence's images into artifact storage, each soon after its chunk was accepted; see to it that all are there.

Storage tells with a listing what it has: each object's size, and its tag, which is another one after each write. Which
digest belongs to which tag is on record in the job directory, a line for each image that was sent. So a run that is
started again sends what is missing, and reads back only what a run sent whose process died before it wrote the line.
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from helios.bounded import map_bounded
from helios.errors import HeliosError, RequestError, WorkerUnavailableError
from helios.job.held_path import open_own, read_own
from helios.models.images import Known
from helios.models.paths import OWN_FOLDER
from helios.models.report import ChunkResult
from helios.storage.folder import Storage
from helios.storage.stores import StoredObject
from tasks.prefect_api.log import RunLogger
from tasks.request.prepare import PreparedJob
from tasks.run.chunk_record import ChunkRecord
from tasks.run.image_report import Delivered

SENT_AT_ONCE = 8
"""Images on their way at a time."""


class _Image(NamedTuple):
    key: str
    path: Path
    known: Known


class ImageDelivery:
    """The delivery of one run's images; does nothing where the job has none.

    Args:
        job: The job.
        log: The run's.
    """

    def __init__(self, job: PreparedJob, log: RunLogger) -> None:
        self._storage: Storage | None = job.images_to
        self._log = log
        self._job = job
        self._root = job.directory.path
        self._folder = image_folder(job)
        self._there: dict[str, Known] = {}
        self._unread: dict[str, int] = {}
        self._sent = 0
        self._is_open = False
        self._waiting: list[ChunkResult] = []
        self._sending: asyncio.Task[None] | None = None
        self._turn = asyncio.Lock()

    def send(self, result: ChunkResult) -> None:
        """Send an accepted chunk's images soon, beside other work. What fails is tried again by `finish`."""
        if self._storage is None or result.images is None:
            return
        self._waiting.append(result)
        if self._sending is None or self._sending.done():
            self._sending = asyncio.create_task(self._send_waiting())

    async def finish(self, records: Iterable[ChunkRecord]) -> Delivered | None:
        """Wait until all images are in storage; say where. None where they are to be in the job directory alone.

        Args:
            records: All chunks, accepted.

        Raises:
            HeliosError: Some can't be sent; says where they lie instead.
        """
        if self._storage is None:
            return None
        if self._sending is not None:
            await asyncio.wait([self._sending])
        try:
            for record in records:
                if record.result is not None:
                    await self._deliver(record.result)
        except (HeliosError, OSError) as exc:
            raise WorkerUnavailableError(
                f"{exc}\n  The images are finished, and lie in {self._folder}; a run that is started again sends those "
                f"that {self._storage.url} lacks"
            ) from exc
        name = Path(self._job.chunks[0].output_file).name
        return Delivered(self._storage.url_of(name), self._sent)

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """At the end of the block, however it ends, send nothing any more."""
        try:
            yield
        finally:
            if self._sending is not None:
                self._sending.cancel()
                with suppress(asyncio.CancelledError):
                    await self._sending

    async def _send_waiting(self) -> None:
        while self._waiting:
            result = self._waiting.pop(0)
            try:
                await self._deliver(result)
            except (HeliosError, OSError) as exc:  # also of a chunk that was rendered again meanwhile
                self._log.warning("Images of chunk %d are sent later: %s", result.chunk_id, exc)
                self._waiting.clear()  # storage is away, or closed: the end is soon enough to try again

    async def _deliver(self, result: ChunkResult) -> None:
        async with self._turn:
            if not self._is_open:
                await self._look()
            missing = [image for image in self._images(result) if self._there.get(image.key) != image.known]
            await map_bounded(self._deliver_image, missing, limit=SENT_AT_ONCE)

    def _images(self, result: ChunkResult) -> Iterator[_Image]:
        assert result.images is not None  # noqa: S101  a job's chunks all write images, or none
        for path, known in zip(result.files, result.images.digests, strict=True):
            yield _Image(path.relative_to(self._folder).as_posix(), path, known)

    async def _deliver_image(self, image: _Image) -> None:
        storage, (size, digest) = self._storage, image.known
        assert storage is not None  # noqa: S101  nothing is sent otherwise
        if self._unread.pop(image.key, None) == size:
            with suppress(FileNotFoundError, RequestError):
                if await storage.digest(image.key) == (digest, size):
                    self._there[image.key] = image.known
                    return
        stored = await storage.upload_tagged(image.path, image.key, expected=digest)
        self._there[image.key] = image.known
        self._sent += 1
        await asyncio.to_thread(self._record, image.key, image.known, stored.tag)

    async def _look(self) -> None:
        """Find out what is there, by a listing and the record."""
        assert self._storage is not None  # noqa: S101  nothing is sent otherwise
        recorded = await asyncio.to_thread(self._read_record)
        try:
            found = [entry async for entry in self._storage.entries()]
        except RequestError as exc:
            self._log.info("Every image is sent, since what is there can't be listed: %s", exc)
            found = list[StoredObject]()
        for entry in found:
            known, tag = recorded.get(entry.key, ((-1, ""), None))
            if tag is not None and (tag, known[0]) == (entry.tag, entry.bytes):
                self._there[entry.key] = known
            else:
                self._unread[entry.key] = entry.bytes
        self._is_open = True

    @property
    def _record_path(self) -> Path:
        assert self._storage is not None  # noqa: S101  nothing is sent otherwise
        name = sha256(self._storage.url.encode()).hexdigest()[:16]
        return self._root / OWN_FOLDER / "sent-images" / f"{name}.jsonl"

    def _read_record(self) -> dict[str, tuple[Known, str | None]]:
        """What was sent there so far; the last line of a process that died may be torn."""
        found: dict[str, tuple[Known, str | None]] = {}
        with suppress(OSError):
            for line in read_own(self._record_path, root=self._root).splitlines():
                with suppress(ValueError, TypeError):
                    key, size, digest, tag = json.loads(line)
                    found[key] = ((size, digest), tag)
        return found

    def _record(self, key: str, known: Known, tag: str | None) -> None:
        """Write a line; without it, the image is read back by the next run."""
        line = json.dumps([key, *known, tag]).encode() + b"\n"
        with suppress(OSError):
            file = open_own(self._record_path, os.O_WRONLY | os.O_APPEND, root=self._root)
            try:
                os.write(file, line)
            finally:
                os.close(file)


def image_folder(job: PreparedJob) -> Path:
    """The folder that all images of a job lie in, or below."""
    folders = {str(job.directory.output(chunk.output_file).parent) for chunk in job.spec.chunks}
    return Path(os.path.commonpath(folders))
