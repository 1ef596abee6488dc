"""Two jobs must not write one file: a run claims the names of its outputs before anything runs.

FOLDER/.helios/claims/RUN-TOKEN.json    names in FOLDER that a run writes, and which run; locked while the run lives
FOLDER/.helios/claims/lock              locked for the moment in which claims are read and one is added

The locks are the kernel's (flock), which drops them with the process, and which know nothing of Prefect's servers: a
job on another server, or with another job directory, meets the same files.
"""

import asyncio
import fcntl
import os
import stat
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager, contextmanager, suppress
from errno import EINVAL, EISDIR, ELOOP, ENOENT, ENOLCK, ENOSYS, ENOTSUP, ENXIO, EOPNOTSUPP
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from helios.errors import FULL, RequestError
from helios.job.held_path import MOST_OWN_BYTES, held_path, make_folder, open_own
from helios.models.paths import OWN_FOLDER
from helios.processes.tree import end_commands_of
from tasks.prefect_api.log import RunLogger
from tasks.request.prepare import PreparedJob
from tasks.run.lock import HeldByRunError
from tasks.run.lock_owner import LockOwner

FOLDER = "claims"
LOCK = "lock"
NO_LOCKS = {ENOLCK, ENOSYS, ENOTSUP, EOPNOTSUPP}
"""How a file system says that it has no locks."""
NO_CLAIM = {ENOENT, ELOOP, ENXIO, EINVAL, EISDIR}
"""How it says that a claim's run has just ended, or that something else has such a name: a link, a pipe, a folder."""
TURN_SECONDS = 30.0
"""Longest wait for other runs that read or add claims, which takes each of them milliseconds."""
LOOK_SECONDS = 0.01


class Claim(BaseModel):
    """The names in one folder that a run writes."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    owner: LockOwner
    """The run."""
    names: frozenset[str]
    """File names."""


class OutputClaimedError(HeldByRunError):
    """Another job's run writes to the same file.

    Args:
        paths: The files, at least one.
        owner: That run.
    """

    def __init__(self, paths: list[Path], owner: LockOwner) -> None:
        more = f" and {len(paths) - 1} more of this job's outputs are" if len(paths) > 1 else " is"
        super().__init__(
            f"{paths[0]}{more} being written by the job {owner.job!r}, {owner}; expected outputs that no running job "
            "writes. Give this job a folder (--job-dir) or output names of its own; or wait for that run's end, or "
            f"cancel it: helios-job cancel {owner.run_id}",
            owner,
        )


@asynccontextmanager
async def claimed_outputs(job: PreparedJob, owner: LockOwner, log: RunLogger) -> AsyncIterator[None]:
    """Claim a job's outputs within the block.

    Args:
        job: The job.
        owner: This run.
        log: Gets a warning where outputs can't be claimed.

    Raises:
        OutputClaimedError: Another run writes to one of them.
        RequestError: They can't be claimed.
    """
    async with AsyncExitStack() as held:
        # All runs claim folders in the same order, so that two runs with common folders do not block each other.
        for folder, names in sorted(_outputs(job).items()):
            try:
                make_folder(folder, root=job.directory.path)
                await held.enter_async_context(_claimed(folder, names, owner))
            except OSError as exc:
                log.warning("%s", _unclaimed(folder, exc))
        yield


def _outputs(job: PreparedJob) -> dict[Path, frozenset[str]]:
    """The files that a job writes, by folder. A video that goes into storage has a unique name, and is left out."""
    outputs = [path for chunk in job.chunks for path in job.directory.outputs(chunk)]
    if job.output is not None and job.upload is None:
        outputs.append(job.output.parent.resolve() / job.output.name)
    found: dict[Path, set[str]] = {}
    for output in outputs:
        found.setdefault(output.parent, set()).add(output.name)
    return {folder: frozenset(names) for folder, names in found.items()}


def _unclaimed(folder: Path, exc: OSError) -> str:
    """Say why a folder's outputs are not claimed, where the job may go on all the same.

    Raises:
        RequestError: The job may not go on: jobs can write there, and would not see each other.
    """
    if exc.errno in NO_LOCKS:
        return (
            f"The file system of {folder} has no locks ({exc.strerror}): make sure yourself that no other job writes "
            "the same outputs there"
        )
    if folder.is_dir() and not os.access(folder, os.W_OK):
        return f"{folder} can't be written to ({exc.strerror}): only outputs that were accepted before can be used"
    advice = "make room there" if exc.errno in FULL else "mend its rights"
    raise RequestError(
        f"The outputs in {folder} can't be claimed for this job: {exc.strerror}: {exc.filename or folder}; expected a "
        f"folder that can be written to, with a folder {OWN_FOLDER}/{FOLDER} in it; {advice}, or name other outputs"
    ) from exc


@asynccontextmanager
async def _claimed(folder: Path, names: frozenset[str], owner: LockOwner) -> AsyncIterator[None]:
    """Claim names in one folder within the block."""
    own = f"{owner.run_id}-{owner.token}.json"
    claim = -1
    try:
        async with _turn(folder):
            await _refuse_claimed(folder, names)
            with _held(folder, own) as held:
                claim = _open(held, _mode(folder))
            fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
            text = Claim(owner=owner, names=names).model_dump_json().encode()
            with os.fdopen(os.dup(claim), "wb") as file:
                file.write(text)
        yield
    finally:
        if claim >= 0:
            with suppress(OSError), _held(folder, own) as held:
                held.unlink(missing_ok=True)
            os.close(claim)
            _tidy(folder)


def _held(folder: Path, name: str) -> AbstractContextManager[Path]:
    """Within the block, a path to a file among a folder's claims, on the way to which no link was followed."""
    return held_path(folder / OWN_FOLDER / FOLDER / name, root=folder)


async def _refuse_claimed(folder: Path, names: frozenset[str]) -> None:
    """Compare names with the claims of live runs; remove the claims of dead runs.

    Raises:
        OutputClaimedError: A run writes one of them.
    """
    for name in _claims_in(folder):
        path = folder / OWN_FOLDER / FOLDER / name
        with _held(folder, name) as held, _claim_of(folder, path) as (claim, is_locked):
            owner = claim.owner if claim else None
            is_gone = owner is not None and owner.is_gone
            if is_locked and not is_gone:  # a dead run's lock may live on in a child of its process
                if claim is None:
                    raise RequestError(
                        f"{path} is held by a process, but can't be read; expected a claim of outputs. Wait for that "
                        f"process, or end it (fuser {path})"
                    )
                if meeting := sorted(names & claim.names):
                    raise OutputClaimedError([folder / name for name in meeting], claim.owner)
                continue
            if owner is not None and is_gone:
                await end_commands_of(owner.owner)
            # Another user's claim, in a folder where only a file's owner may remove it; or no claim at all.
            with suppress(PermissionError, IsADirectoryError):
                held.unlink(missing_ok=True)


def _claims_in(folder: Path) -> list[str]:
    with _held(folder, LOCK) as held:
        return sorted(name for name in os.listdir(held.parent) if name.endswith(".json"))


@contextmanager
def _claim_of(folder: Path, path: Path) -> Iterator[tuple[Claim | None, bool]]:
    """A claim, if it can be read, and whether its run holds it."""
    try:
        opened = open_own(path, os.O_RDONLY, root=folder, make=False)
    except OSError as exc:
        if exc.errno not in NO_CLAIM:
            raise
        yield None, False
        return
    with os.fdopen(opened, "rb") as file:
        is_locked = not _try_lock(opened, fcntl.LOCK_SH)
        try:
            claim = Claim.model_validate_json(file.read(MOST_OWN_BYTES))
        except ValidationError:
            claim = None
        yield claim, is_locked


@asynccontextmanager
async def _turn(folder: Path) -> AsyncIterator[None]:
    """Be the only process that reads or changes a folder's claims within the block.

    Raises:
        RequestError: Another process keeps the claims locked.
    """
    deadline, path = asyncio.get_running_loop().time() + TURN_SECONDS, folder / OWN_FOLDER / FOLDER / LOCK
    while (lock := _take_turn(folder)) is None:
        if asyncio.get_running_loop().time() > deadline:
            raise RequestError(
                f"{path} has been locked by another process for {TURN_SECONDS:g} s; expected milliseconds. "
                f"Continue or end that process (fuser {path})"
            )
        await asyncio.sleep(LOOK_SECONDS)
    try:
        yield
    finally:
        os.close(lock)


def _take_turn(folder: Path) -> int | None:
    """Lock a folder's claims; None where another process has the lock, or has just removed it."""
    mode = _mode(folder)
    for path in (folder / OWN_FOLDER, folder / OWN_FOLDER / FOLDER):
        with suppress(FileExistsError, FileNotFoundError), held_path(path, root=folder) as held:
            held.mkdir()
            _set_mode(made := os.open(held, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC), mode)
            os.close(made)
    try:
        with _held(folder, LOCK) as held:
            lock = _open(held, mode)
    except FileNotFoundError:
        return None
    try:
        # Another run may have removed this file after it was opened here.
        with _held(folder, LOCK) as held:
            if _try_lock(lock, fcntl.LOCK_EX) and os.path.samestat(os.fstat(lock), held.lstat()):
                return lock
    except FileNotFoundError:
        pass
    except BaseException:
        os.close(lock)
        raise
    os.close(lock)
    return None


def _try_lock(file: int, kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):  # the latter from NFS
        return False
    return True


def _tidy(folder: Path) -> None:
    """Remove the folder of claims if no other run has claims in it; a failure does no harm."""
    with suppress(OSError):
        with _held(folder, LOCK) as held:
            lock = os.open(held, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                if not _try_lock(lock, fcntl.LOCK_EX) or _claims_in(folder):
                    return
                if os.path.samestat(os.fstat(lock), held.lstat()):
                    held.unlink()
            finally:
                os.close(lock)
        for path in (folder / OWN_FOLDER / FOLDER, folder / OWN_FOLDER):
            with held_path(path, root=folder) as held:
                held.rmdir()


def _mode(folder: Path) -> int:
    """The mode for claims: users that may write outputs in a folder may claim them, too."""
    return stat.S_IMODE(folder.stat().st_mode)


def _set_mode(file: int, mode: int) -> None:
    with suppress(OSError):  # a file system without rights
        os.fchmod(file, mode)


def _open(path: Path, mode: int) -> int:
    """Open a file that is no link, and make it if it does not exist. No child inherits it (O_CLOEXEC)."""
    flags = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        return os.open(path, flags)
    except FileNotFoundError:
        file = os.open(path, flags | os.O_CREAT, 0o600)
        _set_mode(file, mode & 0o666)
        return file
