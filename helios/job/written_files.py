"""Find the videos that a command wrote which names its output in its own way, such as a job's merge command."""

import os
from collections.abc import Collection, Iterable, Iterator
from itertools import islice
from pathlib import Path

from helios.job.folder_walk import FolderWalk, Seen

VIDEOS = frozenset({".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".ts", ".mts", ".mxf", ".mpg", ".mpeg", ".gif"})
"""Extensions by which a video is known that no word of the command names."""
MAX_FILES = 50_000
"""A directory of more files is not looked through; files that words name are."""
_State = tuple[int, int, int]


class WrittenFiles:
    """What a command changes in its directory, and among the files that its words name. Made before it runs.

    Args:
        directory: Where it may write, without links in its path.
        words: Its words; of an option with a value (`--out=film.mp4`), also the value counts.
        cwd: Where it runs.
        others: Absolute paths of files that are not its result.
    """

    def __init__(self, directory: Path, words: Iterable[str], *, cwd: Path, others: Collection[Path]) -> None:
        self._directory = directory
        self._others = {str(path) for path in others}
        values = [text for word in words for text in (word, word.partition("=")[2]) if text and "\0" not in text]
        self._named = dict.fromkeys(os.path.realpath(cwd / text) for text in values)
        self._before = {path: _state(path) for path in (*self._named, *self._videos())}

    def named(self) -> list[Path]:
        """Files that words name, and that are new or changed."""
        return [Path(path) for path in self._named if self._is_written(path)]

    def videos(self) -> list[Path]:
        """Files that are called like a video, and are new or changed, and that no word names."""
        found = dict.fromkeys(self._videos())
        return [Path(path) for path in found if path not in self._named and self._is_written(path)]

    def _videos(self) -> Iterator[str]:
        files = islice(FolderWalk(self._directory, Seen()).files(), MAX_FILES)
        return (path for _, path in files if os.path.splitext(path)[1].lower() in VIDEOS)

    def _is_written(self, path: str) -> bool:
        now = _state(path)
        return path not in self._others and now is not None and now != self._before.get(path)


def _state(path: str) -> _State | None:
    """How a file looks; None if it is none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return (found.st_size, found.st_mtime_ns, found.st_ino) if os.path.isfile(path) else None
