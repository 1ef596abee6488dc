"""The folder in which a job's commands run and its outputs lie: nothing is written outside it."""

import errno
import os
import posixpath
import shutil
import stat
import uuid
from collections.abc import Iterable
from contextlib import AbstractContextManager, suppress
from pathlib import Path

from helios.errors import RequestError
from helios.job.held_path import held_path
from helios.job.one_name import check_names
from helios.models.paths import OWN_FOLDER
from helios.models.spec import JobSpec, RenderJobChunk

ATTEMPT = "-attempt-"
"""Stands in the name of every file that an attempt writes, and of no other file."""
MAX_NAME_BYTES = 255
"""The longest file name that common file systems take."""


class JobDirectory:
    """A job's folder.

    Args:
        path: An existing folder.
        base: A folder in it, in which commands run, and from which the document's paths lead; by default itself.

    Raises:
        RequestError: It does not exist, or is not a folder.
    """

    def __init__(self, path: Path, *, base: Path | None = None) -> None:
        if not path.is_dir():
            raise RequestError(f"The job directory {path} is not a directory; create it, or name another (--job-dir)")
        self.path = path.resolve()
        """The folder, without links. Nothing is written outside it."""
        self.base = self.path if base is None else base.resolve()
        """Where commands run, and what paths of the document are relative to: the folder, or one in it."""
        # Following links costs a look at every folder on the way, and many chunks share a folder. What
        # was found stays: a link that is changed while the job runs leads nowhere else.
        self._folders: dict[Path, Path] = {}
        self._without_links: set[Path] = set()

    def output(self, relative: str) -> Path:
        """Where an output of the spec lies.

        Raises:
            RequestError: A link on the way leads out of the job directory.
        """
        path = self.base / relative
        if (folder := self._folders.get(path.parent)) is None:
            folder = self._folders[path.parent] = path.parent.resolve()
        if not folder.is_relative_to(self.path):
            raise RequestError(
                f"The output file {relative!r} lies in {folder}, outside the job directory {self.path}; "
                "expected a path inside it"
            )
        if folder.is_relative_to(self.path / OWN_FOLDER):
            raise RequestError(f"The output file {relative!r} lies in {folder}, which holds this program's own files")
        return folder / path.name

    def outputs(self, chunk: RenderJobChunk) -> list[Path]:
        """Where a chunk's output lies: one file, or each of its images, in the order of their frames.

        Raises:
            RequestError: A link on the way leads out of the job directory.
        """
        if (images := chunk.images) is None:
            return [self.output(chunk.output_file)]
        folder = self.output(chunk.output_file).parent
        return [folder / images.name(frame) for frame in range(chunk.start_frame, chunk.end_frame)]

    def check(self, spec: JobSpec) -> None:
        """Refuse a spec whose outputs leave the folder, meet in one file by way of links, or are directories.

        Raises:
            RequestError: Names the outputs.
        """
        self.check_own_folders(self.path)
        seen: dict[Path, str] = {}
        outputs = [(path, chunk.output_file) for chunk in spec.ordered_chunks for path in self.outputs(chunk)]
        if spec.output_file:
            outputs.append((self.output(spec.output_file), spec.output_file))
        for path, name in outputs:
            try:
                is_folder = path.is_dir() and not path.is_symlink()
            except OSError as exc:  # longer than the system's paths, for example
                raise RequestError(f"The output file {name!r} can't be used ({exc.strerror}); rename it") from None
            if is_folder:
                raise RequestError(
                    f"The output file {name!r} is a directory; remove it, or name another file. Images in it are named "
                    f"with their frames' number: {posixpath.join(name, 'frame_####.png')!r}"
                )
            self.check_own_folders(path.parent)
            if path in seen:
                raise RequestError(f"The output files {seen[path]!r} and {name!r} are one file, {path}; expected two")
            seen[path] = name

    def check_own_folders(self, folder: Path) -> None:
        """Refuse a folder of this program's own that is a link: what is written there would go elsewhere.

        Args:
            folder: The job directory, or one in it that has outputs: both have such folders.

        Raises:
            RequestError: Names the link.
        """
        if folder in self._without_links:
            return
        self._without_links.add(folder)
        own = folder / OWN_FOLDER
        for path in (own, *_entries(own)):
            with suppress(OSError):
                if path.is_symlink():
                    raise RequestError(
                        f"{path} is a link to {os.readlink(path)}: this program's own files would be written there; "
                        "remove the link, or give another job directory (--job-dir)"
                    )

    def check_writable(self, outputs: Iterable[Path]) -> None:
        """Refuse outputs in folders in which nothing can be written, or where nobody else's files can be moved.

        Outputs whose names the file system does not tell apart are refused, too.

        Blocking: it tries to write.

        Raises:
            RequestError: Names the first such folder or file, and why.
        """
        outputs = list(outputs)
        for folder in dict.fromkeys(output.parent for output in outputs):
            there = folder
            while not os.path.lexists(there):
                there = there.parent
            try:
                _try_to_write(there)
            except OSError as exc:
                raise RequestError(
                    f"Nothing can be written in {folder}, where outputs are to lie ({exc.strerror}: {there}); mend its "
                    "rights, or give another job directory (--job-dir)"
                ) from None
        _check_sticky(outputs)
        check_names(dict.fromkeys(outputs), mark=ATTEMPT)

    def held(self, path: Path, *, make: bool = False) -> AbstractContextManager[Path]:
        """Within a block, a path to the same file through its folder's handle; see `helios.job.held_path`."""
        return held_path(path, root=self.path, make=make)

    def attempt(self, output: Path, *, owner: str, token: str) -> Path:
        """Where an attempt writes instead of `output`: the same folder and extension, a name of its own.

        Args:
            output: The chunk's output.
            owner: Names the job; short, and fit for a file name.
            token: Tells the job's attempts at this output apart.
        """
        ending = f"{ATTEMPT}{owner}-{token}{output.suffix}"
        stem = output.stem.encode()[: MAX_NAME_BYTES - len(ending.encode())].decode(errors="ignore")
        return output.with_name(stem + ending)

    def remove_attempts(self, outputs: Iterable[Path], *, owner: str, kept: str | None = None) -> int:
        """Remove files that ended attempts of a job left; return the number of files.

        Args:
            outputs: The job's outputs.
            owner: As in `attempt`.
            kept: The stem of names that stay.
        """
        removed, mark = 0, f"{ATTEMPT}{owner}-"
        for folder in {output.parent for output in outputs}:
            if not folder.is_dir():
                continue
            with self.held(folder / ATTEMPT) as held:
                with os.scandir(held.parent) as entries:
                    leftovers = [
                        entry.path
                        for entry in entries
                        if mark in entry.name and (kept is None or not entry.name.startswith(f"{kept}{mark}"))
                    ]
                for path in leftovers:
                    with suppress(FileNotFoundError):  # its owner may remove it too
                        if os.path.isdir(path) and not os.path.islink(path):
                            shutil.rmtree(path)
                        else:
                            os.unlink(path)
                        removed += 1
        return removed

    def log(self, run_id: str, chunk_id: int, attempt: int) -> Path:
        """Where the full output of an attempt's command goes."""
        return self.logs(run_id) / f"chunk-{chunk_id}.attempt-{attempt}.log"

    def logs(self, run_id: str) -> Path:
        """The folder of the full outputs of a run's commands."""
        return self.path / OWN_FOLDER / "logs" / run_id


def _entries(folder: Path) -> list[Path]:
    """What is in a folder; nothing where it can't be looked into."""
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def _check_sticky(outputs: list[Path]) -> None:
    """Refuse outputs whose names other users' files have, in a folder such as /tmp, where only owners move files."""
    user = os.geteuid()
    for folder in {output.parent for output in outputs} if user else ():
        with suppress(OSError):
            found = folder.stat()
            if not found.st_mode & stat.S_ISVTX or found.st_uid == user:
                continue
            for output in outputs:
                if output.parent == folder and os.path.lexists(output) and output.lstat().st_uid != user:
                    raise RequestError(
                        f"{output} is another user's, and in {folder} only owners can move or replace files (sticky "
                        "bit): remove it as its owner, or give another job directory (--job-dir)"
                    )


def _try_to_write(folder: Path) -> None:
    """Make a file in a folder, and remove it: rights alone don't tell of read-only disks and of immutable folders.

    Raises:
        OSError: It can't be made, for a reason that lasts.
    """
    probe = folder / f".{uuid.uuid4().hex[:12]}{ATTEMPT}probe"
    try:
        os.close(os.open(probe, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC))
    except OSError as exc:
        if exc.errno in (errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.EIO, errno.ESTALE):
            return  # passes, or shows later
        raise
    os.unlink(probe)
