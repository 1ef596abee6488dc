"""The end of a job waits for its states, and reads all of them only if some are lost.

A stand-in replaces Prefect's server, whose delays a test can't control. Real runs whose states were lost are in
tests/flows/test_last_states.py.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, cast
from uuid import UUID, uuid4

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State, TaskRun
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Completed

from tasks.run import last_states
from tasks.run.run import Run
from testbed.http_server import Answer, answering

TASKS = 10


@dataclass
class _Run:
    """The parts of a run that `complete_states` reads."""

    identity: "_Identity"
    task_states: "_TaskStates"


@dataclass
class _Identity:
    run_id: str = field(default_factory=lambda: str(uuid4()))
    is_first: bool = True


@dataclass
class _TaskStates:
    ended: dict[UUID, State[Any]] = field(default_factory=lambda: {uuid4(): Completed() for _ in range(TASKS)})
    begun: dict[UUID, TaskRun] = field(default_factory=dict)


@dataclass
class _Server:
    """A stand-in for Prefect's server; `counts` has the number of recorded states for each query."""

    counts: Iterator[int]
    asked: list[str] = field(default_factory=list)

    def answer(self, path: str) -> object:
        self.asked.append(path)
        match path.split("/")[2:]:
            case ["task_runs", "count"]:
                return next(self.counts)
            case ["task_runs", "filter"]:
                return []
            case _:
                last = TaskRun(id=uuid4(), task_key="render-chunk", dynamic_key="1", state=Completed())
                return last.model_dump(mode="json", include={"id", "task_key", "dynamic_key", "state"})


async def _end(counts: Iterator[int]) -> list[str]:
    """Complete the states of a run whose states arrive in this way; return the queries, in order."""
    server = _Server(counts)

    def respond(_method: str, path: str, _headers: dict[str, str], _body: bytes) -> Answer:
        return 200, {}, json.dumps(server.answer(path)).encode()

    with answering(respond) as url:
        plain = {"client.server_version_check_enabled": False, "client.csrf_support_enabled": False}
        with temporary_settings({PREFECT_API_URL: f"{url}/api", **plain}):
            async with get_client() as client:
                await last_states.complete_states(client, cast(Run, _Run(_Identity(), _TaskStates())))
    return [path.removeprefix("/api/task_runs/") for path in server.asked[1:]]


async def test_states_that_come_late_are_waited_for() -> None:
    """States that a busy server records late are waited for, without reading the task runs."""
    assert await _end(iter([7, 7, 9, TASKS])) == ["count"] * 4


async def test_states_that_are_lost_are_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(last_states, "QUIET_SECONDS", 0.5)
    asked = await _end(iter([7] * 100))
    assert asked[-1] == "filter"
    assert set(asked[:-1]) == {"count"}
