"""Jobs that render at the same time share the slots of a limit by weight, with a real server."""

import asyncio
import json
import shlex
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import FlowRun
from prefect.states import Cancelling, Pending

import farm
from farm.here import start_flow
from flows.render import render_job
from tasks.run import sharing
from testbed.jobs import make_job, write_job
from tests.command import here, said
from tests.flows.test_limits import make_limit, taken
from tests.running import eventually

pytestmark = pytest.mark.usefixtures("prefect_api")


class Job:
    """A job that renders beside others, each of whose commands leaves a file while it runs."""

    def __init__(self, folder: Path, client: PrefectClient, limit: str) -> None:
        self.folder = folder
        self.notes = folder / "notes"
        self.notes.mkdir(parents=True)
        self._client = client
        self._limit = limit
        self.work: asyncio.Task[Any]
        self.run: FlowRun

    async def start(self, chunks: int, *, seconds: float) -> None:
        """Begin to render so many chunks, each of which takes this long."""
        job = make_job([1] * chunks, name="c{index}")
        script = f'touch notes/$$; sleep {seconds}; "$@"; code=$?; rm notes/$$; exit $code'
        for chunk in job["chunks"]:
            chunk["command"] = shlex.join(["sh", "-c", script, "sh", *shlex.split(chunk["command"])])
        adapter = {"type": "local", "concurrency_limit": self._limit}
        settings = {"job": str(write_job(self.folder, job)), "adapter": adapter, "concurrency": 10}
        self.run = await self._client.create_flow_run(render_job, parameters=settings, state=Pending())
        self.work = asyncio.create_task(start_flow(self.run, settings))

    @property
    def at_work(self) -> int:
        """Commands that run now."""
        return len(list(self.notes.iterdir()))

    async def stop(self) -> None:
        """Cancel it, and wait for its end."""
        await self._client.set_flow_run_state(self.run.id, Cancelling(), force=True)
        await self.work


@pytest.mark.slow
async def test_a_short_job_does_not_wait_for_a_long_one(client: PrefectClient, tmp_path: Path) -> None:
    """A job that comes while another one has every slot of a limit is done long before that one."""
    limit = await make_limit(client, 2)
    long, short = Job(tmp_path / "long", client, limit), Job(tmp_path / "short", client, limit)
    await long.start(400, seconds=0.3)
    await eventually(lambda: _is(long.at_work == 2))
    await short.start(2, seconds=0.1)
    state = await short.work
    assert state.is_completed(), state.message
    assert not long.work.done()
    await long.stop()
    assert await taken(client, limit) == 0


@pytest.mark.slow
async def test_the_priority_of_a_running_job(client: PrefectClient, tmp_path: Path) -> None:
    """Two jobs have half of the slots each; once one is urgent, it has as many more as its weight says."""
    limit = await make_limit(client, 5)
    usual, other = Job(tmp_path / "usual", client, limit), Job(tmp_path / "other", client, limit)
    await usual.start(1000, seconds=0.5)
    await eventually(lambda: _is(usual.at_work == 5))
    await other.start(1000, seconds=0.5)
    await eventually(lambda: _is(other.at_work in (2, 3) and usual.at_work in (2, 3)))
    found = await farm.set_priority(str(other.run.id), "urgent", client=client)
    assert (found.weight, found.run.tags) == (16, ["priority:urgent"])
    await eventually(lambda: _is(other.at_work == 4 and usual.at_work == 1))
    await other.stop()
    await eventually(lambda: _is(usual.at_work == 5))
    await usual.stop()
    assert await taken(client, limit) == 0


@pytest.mark.slow
async def test_jobs_take_turns_where_slots_are_fewer(
    client: PrefectClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two jobs that want the only slot, the lighter one gets its turn too."""
    monkeypatch.setattr(sharing, "KEEP_SECONDS", 4.0)  # turns are of a minute else
    limit = await make_limit(client, 1)
    urgent, usual = Job(tmp_path / "urgent", client, limit), Job(tmp_path / "usual", client, limit)
    await usual.start(200, seconds=0.3)
    await eventually(lambda: _is(usual.at_work == 1))
    await urgent.start(200, seconds=0.3)
    await farm.set_priority(str(urgent.run.id), "urgent", client=client)
    await eventually(lambda: _is(urgent.at_work == 1))
    await eventually(lambda: _is(usual.at_work == 1))
    await urgent.stop()
    await usual.stop()


def test_what_is_refused(tmp_path: Path) -> None:
    """No such priority, and a run that has ended."""
    ended = here("run", write_job(tmp_path, make_job([2])))
    assert ended.returncode == 0, ended.stderr
    run = json.loads(said("list", "--limit", 1, "--json"))[0]["runId"]
    refused = here("priority", run, "urgent")
    assert refused.returncode == 2
    assert "is completed: its priority would change nothing" in refused.stderr
    refused = here("submit", tmp_path / "job.json", "--priority", "high")
    assert refused.returncode == 2
    assert "The priority 'high' is not known; expected urgent, default, background, or a weight" in refused.stderr


async def _is(found: bool) -> bool:
    return found
