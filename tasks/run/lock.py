"""One job, one run: a lock on a job, kept in Prefect's database.

A lock is a Prefect variable. A variable's name is unique, so that creating it either works or shows who was first; and
every machine that takes part sees it. The owner renews its lock while it lives. The lock of a dead owner is taken
over: on the same machine as soon as the process is gone, elsewhere when the lock was not renewed for a while in which
it was watched (`tasks.run.liveness`). No clock is compared with another.
"""

import asyncio
from datetime import datetime
from typing import Any

import httpx
from prefect.client.orchestration import PrefectClient
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
from pydantic import ValidationError

from helios.errors import RequestError
from helios.processes.tree import end_commands_of
from tasks.prefect_api.api import PAGE, RunApi, each
from tasks.run.liveness import LOOK_SECONDS, OWNER_DEAD_SECONDS
from tasks.run.lock_owner import LockOwner

PREFIX = "helios-job-"
"""Begins the names of the variables."""


_HELD: set[str] = set()
"""Tokens of the locks that runs of this process have, or wait for."""


class HeldByRunError(RequestError):
    """Another run holds what this one needs, until its end: the same request may work then.

    Args:
        message: What is held, and what to do.
        owner: The other run.
    """

    def __init__(self, message: str, owner: LockOwner) -> None:
        super().__init__(message)
        self.owner = owner


class JobLockedError(HeldByRunError):
    """Another run renders the job.

    Args:
        owner: That run.
    """

    def __init__(self, owner: LockOwner) -> None:
        super().__init__(
            f"The job {owner.job!r} is being rendered by {owner}; wait for its end, or cancel it: "
            f"helios-job cancel {owner.run_id}",
            owner,
        )


class LockLostError(RequestError):
    """Another run took the job over, because this run did not renew its lock in time."""


class LockPassedOnError(LockLostError):
    """Another process of the same run took the job over: that run was handed over to another worker."""


class JobLock:
    """A lock on one job.

    Args:
        api: Prefect's API.
        key: The job's name in records.
        owner: The process that wants the lock.
    """

    def __init__(self, api: RunApi, key: str, owner: LockOwner) -> None:
        self.owner = owner
        self._api = api
        self._name = lock_name(key)
        self._id: str | None = None

    async def acquire(self) -> None:
        """Take the lock; end the commands that a dead owner left running on this machine.

        Raises:
            JobLockedError: A living owner has it.
        """
        _HELD.add(self.owner.token)
        while self._id is None:
            self._id = await self._create()
            if self._id is not None:
                return
            found = await find_lock(self._api.client, self._name)
            if found is None:
                continue
            lock_id, other = found
            if other is not None and other.token == self.owner.token:
                self._id = lock_id  # created by a request whose answer was lost
                return
            if other is not None:
                if not await self._is_dead(lock_id, other):
                    raise JobLockedError(other)
                has_left_commands = other.is_here and not other.is_own_process
                ended = await end_commands_of(other.owner) if has_left_commands else 0
                processes = f"; {ended} processes ended" if ended else ""
                self._api.log.info("Taken over from %s, which is gone%s", other, processes)
            await remove_lock(self._api.client, lock_id)

    async def renew(self, **said: Any) -> None:
        """Show that the owner lives.

        Args:
            said: Further fields of the owner that have changed.

        Raises:
            LockLostError: Another run has taken the job over, or another process of this run.
        """
        self.owner = self.owner.model_copy(update={"beat": self.owner.beat + 1, **said})
        try:
            await self._api.client.request(
                "PATCH",
                "/variables/{id}",
                path_params={"id": self._id},
                json={"value": self.owner.model_dump()},
            )
        except (ObjectNotFound, PrefectHTTPStatusError) as exc:
            if _status(exc) != httpx.codes.NOT_FOUND:
                raise
            raise await self._lost() from None

    async def suspend(self) -> None:
        """Show that this process is ending, so that another process of the same run waits for its end.

        Raises:
            LockLostError: Another run has taken the job over.
        """
        self.owner = self.owner.model_copy(update={"is_suspended": True})
        await self.renew()

    async def release(self) -> None:
        """Give the lock up."""
        _HELD.discard(self.owner.token)
        if self._id is not None:
            await remove_lock(self._api.client, self._id)

    async def _create(self) -> str | None:
        body = {"name": self._name, "value": self.owner.model_dump(), "tags": ["helios-render"]}
        try:
            return str((await self._api.client.request("POST", "/variables/", json=body)).json()["id"])
        except PrefectHTTPStatusError as exc:
            if _status(exc) != httpx.codes.CONFLICT:
                raise
            return None

    async def _lost(self) -> LockLostError:
        found = await find_lock(self._api.client, self._name)
        why = f"took this job over, since nothing was heard of this one for {OWNER_DEAD_SECONDS:g} s; this one stops"
        if found is not None and found[1] is not None and found[1].run_id == self.owner.run_id:
            return LockPassedOnError(f"Another process of this run, {found[1].pid} on {found[1].host}, {why}")
        return LockLostError(f"Another run {why}")

    async def _is_dead(self, lock_id: str, owner: LockOwner) -> bool:
        if owner.is_own_process:
            return owner.token not in _HELD  # given up, in a request that the server missed
        if owner.is_here:
            return owner.is_gone
        return not await shows_life(self._api.client, lock_id, owner)


def lock_name(key: str) -> str:
    """The name of a job's lock in Prefect, by the job's name in records."""
    return f"{PREFIX}{key}"


async def shows_life(client: PrefectClient, lock_id: str, owner: LockOwner) -> bool:
    """Watch a lock for `OWNER_DEAD_SECONDS` at most; say whether it was renewed, or given up."""
    deadline = asyncio.get_running_loop().time() + OWNER_DEAD_SECONDS
    while asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(LOOK_SECONDS)
        try:
            found = _parse((await client.request("GET", "/variables/{id}", path_params={"id": lock_id})).json())
        except (ObjectNotFound, PrefectHTTPStatusError):
            return True
        if found[1] is None or found[1].beat != owner.beat:
            return True
    return False


async def all_locks(client: PrefectClient) -> list[tuple[str, LockOwner, datetime]]:
    """Every lock: its id, its owner, and when it was last renewed, by the server's clock."""

    async def read(offset: int) -> list[dict[str, Any]]:
        wanted = {"variables": {"name": {"like_": PREFIX}}, "limit": PAGE, "offset": offset}
        return list((await client.request("POST", "/variables/filter", json=wanted)).json())

    found = []
    async for document in each(read):
        lock_id, owner = _parse(document)
        if owner is not None:
            found.append((lock_id, owner, datetime.fromisoformat(document["updated"])))
    return found


async def find_lock(client: PrefectClient, name: str) -> tuple[str, LockOwner | None] | None:
    """A lock by name: its id, and its owner; None for an owner that can't be read."""
    try:
        return _parse((await client.request("GET", "/variables/name/{name}", path_params={"name": name})).json())
    except (ObjectNotFound, PrefectHTTPStatusError) as exc:
        if _status(exc) != httpx.codes.NOT_FOUND:
            raise
        return None


async def remove_lock(client: PrefectClient, lock_id: str) -> None:
    """Remove a lock; a lock that is gone is no error."""
    try:
        await client.request("DELETE", "/variables/{id}", path_params={"id": lock_id})
    except (ObjectNotFound, PrefectHTTPStatusError) as exc:
        if _status(exc) != httpx.codes.NOT_FOUND:
            raise


def _parse(document: dict[str, Any]) -> tuple[str, LockOwner | None]:
    """Read a variable as a lock."""
    try:
        return str(document["id"]), LockOwner.model_validate(document["value"])
    except ValidationError:
        return str(document["id"]), None


def _status(exc: Exception) -> int:
    if isinstance(exc, ObjectNotFound):
        return int(httpx.codes.NOT_FOUND)
    return exc.response.status_code if isinstance(exc, PrefectHTTPStatusError) else 0
