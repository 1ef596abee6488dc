"""Find outputs that are two to this program and one to the file system: it may fold case, or forms of Unicode.

APFS, NTFS, FAT and folders of ext4 with casefold take `A.mp4` for `a.mp4`; some take `ü` as one sign for `ü` as two, or
drop dots and spaces at the end. Which do, and how, is asked of the file system itself.
"""

import os
import shutil
import unicodedata
import uuid
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from helios.errors import RequestError


def check_names(outputs: Iterable[Path], *, mark: str) -> None:
    """Refuse outputs that would overwrite each other. Blocking: for names that are nearly alike it tries to write.

    Args:
        outputs: Paths that differ; each has a folder above it that exists.
        mark: Stands in the name of what is written to try it.

    Raises:
        RequestError: Names the first two.
    """
    alike: dict[str, list[Path]] = {}
    for output in outputs:
        alike.setdefault(_folded(output), []).append(output)
    for first, *others in alike.values():
        for other in others:
            if _are_one(first, other, mark=mark):
                raise RequestError(
                    f"The outputs {first} and {other} are one file to this file system, which does not tell their "
                    "names apart (capitals, forms of Unicode, dots or spaces at the end); give them names that differ "
                    "otherwise, or give a job directory on another file system (--job-dir)"
                )


def _folded(path: Path) -> str:
    """The same for all names that some file system takes for one."""
    parts = (unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", part).casefold()) for part in path.parts)
    return "/".join(part.rstrip(". ") or part for part in parts)


def _are_one(first: Path, second: Path, *, mark: str) -> bool:
    """Whether two names are one, in a folder made for this beside where they are to lie."""
    there = shared = Path(os.path.commonpath([first.parent, second.parent]))
    while not there.is_dir():
        there = there.parent
    probe = there / f".{uuid.uuid4().hex[:12]}{mark}probe"
    try:
        (one := probe / first.relative_to(shared)).parent.mkdir(parents=True)
        one.touch()
        return os.path.lexists(probe / second.relative_to(shared))
    except OSError:
        return False  # that shows later, or passes
    finally:
        with suppress(OSError):
            shutil.rmtree(probe)
