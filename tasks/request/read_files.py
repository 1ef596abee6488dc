"""The files that a request names to be read, whose names no output may have; and those that count as none."""

import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from helios.batch.outputs import OTHER_ROWS, list_outputs
from helios.job.directory import JobDirectory
from helios.job.selection import excluded_files, has_wildcard
from helios.models.spec import JobSpec
from tasks.request.request import RenderRequest, is_elsewhere


def read_by_name(request: RenderRequest, spec: JobSpec, directory: JobDirectory) -> dict[str, Iterable[Path]]:
    """Files that the request and the document name to be read, and that this process prints into, by what they are."""
    document = [Path(request.source)] if request.source is not None and not is_elsewhere(request.source) else []
    audio = [directory.path / Path(request.audio_file).expanduser()] if request.audio_file is not None else []
    patterns = [*(spec.inputs or ()), *(pattern for chunk in spec.chunks for pattern in chunk.inputs or ())]
    return {
        "the job document": document,
        "the sound that is asked for (--audio)": audio,
        "a named input file": [directory.path / name for name in dict.fromkeys(patterns) if not has_wildcard(name)],
        "the file that this process prints into": own_streams(),
    }


def own_streams() -> set[Path]:
    """The files that this process prints into: they change while the job runs, and no command reads them."""
    found = set()
    for number in (1, 2):
        with suppress(OSError):
            if stat.S_ISREG(os.fstat(number).st_mode):
                found.add(Path(os.readlink(f"/proc/self/fd/{number}")))
    return found


def excluded(spec: JobSpec, directory: Path) -> frozenset[Path]:
    """The files that the document says are no inputs."""
    patterns = [pattern for pattern in spec.exclude or () if pattern != OTHER_ROWS]
    rows = list_outputs(directory) if spec.exclude and OTHER_ROWS in spec.exclude else frozenset[Path]()
    return excluded_files(directory, patterns) | rows
