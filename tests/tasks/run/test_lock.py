"""The lock of a job, where the server has missed that it was given up."""

import logging

import pytest
from prefect.client.orchestration import PrefectClient

from tasks.prefect_api.api import RunApi
from tasks.run.lock import JobLock, JobLockedError, find_lock, lock_name
from tasks.run.lock_owner import LockOwner


def lock_of(client: PrefectClient, key: str, run: str) -> JobLock:
    """A lock that a run of this process wants."""
    owner = LockOwner.this_process(job=key, run_id=run, run_name=run)
    return JobLock(RunApi(client, logging.getLogger(__name__)), key, owner)


async def test_a_lock_that_this_process_has_given_up(client: PrefectClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock whose removal the server missed holds no other run of the process up; one that is held does."""
    first, second = lock_of(client, "one-job", "first"), lock_of(client, "one-job", "second")
    await first.acquire()
    with pytest.raises(JobLockedError, match="first"):
        await second.acquire()
    with monkeypatch.context() as patch:
        patch.setattr("tasks.run.lock.remove_lock", _missed)
        with pytest.raises(ConnectionError):
            await first.release()
    assert await find_lock(client, lock_name("one-job")) is not None
    await second.acquire()
    with pytest.raises(JobLockedError, match="second"):
        await lock_of(client, "one-job", "third").acquire()
    await second.release()
    assert await find_lock(client, lock_name("one-job")) is None


async def _missed(*_: object) -> None:
    raise ConnectionError
