"""Output paths as a job document names them: relative, and inside the job directory."""

import posixpath
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, ValidationInfo

MAX_PATH = 4096
"""Characters of a path: PATH_MAX of Linux."""
MAX_FOLDERS = 64
"""Folders inside each other in a path."""
BACKSLASH = "\\"
"""Part of a name here; in documents of Windows it stands between folders."""
OWN_FOLDER = ".helios"
"""The folder inside a job directory that holds this program's own files."""


@dataclass(frozen=True)
class PathRules:
    """How far the paths of a document may lead above the folder of the document; the context of its validation."""

    levels: int = 0
    """Folders above it that belong to the job directory."""
    folder: Path | None = None
    """The folder of the document, without links; None where it is no file on this machine."""


def levels_above(path: str) -> int:
    """How many folders a relative path leads up before it leads down."""
    return sum(1 for _ in takewhile(lambda part: part == "..", posixpath.normpath(path).split("/")))


def check_relative_path(path: str, rules: PathRules = PathRules()) -> str:
    """Refuse a path that is absolute, empty, a folder, or leaves its base folder by `..` further than the rules say.

    Links are looked at when the job directory is known: `helios.job.directory.JobDirectory`.

    Raises:
        ValueError: Says what was expected.
    """
    expected = "a file's path inside the job directory"
    _check_extent(path)
    if not path or "\0" in path or path.endswith("/"):
        raise ValueError(expected)
    normal, levels = posixpath.normpath(path), levels_above(path)
    if levels > rules.levels and rules.folder is not None and levels <= len(rules.folder.parents):
        above = rules.folder.parents[levels - 1]
        raise ValueError(f"{expected}: relative, and not above it; or the job directory {above} (--job-dir {above})")
    if normal.startswith("/") or levels > rules.levels or normal.split("/")[levels:] in ([], ["."]):
        raise ValueError(f"{expected}: relative, and not above it")
    if normal.split("/")[levels] == OWN_FOLDER:
        raise ValueError(f"{expected} and outside {OWN_FOLDER}/, which holds this program's own files")
    try:
        path.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{expected}, of whole characters: half of a surrogate pair is none") from None
    if max(len(part.encode()) for part in normal.split("/")) > 255:
        raise ValueError(f"{expected} with names of at most 255 bytes, the limit of file systems")
    return path


def _check_extent(path: str) -> None:
    """Refuse a path that no file can have, before it is taken to pieces."""
    if len(path) > MAX_PATH:
        raise ValueError(f"a path of at most {MAX_PATH} characters")
    if path.count("/") > MAX_FOLDERS:
        raise ValueError(f"a path of at most {MAX_FOLDERS} folders")


def doubtful_name(video: str | None) -> str | None:
    """What to say of a video whose name has a backslash; None for any other, and for none."""
    if video is None or BACKSLASH not in video:
        return None
    return (
        f"The video's name {video!r} has a backslash in it, which makes no folder on this machine; if a folder is "
        f"meant, write {video.replace(BACKSLASH, '/')!r}"
    )


def check_pattern(pattern: str) -> str:
    """Refuse a glob pattern that is empty, absolute, or leaves its base folder by `..`.

    Raises:
        ValueError: Says what was expected.
    """
    _check_extent(pattern)
    parts = pattern.split("/")
    if not pattern or "\0" in pattern or pattern.startswith("/") or ".." in parts or parts[0] == OWN_FOLDER:
        raise ValueError("a glob pattern of files inside the job directory, such as scene/**")
    if any("**" in part and part != "**" for part in parts):
        raise ValueError("a glob pattern in which ** stands alone between slashes, such as scene/**/*.png")
    return pattern


def _check_path(path: str, info: ValidationInfo) -> str:
    return check_relative_path(path, info.context if isinstance(info.context, PathRules) else PathRules())


OutputPath = Annotated[str, AfterValidator(_check_path)]
"""A file's path relative to the job directory."""
InputPattern = Annotated[str, AfterValidator(check_pattern)]
"""A glob pattern of files, relative to the job directory."""
