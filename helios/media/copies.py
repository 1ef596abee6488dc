"""Chunks that hold the same pictures, packet by packet: where a command does not begin at its own frame, all do.

Equal packets are counted at every level of verification. Only where there are any, one of the files is looked into.
"""

from __future__ import annotations  # array.array is generic in its stubs alone

import threading
from array import array
from collections.abc import Iterator, Set
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

import av

from helios.media.fingerprints import PictureTaker
from helios.media.numbers import Numbers, distance, shifts
from helios.media.opening import open_media
from helios.media.verify import VerificationStoppedError
from helios.models.pictures import PictureFault, PictureFinding
from helios.models.spec import RenderJobChunk

STILL, STILL_COLOUR = 0.7, 1.3
"""Levels, in luma and in chroma. By so much a picture differs from itself encoded again (x264, crf 12 to 30)."""
EVEN = 3.0
"""Motion is even if the largest step is at most this many times the mean step. Cuts are larger."""
ROUND = 1.15
"""A loop's end leads back to its begin by at most this many times the largest step. A loop rightly repeats itself."""
NAMED = 5
"""Chunks that a message names."""
MOST_GROUPS = 20
"""Groups of equal chunks that are told apart."""


class Motion(Enum):
    """What the pictures of a chunk do."""

    STILL = "still"
    """They are one picture."""
    LOOP = "loop"
    """They move evenly, and their end leads back to their begin: the same again may follow."""
    MOVING = "moving"
    """Anything else."""


@dataclass
class _Group:
    """Chunks of equal packets."""

    chunks: dict[int, RenderJobChunk] = field(default_factory=dict)
    """By id."""
    motion: Motion | None = None
    """What their pictures do, once looked at."""


class Copies:
    """Takes the chunks of a job as they are accepted, each with the digest of its packets."""

    def __init__(self) -> None:
        self._groups: dict[str, _Group] = {}
        self._digests: dict[int, str] = {}

    def add(self, chunk: RenderJobChunk, packets: str) -> bool:
        """Take a chunk.

        Args:
            chunk: It was accepted.
            packets: `VerifiedOutput.packets`.

        Returns:
            Whether it is time to look at its pictures: it is the first that has the packets of another.
        """
        group = self._groups.setdefault(packets, _Group())
        group.chunks[chunk.id] = chunk
        self._digests[chunk.id] = packets
        return len(group.chunks) > 1 and group.motion is None

    def judge(self, packets: str, motion: Motion) -> None:
        """Write down what the pictures of equal chunks do."""
        self._groups[packets].motion = motion

    def remove(self, chunk_id: int) -> None:
        """Forget a chunk that is rendered again."""
        if (packets := self._digests.pop(chunk_id, None)) is not None:
            self._groups[packets].chunks.pop(chunk_id, None)

    def findings(self, *, total: int, named: Set[int] = frozenset()) -> list[PictureFinding]:
        """What is suspicious, one finding for each group of equal chunks.

        One still picture, such as a black title, is not, unless it is the whole video.

        Args:
            total: The number of the job's chunks.
            named: Ids of chunks that are known to repeat others, and need no second warning.
        """
        found = list(self._found(total, named))
        if len(found) <= MOST_GROUPS:
            return found
        last = found[MOST_GROUPS - 1]
        more = f"{last.message}. Chunks of {len(found) - MOST_GROUPS} further kinds are equal, too"
        return [*found[: MOST_GROUPS - 1], last.model_copy(update={"message": more})]

    def _found(self, total: int, named: Set[int]) -> Iterator[PictureFinding]:
        for group in self._groups.values():
            if len(group.chunks) < 2:  # as nearly all
                continue
            chunks = sorted(group.chunks.values(), key=lambda chunk: chunk.start_frame)
            is_whole = group.motion is Motion.STILL and len(chunks) == total
            is_suspicious = group.motion is Motion.MOVING and not {chunk.id for chunk in chunks[1:]} <= named
            if is_whole or is_suspicious:
                yield PictureFinding(
                    kind=PictureFault.COPY,
                    chunk_id=chunks[1].id,
                    frame=chunks[1].start_frame,
                    other_chunk_id=chunks[0].id,
                    other_frame=chunks[0].start_frame,
                    message=_whole(chunks) if is_whole else _same(chunks),
                )


def look_at(path: Path, *, stop: threading.Event | None = None) -> Motion:
    """Decode a verified chunk, and say what its pictures do.

    Args:
        path: The chunk.
        stop: Set by another thread to end this early.

    Raises:
        VerificationStoppedError: `stop` was set.
    """
    watch = _Watch()
    try:
        with open_media(path) as file:
            for picture in file.decode(video=0):
                if stop is not None and stop.is_set():
                    raise VerificationStoppedError(f"Looking at {path.name} was stopped")
                watch.take(picture)
    except (av.FFmpegError, OSError):
        return Motion.MOVING  # at the level `container` nobody knows whether it can be decoded
    return watch.motion


class _Watch(PictureTaker):
    """Measures pictures, and keeps two of them."""

    def __init__(self) -> None:
        super().__init__()
        self._begin: Numbers | None = None
        self._now: Numbers | None = None
        self._apart = self._colour_apart = self._largest = self._sum = 0.0
        self._steps_taken = 0

    def add(self, now: array[int]) -> None:
        if self._begin is None or self._now is None:
            self._begin = self._now = now
            return
        self._apart = max(self._apart, distance(self._begin, now))
        self._colour_apart = max(self._colour_apart, abs(shifts(self._begin, now)[1]))
        step = distance(self._now, now)
        self._largest, self._sum, self._steps_taken = max(self._largest, step), self._sum + step, self._steps_taken + 1
        self._now = now

    @property
    def motion(self) -> Motion:
        if self._apart <= STILL and self._colour_apart <= STILL_COLOUR:
            return Motion.STILL
        assert self._begin is not None  # noqa: S101  there are two pictures that differ
        assert self._now is not None  # noqa: S101  likewise
        is_even = self._largest <= EVEN * self._sum / self._steps_taken
        goes_round = distance(self._now, self._begin) <= ROUND * self._largest
        return Motion.LOOP if is_even and goes_round else Motion.MOVING


def _same(chunks: list[RenderJobChunk]) -> str:
    ranges = ", ".join(chunk.frames.removeprefix("frames ") for chunk in chunks[:2])
    return (
        f"chunks {_listed([str(chunk.id) for chunk in chunks])} hold the same pictures, packet by packet, for "
        f"different frames ({ranges}{', …' if len(chunks) > 2 else ''}): does each command begin at its own frame?"
    )


def _whole(chunks: list[RenderJobChunk]) -> str:
    return f"all {len(chunks)} chunks hold the same still picture: is it what was to be rendered?"


def _listed(words: list[str]) -> str:
    if more := max(len(words) - NAMED, 0):
        return f"{', '.join(words[:NAMED])} and {more} more"
    return f"{', '.join(words[:-1])} and {words[-1]}"
