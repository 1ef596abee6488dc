"""What a chunk's command writes in its workspace, a video or images: verified, and handed over."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from helios.bounded import map_bounded
from helios.errors import HeliosError, OutputError
from helios.job.attempts import image_name
from helios.models.images import DeliveredImages, ImageKind, Known
from helios.models.spec import JobMetadata, RenderJobChunk
from helios.models.verification import VerifyLevel
from helios.worker.delivery import Keep

if TYPE_CHECKING:
    from helios.media.bounds import Bounds
    from helios.media.verify import VerifiedOutput
    from helios.media.verify_images import FoundImages

LOOK_SECONDS = 1.0
"""Between two looks for images that are finished while the command runs."""
QUIET_SECONDS = 5.0
"""Without a write, after which the image that was written to last is taken for finished: no other shows that it is."""
SENDS = 4
"""Images on their way at a time."""
MOST_KNOWN = 5000
"""Images whose digests an answer has: about 90 bytes each. Of more, the orchestrator lists the folder."""

_Stamp = tuple[int, int]
"""When a file was changed last, in ns, and its bytes."""
BoundsOf = Callable[[int], "Bounds"]
"""The bounds of reading so many frames, within the time that the worker has left."""


class Output(Protocol):
    """The output of one execution."""

    watched: Path
    """What grows while the command writes: a file, or a folder."""

    def clear(self) -> None:
        """Make its folder, and remove input files of its name: they would be taken for an idle command's output."""
        ...

    async def keep_finished(self, keep: Keep, bounds: BoundsOf) -> None:
        """Hand over what is finished while the command runs; never returns."""
        ...

    async def verify(self, bounds: BoundsOf) -> None:
        """Look whether it is what was ordered.

        Raises:
            OutputError: It is not.
        """
        ...

    async def hand_over(self, keep: Keep, bounds: BoundsOf, *, has_folder: bool) -> dict[str, Any]:
        """Hand over what is as ordered, also where the command failed, or `verify`.

        Args:
            keep: Takes files.
            bounds: Of reading.
            has_folder: Whether `keep` has a folder of the attempt's own; else outputs have their own names.

        Returns:
            Fields of a `ChunkAnswer`.
        """
        ...


def output_of(chunk: RenderJobChunk, metadata: JobMetadata, files: Path, *, level: VerifyLevel) -> Output:
    """The output of a chunk's command.

    Args:
        chunk: The chunk.
        metadata: Its job's.
        files: Where the command runs.
        level: How thoroughly it is verified.
    """
    kind = VideoOutput if chunk.images is None else ImagesOutput
    return kind(chunk, metadata, files, level=level)


@asynccontextmanager
async def beside(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Have work done beside the block, and end it with the block."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


class VideoOutput:
    """One file; see `Output`.

    Args:
        chunk: The chunk.
        metadata: Its job's.
        files: Where the command runs.
        level: How thoroughly it is verified.
    """

    def __init__(self, chunk: RenderJobChunk, metadata: JobMetadata, files: Path, *, level: VerifyLevel) -> None:
        self._chunk = chunk
        self._metadata = metadata
        self._files = files
        self._level = level
        self._verified: VerifiedOutput | None = None
        self.watched = files / chunk.output_file

    def clear(self) -> None:
        """Make its folder, and remove a file of its name."""
        self.watched.parent.mkdir(parents=True, exist_ok=True)
        self.watched.unlink(missing_ok=True)

    async def keep_finished(self, keep: Keep, bounds: BoundsOf) -> None:
        """Do nothing: a file is finished when its command has ended."""

    async def verify(self, bounds: BoundsOf) -> None:
        """Count its frames, and look into it as far as the level says."""
        from helios.media.verify import verify_output  # FFmpeg's libraries: not before there is something to read
        from helios.processes.reader import run_apart

        chunk, metadata = self._chunk, self._metadata
        _check_place(self.watched, self._files, chunk.output_file)
        self._verified = await run_apart(
            verify_output,
            self.watched,
            bounds=bounds(chunk.frame_count),
            frames=chunk.frame_count,
            fps=metadata.fps,
            width=metadata.width,
            height=metadata.height,
            level=self._level,
        )

    async def hand_over(self, keep: Keep, bounds: BoundsOf, *, has_folder: bool) -> dict[str, Any]:
        """Hand over the file, if it is verified."""
        if (verified := self._verified) is None:
            return {}
        name = f"output{self.watched.suffix}" if has_folder else self._chunk.output_file
        return {
            "artifact": await keep(self.watched, name, expected=verified.sha256),
            "frames": verified.frames,
            "verified": verified.level,
            "pictures": verified.pictures,
        }


class ImagesOutput:
    """Images with their frames' numbers, each of which is handed over by itself; see `Output`.

    Args:
        chunk: The chunk.
        metadata: Its job's.
        files: Where the command runs.
        level: How thoroughly they are verified: `pictures` are judged where all of them are.
    """

    def __init__(self, chunk: RenderJobChunk, metadata: JobMetadata, files: Path, *, level: VerifyLevel) -> None:
        assert chunk.images is not None  # noqa: S101  the caller has looked
        self._chunk = chunk
        self._metadata = metadata
        self._files = files
        self._level = VerifyLevel.DECODE if level is VerifyLevel.PICTURES else level
        self._pattern = chunk.images
        self._frames = range(chunk.start_frame, chunk.end_frame)
        self._before: set[str] = set()
        self._found: FoundImages | None = None
        self._sent: dict[int, Known] = {}
        self._prefix = ""
        self._kind: ImageKind | None = None
        self.watched = (files / chunk.output_file).parent

    def clear(self) -> None:
        """Make their folder, and remove files of their names."""
        self.watched.mkdir(parents=True, exist_ok=True)
        for frame in self._frames:
            (self.watched / self._pattern.name(frame)).unlink(missing_ok=True)
        self._before = set(os.listdir(self.watched))

    async def keep_finished(self, keep: Keep, bounds: BoundsOf) -> None:
        """Hand over images that are not written to any more, and are whole: they outlive this worker."""
        before: dict[int, _Stamp] = {}
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            now = await asyncio.to_thread(self._stamps)
            done = [frame for frame in _finished(now, before) if frame not in self._sent]
            before = now
            with suppress(HeliosError, OSError):  # all are handed over at the end
                if done and not self._wrong_numbers()[0]:
                    found = await self._look(done, bounds)
                    await self._send(found.whole, keep, has_folder=True, at_once=True)

    async def verify(self, bounds: BoundsOf) -> None:
        """Look at each; those that are as ordered stay so whatever the others are."""
        from helios.media.verify_images import FoundImages, explain_images

        found = await self._look(list(self._frames), bounds)
        numbered, others = self._wrong_numbers()
        # With numbers of its own, no image of the command is known to be the frame whose number it has.
        self._found = FoundImages() if numbered else found
        if found.faults or numbered:
            raise OutputError(explain_images(self._pattern, self._frames, found, numbered or others))

    async def hand_over(self, keep: Keep, bounds: BoundsOf, *, has_folder: bool) -> dict[str, Any]:
        """Hand over those that are whole; of images with wrong numbers one, from which the orchestrator sees it."""
        if self._found is None:
            with suppress(OutputError):  # why the command failed is what is said
                await self.verify(bounds)
        if (found := self._found) is None:
            return {}
        await self._send(found.whole, keep, has_folder=has_folder)
        if not has_folder:
            return {}
        for name in self._wrong_numbers()[0][:1]:
            await keep(self.watched / name, image_name(self._pattern.number(name) or 0, self._pattern.extension))
        if not found.whole:
            return {}
        known = found.whole if len(found.whole) <= MOST_KNOWN else {}
        delivered = DeliveredImages(prefix=self._prefix, suffix=self._pattern.extension, kind=found.kind, known=known)
        return {"images": delivered, "frames": len(found.whole), "verified": self._level}

    async def _look(self, frames: list[int], bounds: BoundsOf) -> FoundImages:
        """Read images; those that were handed over, and are as they were, are not decoded again."""
        from helios.media.verify_images import ImageOrder, verify_images
        from helios.processes.reader import run_apart

        _check_place(self.watched, self._files, self._chunk.output_file)
        found = await run_apart(
            verify_images,
            self.watched,
            frames,
            name=self._chunk.output_file,
            bounds=bounds(len(frames)),
            order=ImageOrder(self._pattern, self._metadata.width, self._metadata.height),
            known=self._sent,
            kind=self._kind,
            decode=self._level.covers(VerifyLevel.DECODE),
        )
        self._kind = found.kind
        return found

    async def _send(self, images: Mapping[int, Known], keep: Keep, *, has_folder: bool, at_once: bool = False) -> None:
        async def send(frame: int) -> None:
            extension = self._pattern.extension
            name = image_name(frame, extension) if has_folder else self._pattern.path(frame)
            path, sha256 = self.watched / self._pattern.name(frame), images[frame][1]
            kept = await keep(path, name, expected=sha256, at_once=at_once)
            self._sent[frame] = images[frame]
            self._prefix = kept.url.removesuffix(f"{frame}{extension}")

        await map_bounded(send, [frame for frame in images if self._sent.get(frame) != images[frame]], limit=SENDS)

    def _wrong_numbers(self) -> tuple[list[str], list[str]]:
        """New images whose number was not ordered, and all new ones that were not."""
        from helios.media.verify_images import other_images

        names: set[str] = set()
        with suppress(OSError):  # the command has removed the folder: then its images are missing
            names = set(os.listdir(self.watched))
        return other_images(names - self._before, self._pattern, self._frames)

    def _stamps(self) -> dict[int, _Stamp]:
        found = {}
        for frame in self._frames:
            with suppress(OSError):
                status = os.lstat(self.watched / self._pattern.name(frame))
                found[frame] = (status.st_mtime_ns, status.st_size)
        return found


def _finished(now: Mapping[int, _Stamp], before: Mapping[int, _Stamp]) -> list[int]:
    """The frames whose images are as they were, and of which a newer one shows that they are done, or time does."""
    newest = max((changed for changed, _ in now.values()), default=0)
    is_quiet = time.time_ns() - newest >= QUIET_SECONDS * 1e9
    return [frame for frame, stamp in now.items() if before.get(frame) == stamp and (is_quiet or stamp[0] < newest)]


def _check_place(path: Path, files: Path, name: str) -> None:
    """Refuse an output that is not where it seems to be.

    Raises:
        OutputError: It is a link, or lies behind one.
    """
    if not path.resolve().is_relative_to(files.resolve()):
        raise OutputError(f"{name} is a link that leaves the workspace")
