"""What a run leaves for players in its job directory (see `tasks.run.preview`), read without following links."""

import os
import re
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from helios.job.held_path import open_own, read_own
from helios.media import playlist
from helios.models.paths import OWN_FOLDER
from tasks.run.preview import ACCEPTED, HEADER, PLAYLIST, WATCHED

SERVED = re.compile(rf"{re.escape(HEADER)}|segment-\d{{8,12}}\.m4s")
"""Names of files that players get, beside the playlist."""
TOUCH_SECONDS = 3.0
_SEGMENT = re.compile(r"^segment-(\d+)\.m4s$", re.MULTILINE)


@dataclass(frozen=True)
class Playable:
    """How far the video can be played."""

    frames: int
    """Frames of the video that are in the playlist."""
    seconds: float
    """Seconds that they take."""


class WatchedFolder:
    """One job's folder for players.

    Args:
        playlist: Path of the playlist, which need not be there yet.

    Raises:
        ValueError: It is in no such folder.
    """

    def __init__(self, playlist: Path) -> None:
        if playlist.name != PLAYLIST or OWN_FOLDER not in playlist.parts:
            raise ValueError(f"{playlist} is no playlist of this program's")
        self._folder = playlist.parent
        self._root = Path(*playlist.parts[: len(playlist.parts) - playlist.parts[::-1].index(OWN_FOLDER) - 1])
        self._touched = 0.0

    @property
    def is_here(self) -> bool:
        """Whether this machine has the folder."""
        return self._folder.is_dir()

    def read(self, name: str) -> bytes:
        """A file's content.

        Raises:
            OSError: It can't be read, or something else is in its place.
        """
        return read_own(self._folder / name, root=self._root)

    def playlist(self) -> str:
        """The playlist; empty while there is none."""
        with suppress(OSError):
            return self.read(PLAYLIST).decode()
        return ""

    def accepted(self) -> "Accepted":
        """What is rendered."""
        with suppress(OSError):
            return Accepted.read(self.read(ACCEPTED).decode())
        return Accepted(0, 0, {})

    def playable(self, text: str, accepted: "Accepted") -> Playable:
        """How far a playlist goes."""
        names = _SEGMENT.findall(text)
        last = int(names[-1]) if names else 0
        return Playable(last + accepted.frames.get(last, 0) if names else 0, sum(playlist.lengths(text)))

    def note_watcher(self) -> None:
        """Let the run know that somebody watches: it renders what comes next first."""
        if (now := time.monotonic()) < self._touched + TOUCH_SECONDS:
            return
        self._touched = now
        with suppress(OSError):
            file = open_own(self._folder / WATCHED, os.O_WRONLY, root=self._root)
            try:
                os.utime(file)
            finally:
                os.close(file)


@dataclass(frozen=True)
class Accepted:
    """Which frames of a video are rendered."""

    total: int
    """Frames of the video."""
    start: int
    """Number of its first frame in the job document."""
    frames: dict[int, int]
    """Of each accepted chunk, by its first frame in the video: how many it has."""

    @classmethod
    def read(cls, text: str) -> "Accepted":
        """From its lines; the last one may be torn."""
        total, start, frames = 0, 0, dict[int, int]()
        for line in text.split("\n")[:-1]:
            match line.split():
                case ["of", count, "from", first] if count.isdecimal() and first.isdecimal():
                    total, start = int(count), int(first)
                case [first, count] if count.isdecimal() and first.isdecimal():
                    frames[int(first)] = int(count)
        return cls(total, start, frames)

    def ranges(self) -> Iterable[tuple[int, int]]:
        """Begin and end of each range of frames without a gap, in order."""
        begin = end = -1
        for first in sorted(self.frames):
            if first != end:
                if end > begin:
                    yield begin, end
                begin = first
            end = first + self.frames[first]
        if end > begin:
            yield begin, end
