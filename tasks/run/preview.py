"""The video as far as it is rendered, for players: a growing HLS playlist in the job directory.

JOB DIRECTORY/.helios/watch/JOB/video.m3u8           a line for each segment; the address that players take
JOB DIRECTORY/.helios/watch/JOB/header.mp4           the initialization segment
JOB DIRECTORY/.helios/watch/JOB/segment-00000120.m4s the chunk whose first frame is frame 120 of the video
JOB DIRECTORY/.helios/watch/JOB/accepted             a line for each accepted chunk: its first frame, and how many
JOB DIRECTORY/.helios/watch/JOB/sound.mp4            the job's sound file, laid as in the video, where it has one
JOB DIRECTORY/.helios/watch/JOB/watched              was touched by a player a moment ago

Segments are the chunks before which all are accepted. They are written beside other work, in a process of low priority,
and rendering does not depend on them: what goes wrong here is a warning. A chunk costs the same however many there are.
"""

import asyncio
import os
import shutil
import socket
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from fractions import Fraction
from pathlib import Path

from helios.errors import HeliosError
from helios.job.held_path import held_path, open_own, read_own
from helios.job.held_segment import write_segment_held, write_sound_held
from helios.media import playlist
from helios.media.bounds import joining_bounds, reading_bounds
from helios.media.span import Span
from helios.media.timing import Timing
from helios.models.paths import OWN_FOLDER
from helios.models.report import ChunkResult, path_of_url
from helios.models.spec import RenderJobChunk
from helios.processes.reader import run_apart
from tasks.prefect_api.log import RunLogger
from tasks.run.identity import RunIdentity
from tasks.run.ledger import Ledger
from tasks.run.progress import ProgressTracker

FOLDER = f"{OWN_FOLDER}/watch"
PLAYLIST, HEADER, SOUND, ACCEPTED, WATCHED = "video.m3u8", "header.mp4", "sound.mp4", "accepted", "watched"
"""Names of files there."""
FINISH_SECONDS = 10.0
"""So long a finished run waits for segments that are missing still: a run that renders has written them meanwhile."""
LOOK_SECONDS = 2.0
"""Between two looks at whether somebody watches …"""
WATCHED_SECONDS = 15.0
"""… who touched a file within this time: a player asks for the playlist more often."""


def segment_name(first: int) -> str:
    """The file of the segment that begins with a frame of the video."""
    return f"segment-{first:08}.m4s"


class Preview:
    """The playlist of one run; nothing where the job's chunks are no video, or where none is wanted.

    Args:
        identity: Which run.
        ledger: What is known of the chunks.
        progress: Told where the playlist is.
        log: The run's.
    """

    def __init__(self, identity: RunIdentity, ledger: Ledger, progress: ProgressTracker, log: RunLogger) -> None:
        job = identity.job
        self._job, self._ledger, self._progress, self._log = job, ledger, progress, log
        self._root = job.directory.path
        self.folder = self._root / FOLDER / identity.key
        """Where everything is."""
        self._times = job.from_source.order.times if job.from_source else None
        self._timing = Timing(job.spec.metadata.fps, self._times)
        self._start = job.spec.chunks[0].start_frame
        self._next = 0
        self._ready: dict[int, tuple[RenderJobChunk, ChunkResult]] = {}
        self._waiting: deque[tuple[RenderJobChunk, ChunkResult]] = deque()
        self._is_on = job.has_preview and identity.is_whole
        self._writing: asyncio.Task[None] | None = None
        self._listed: set[int] | None = None
        self._has_own_sound = self._has_file = False
        self._bytes = self._frames = 0
        self._looked, self._is_watched = -LOOK_SECONDS, False

    def add(self, chunk: RenderJobChunk, result: ChunkResult) -> None:
        """Take an accepted chunk, or another output of one that was rejected, and write its segment when it can be."""
        if not self._is_on:
            return
        first = chunk.start_frame - self._start
        self._ready[first] = chunk, result
        if first < self._next:
            self._waiting.append(self._ready.pop(first))
        while self._next in self._ready:
            part = self._ready.pop(self._next)
            self._waiting.append(part)
            self._next += part[0].frame_count
        self._note_accepted(first, result.frames)
        if self._waiting and (self._writing is None or self._writing.done()):
            self._writing = asyncio.create_task(self._write_waiting())

    @property
    def is_watched(self) -> bool:
        """Whether somebody watches."""
        if (now := time.monotonic()) >= self._looked + LOOK_SECONDS:
            self._looked = now
            try:
                self._is_watched = time.time() - (self.folder / WATCHED).lstat().st_mtime < WATCHED_SECONDS
            except OSError:
                self._is_watched = False
        return self._is_watched and self._is_on

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Begin anew, and at the end of the block, however it ends, end the playlist."""
        if self._is_on:
            try:
                await asyncio.to_thread(self._clear)
                self._progress.note(playlist=str(self.folder / PLAYLIST), host=socket.gethostname())
            except OSError as exc:
                self._give_up(f"{self.folder} can't be written: {exc.strerror}")
        try:
            yield
        finally:
            if self._writing is not None:
                self._writing.cancel()
                with suppress(asyncio.CancelledError):
                    await self._writing
            with suppress(OSError):
                await asyncio.to_thread(self._end)

    async def finish(self) -> None:
        """Wait until the segments of a run that is completed are there, but not long."""
        if self._writing is not None:
            await asyncio.wait([self._writing], timeout=FINISH_SECONDS)

    async def _write_waiting(self) -> None:
        while self._waiting and self._is_on:
            chunk, result = part = self._waiting.popleft()
            if self._is_taken_back(chunk, result):
                self._wait_again(part)
                continue
            try:
                await self._write(chunk, result)
            except (HeliosError, OSError, ValueError) as exc:
                if self._is_taken_back(chunk, result):
                    self._wait_again(part)
                else:
                    self._give_up(f"chunk {chunk.id}: {exc}")

    def _is_taken_back(self, chunk: RenderJobChunk, result: ChunkResult) -> bool:
        """Whether a chunk's output was rejected since: its file may be gone, and another one follows."""
        record = self._ledger.records.get(chunk.id)
        return record is None or record.result is not result

    def _wait_again(self, part: tuple[RenderJobChunk, ChunkResult]) -> None:
        """Leave a chunk, and those behind it, until it is accepted anew; what the playlist has keeps its place."""
        first = part[0].start_frame - self._start
        if self._listed is not None and first in self._listed:
            return
        self._ready |= {chunk.start_frame - self._start: (chunk, result) for chunk, result in self._waiting}
        self._waiting.clear()
        self._next = first

    async def _write(self, chunk: RenderJobChunk, result: ChunkResult) -> None:
        path = _video_of(result)
        if path is None:
            self._leave("its chunks are images, not joined here")
            return
        if self._listed is None:
            await self._prepare_sound()
        span = Span.of(self._timing, first=chunk.start_frame - self._start, frames=result.frames)
        size = await asyncio.to_thread(lambda: path.stat().st_size)
        self._bytes, self._frames = self._bytes + size, self._frames + result.frames
        if not await asyncio.to_thread(self._has_room):
            self._give_up(f"the disk of {self._root} has little more room than the job needs")
            return
        metadata = self._job.spec.metadata
        written = await run_apart(
            write_segment_held,
            path,
            name=f"Chunk {chunk.id}",
            bounds=joining_bounds(
                frames=span.frames, fps=span.fps, width=metadata.width, height=metadata.height, sizes=[size]
            ),
            place=self.folder / segment_name(span.first),
            root=self._root,
            span=span,
            header=HEADER if self._listed is None else None,
            own=self._ledger.siblings.sound if self._has_own_sound else None,
            sound=SOUND if self._has_file else None,
        )
        if not written.is_written:
            self._leave(f"players take no {written.codec}")
            return
        await asyncio.to_thread(self._list, span)

    async def _prepare_sound(self) -> None:
        """Decide where the sound comes from, before the header is written; a sound file is laid once."""
        order, metadata = self._job.sound, self._job.spec.metadata
        if order.file is None:
            self._has_own_sound = self._ledger.siblings.sound is not None
            return
        frames = metadata.total_frames
        try:
            self._has_file = await run_apart(
                write_sound_held,
                order.file,
                bounds=reading_bounds(frames=frames, width=metadata.width, height=metadata.height),
                place=self.folder / SOUND,
                root=self._root,
                order=order,
                timing=self._timing,
                frames=frames,
            )
        except HeliosError as exc:
            self._log.warning("What is watched has no sound: %s", exc)

    def _list(self, span: Span) -> None:
        """Append a segment to the playlist, which begins with the first one."""
        if self._listed is None:
            self._listed = set()
            text = playlist.begin(header=HEADER, longest=self._longest())
            self._append(PLAYLIST, text)
        if span.first in self._listed:
            self._log.info("The segment of frame %d was written again: its chunk was rejected", span.first)
            return
        self._listed.add(span.first)
        self._append(PLAYLIST, playlist.entry(segment=segment_name(span.first), seconds=span.duration))

    def _longest(self) -> Fraction:
        """Seconds of the longest segment that there may be."""
        spec = self._job.spec
        total = self._timing.seconds(spec.metadata.total_frames)
        if spec.grows:
            longest = spec.template.longest if spec.template is not None else None
            return total if longest is None or self._times is not None else min(total, longest / self._timing.fps)
        if self._times is None:
            return max(chunk.frame_count for chunk in spec.chunks) / self._timing.fps
        places = [(chunk.start_frame - self._start, chunk.end_frame - self._start) for chunk in spec.chunks]
        return max(self._timing.seconds(end) - self._timing.seconds(first) for first, end in places)

    def _has_room(self) -> bool:
        """Whether there is room for what is to be rendered, its video, and its segments."""
        total = self._job.spec.metadata.total_frames
        left, joined = max(total - self._frames, 0), total if self._job.output is not None else 0
        return shutil.disk_usage(self._root).free * self._frames > self._bytes * (joined + 2 * left)

    def _note_accepted(self, first: int, frames: int) -> None:
        with suppress(OSError):
            self._append(ACCEPTED, f"{first} {frames}\n")

    def _append(self, name: str, text: str) -> None:
        file = open_own(self.folder / name, os.O_WRONLY | os.O_APPEND, root=self._root)
        try:
            os.write(file, text.encode())
        finally:
            os.close(file)

    def _clear(self) -> None:
        """Remove what an earlier run of the job left; that somebody watches is not forgotten."""
        with held_path(self.folder / PLAYLIST, root=self._root, make=True) as held:
            for entry in os.scandir(held.parent):
                if entry.name != WATCHED and not entry.is_dir(follow_symlinks=False):
                    os.unlink(entry.path)
        self._append(ACCEPTED, f"of {self._job.spec.metadata.total_frames} from {self._start}\n")

    def _end(self) -> None:
        """Tell players that nothing follows."""
        if self._listed is None:
            return
        place = self.folder / PLAYLIST
        text = playlist.ended(read_own(place, root=self._root).decode())
        with held_path(place, root=self._root) as held:
            temporary = held.with_name(f".{PLAYLIST}.part")
            temporary.unlink(missing_ok=True)
            temporary.write_text(text)
            temporary.replace(held)

    def _leave(self, why: str) -> None:
        self._is_on = False
        self._progress.note(playlist="", host="")
        self._log.info("The video can't be watched while it is rendered: %s", why)

    def _give_up(self, why: str) -> None:
        self._is_on = False
        if self._listed is None:
            self._progress.note(playlist="", host="")
        self._log.warning("The video can't be watched any further while it is rendered: %s", why)


def _video_of(result: ChunkResult) -> Path | None:
    """A chunk's video; None for images from which none is made."""
    if result.encoded is not None:
        return path_of_url(result.encoded.url)
    return result.path if result.images is None else None
