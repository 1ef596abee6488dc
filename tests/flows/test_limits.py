"""The limit over all jobs: jobs side by side, with a global concurrency limit of a real server."""

import asyncio
import json
import sys
import uuid
from logging import getLogger
from pathlib import Path

import httpx
import pytest
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate, GlobalConcurrencyLimitUpdate
from prefect.client.schemas.objects import ConcurrencyLeaseHolder

from adapters import limit_name
from tasks.page.progress_text import obstacles
from tasks.prefect_api.api import RunApi
from tasks.run import slots as slots_module
from tasks.run.progress import LISTENER, ProgressTracker
from tasks.run.slots import LimitSlots
from testbed.jobs import make_job, write_job
from tests.command import helios_job, start_helios_job
from tests.running import eventually, render

pytestmark = pytest.mark.usefixtures("prefect_api")


async def make_limit(client: PrefectClient, slots: int) -> str:
    """Create a limit for one test; return its name."""
    name = f"limit-{uuid.uuid4().hex[:8]}"
    await client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name=name, limit=slots))
    return name


async def taken(client: PrefectClient, name: str) -> int:
    """How many slots of a limit are taken, as Prefect's UI shows it."""
    return (await client.read_global_concurrency_limit_by_name(name)).active_slots


class Questions:
    """Counts how often a client asks the server for a slot and is answered: a busy one says 503, and is asked again."""

    def __init__(self, client: PrefectClient) -> None:
        self.count = 0
        client._client.event_hooks["response"].append(self._see)

    async def _see(self, response: httpx.Response) -> None:
        is_asked = response.request.url.path.endswith("/concurrency_limits/increment-with-lease")
        self.count += is_asked and not response.is_server_error

    async def wait_for(self, count: int) -> None:
        """Wait until the client has asked this many times."""

        async def is_reached() -> bool:
            return self.count >= count

        await eventually(is_reached)


def slots_of(client: PrefectClient, name: str) -> LimitSlots:
    gate = asyncio.Event()
    gate.set()
    api = RunApi(client, getLogger(__name__))
    return LimitSlots(api, name, run_id=str(uuid.uuid4()), gate=gate, progress=ProgressTracker(10, 10))


async def test_two_jobs_share_a_limit(client: PrefectClient, tmp_path: Path) -> None:
    """Two jobs never run more commands than the limit has slots, say what they wait for, and free all slots."""
    name = await make_limit(client, 1)
    told: set[str] = set()
    LISTENER.set(lambda progress: told.update(obstacles(progress)))
    (tmp_path / "notes").mkdir()
    (tmp_path / "alone.py").write_text(
        "import os, sys, time, pathlib; here = pathlib.Path('../notes', str(os.getpid())); here.touch(); "
        "there = len(list(here.parent.iterdir())); time.sleep(0.3); here.unlink(); sys.exit(there - 1)"
    )
    jobs = []
    for number in range(2):
        folder = tmp_path / str(number)
        folder.mkdir()
        job = make_job([2] * 3, name="c{index}")
        for chunk in job["chunks"]:
            chunk["command"] = f"sh -c '{chunk['command']} && {sys.executable} ../alone.py'"
        jobs.append(render(folder, job, adapter={"type": "local", "concurrency_limit": name}, concurrency=3))
    reports = [report for _, report in await asyncio.gather(*jobs)]
    assert [report.state for report in reports] == ["completed", "completed"], [report.error for report in reports]
    assert any(note.endswith(f" for a slot of the limit {name}") for note in told), told
    assert await taken(client, name) == 0


async def test_a_licence_is_held_while_its_chunk_renders(client: PrefectClient, tmp_path: Path) -> None:
    """Chunks that require a licence wait for one of its slots, the others don't; the adapter has no limit here."""
    name = await make_limit(client, 1)
    script = tmp_path / "alone.py"
    script.write_text(
        "import os, sys, time, pathlib; here = pathlib.Path('notes', str(os.getpid())); here.touch(); "
        "there = len(list(here.parent.iterdir())); time.sleep(0.3); here.unlink(); sys.exit(there - 1)"
    )
    (tmp_path / "notes").mkdir()
    job = make_job([2] * 4, name="c{index}")
    for chunk in job["chunks"][:3]:
        chunk["requires"] = {"licences": [name]}
        chunk["command"] = f"sh -c '{chunk['command']} && {sys.executable} alone.py'"
    _, report = await render(tmp_path, job, concurrency=4)
    assert report.state == "completed", report.error
    assert await taken(client, name) == 0


async def test_a_licence_that_has_no_limit(tmp_path: Path) -> None:
    """Nothing would be limited: refused before anything runs, with the command that makes the limit."""
    _, report = await render(tmp_path, make_job([2], requires={"licences": ["no such"]}))
    assert report.state == "failed"
    assert "prefect gcl create 'no such' --limit NUMBER" in (report.error or "")
    assert report.chunks[0].attempts == 0


@pytest.mark.slow
async def test_the_slot_of_a_killed_run(client: PrefectClient, tmp_path: Path) -> None:
    """The slot of a run that was killed without a word goes to the next job, without anybody's hand."""
    name = await make_limit(client, 1)
    choice = json.dumps({"concurrency_limit": name})
    for folder in ("killed", "next"):
        (tmp_path / folder).mkdir()
        write_job(tmp_path / folder, make_job([2], extra=["--misbehave", "hang"] if folder == "killed" else []))
    run = start_helios_job("run", tmp_path / "killed/job.json", "--adapter-config", choice)

    async def is_taken() -> bool:
        return await taken(client, name) == 1

    await eventually(is_taken)
    run.kill()
    await asyncio.to_thread(run.communicate)
    assert await is_taken()
    done = await asyncio.to_thread(helios_job, "run", tmp_path / "next/job.json", "--adapter-config", choice)
    assert done.returncode == 0, done.stderr


async def test_a_slot_stays_with_its_run_and_is_given_back(
    client: PrefectClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slot stays with its run from one attempt to the next, and is freed soon after no attempt needs it."""
    name = await make_limit(client, 2)
    usual = slots_module.IDLE_SECONDS
    monkeypatch.setattr(slots_module, "IDLE_SECONDS", 600)  # a busy server answers no request within the usual second
    slots = slots_of(client, name)
    async with slots.kept():
        asked = Questions(client)
        async with slots.held():
            assert await taken(client, name) == 1
        async with slots.held():
            assert await taken(client, name) == 1
        assert asked.count == 1
        async with slots.held(), slots.held():
            assert await taken(client, name) == 2
    assert await taken(client, name) == 0
    monkeypatch.setattr(slots_module, "IDLE_SECONDS", usual)
    slots = slots_of(client, name)
    async with slots.kept():
        async with slots.held():
            assert await taken(client, name) == 1
        await eventually(lambda: _is_free(client, name))
        async with slots.held():
            assert await taken(client, name) == 1
    assert await taken(client, name) == 0


async def test_no_limit_of_that_name(client: PrefectClient) -> None:
    """Without a limit of the name nothing is bounded, and the server is asked once."""
    slots = slots_of(client, f"no-such-limit-{uuid.uuid4().hex}")
    asked = Questions(client)
    async with slots.kept(), slots.held(), slots.held(), slots.held():
        assert asked.count == 1
    async with slots.held():
        assert asked.count == 1


async def test_a_closed_limit_opens_again(client: PrefectClient) -> None:
    """A limit of 0 holds all attempts up until it is raised."""
    name = await make_limit(client, 1)
    await client.update_global_concurrency_limit(name, GlobalConcurrencyLimitUpdate(limit=0))
    slots = slots_of(client, name)
    asked = Questions(client)
    entered = asyncio.Event()

    async def take() -> None:
        async with slots.held():
            entered.set()

    async with slots.kept():
        waiting = asyncio.create_task(take())
        await asked.wait_for(3)
        assert not entered.is_set()
        await client.update_global_concurrency_limit(name, GlobalConcurrencyLimitUpdate(limit=1))
        await asyncio.wait_for(waiting, 60)


async def test_who_waits_gets_the_slot_of_another_run(client: PrefectClient) -> None:
    """A waiting attempt gets the slot of another run as soon as that run has freed it."""
    name = await make_limit(client, 1)
    other = ConcurrencyLeaseHolder(type="flow_run", id=uuid.uuid4())
    answer = await client.increment_concurrency_slots_with_lease([name], 1, "concurrency", 60, other)
    slots = slots_of(client, name)
    asked = Questions(client)
    entered = asyncio.Event()

    async def take() -> None:
        async with slots.held():
            entered.set()

    async with slots.kept():
        waiting = asyncio.create_task(take())
        await asked.wait_for(2)
        assert not entered.is_set()
        await client.release_concurrency_slots_with_lease(answer.json()["lease_id"])
        await asyncio.wait_for(waiting, 60)


@pytest.mark.parametrize(
    ("choice", "name"),
    [
        ("aws-lambda", "helios-aws-lambda"),
        ({"type": "local", "concurrency_limit": "gpu"}, "gpu"),
        ({"type": "farm"}, "helios-farm"),
    ],
)
def test_what_an_adapter_s_limit_is_called(choice: object, name: str) -> None:
    """An adapter's limit is named after the adapter, unless its configuration names another limit."""
    assert limit_name(choice) == name  # type: ignore[arg-type]


async def _is_free(client: PrefectClient, name: str) -> bool:
    return await taken(client, name) == 0
