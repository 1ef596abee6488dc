"""Output paths as a job document names them: relative, and inside the job directory."""

import posixpath
from typing import Annotated

from pydantic import AfterValidator

OWN_FOLDER = ".helios"
"""The folder inside a job directory that holds this program's own files."""


def check_relative_path(path: str) -> str:
    """Refuse a path that is absolute, empty, a folder, or leaves its base folder by `..`.

    Links are looked at when the job directory is known: `helios.job.directory.JobDirectory`.

    Raises:
        ValueError: Says what was expected.
    """
    expected = "a file's path inside the job directory"
    if not path or "\0" in path or path.endswith("/"):
        raise ValueError(expected)
    normal = posixpath.normpath(path)
    if normal.startswith("/") or normal.split("/")[0] in {"..", "."}:
        raise ValueError(f"{expected}: relative, and not above it")
    if normal.split("/")[0] == OWN_FOLDER:
        raise ValueError(f"{expected} and outside {OWN_FOLDER}/, which holds this program's own files")
    if max(len(part.encode()) for part in normal.split("/")) > 255:
        raise ValueError(f"{expected} with names of at most 255 bytes, the limit of file systems")
    return path


def check_pattern(pattern: str) -> str:
    """Refuse a glob pattern that is empty, absolute, or leaves its base folder by `..`.

    Raises:
        ValueError: Says what was expected.
    """
    parts = pattern.split("/")
    if not pattern or "\0" in pattern or pattern.startswith("/") or ".." in parts or parts[0] == OWN_FOLDER:
        raise ValueError("a glob pattern of files inside the job directory, such as scene/**")
    if any("**" in part and part != "**" for part in parts):
        raise ValueError("a glob pattern in which ** stands alone between slashes, such as scene/**/*.png")
    return pattern


OutputPath = Annotated[str, AfterValidator(check_relative_path)]
"""A file's path relative to the job directory."""
InputPattern = Annotated[str, AfterValidator(check_pattern)]
"""A glob pattern of files, relative to the job directory."""
