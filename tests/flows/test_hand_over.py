"""Runs of deployments whose process died are scheduled again by Prefect's server, as often as they may be."""

import asyncio
from pathlib import Path

import pytest
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import FlowRun, State
from prefect.exceptions import Pause
from prefect.states import Cancelling, Crashed, Paused, Pending, Running, Scheduled

from farm.here import start_flow
from tasks.run.hand_over import (
    FOR_DEAD,
    FOR_NEVER_BEGUN,
    FOR_SILENT,
    HANDED_OVER,
    MOST_NOT_BEGUN,
    NOT_BEGUN,
    ensure_hand_overs,
    read_hand_overs,
    say_ready,
)
from testbed.jobs import make_job, write_job
from tests.running import eventually, report_of

LOOK_SECONDS = 2.0
"""Between a crash and a look at what followed."""
pytestmark = pytest.mark.usefixtures("prefect_api")


async def a_run(client: PrefectClient, folder: Path) -> FlowRun:
    """A run of a deployment that no worker takes."""
    path = write_job(folder, make_job([5] * 2, outputFile="video.mp4"))
    flow = await client.create_flow_from_name("render-job")
    deployment = await client.create_deployment(flow, f"over-{folder.name}", entrypoint="flows/render.py:render_job")
    return await client.create_flow_run_from_deployment(deployment, parameters={"job": str(path)})


async def pass_through(client: PrefectClient, run: FlowRun, *states: State[None]) -> None:
    """Give a run a history of states."""
    for state in states:
        await client.set_flow_run_state(run.id, state, force=True)


def handed_over() -> State[None]:
    """The state that the server's automation sets."""
    return Scheduled(name=HANDED_OVER)


async def test_the_server_hands_a_run_over_once_for_each_time_it_may(client: PrefectClient, tmp_path: Path) -> None:
    """A crashed run that has said so is scheduled again; one that has not said so since stays Crashed."""
    await ensure_hand_overs(client)
    run, other = await a_run(client, tmp_path), await a_run(client, tmp_path)
    await pass_through(client, run, Running())
    say_ready(str(run.id))

    async def is_over() -> bool:
        # Until the server has read what the run said, a crash is not followed by anything: crash again, then.
        found = await client.read_flow_run(run.id)
        if found.state is not None and found.state.name == HANDED_OVER:
            return True
        if found.state is not None and found.state.name == "Running":
            await pass_through(client, run, Crashed())
            await asyncio.sleep(LOOK_SECONDS)
        elif found.state is not None and found.state.is_crashed():
            await pass_through(client, run, Running())
            await asyncio.sleep(LOOK_SECONDS)
        return False

    await eventually(is_over)
    await pass_through(client, run, Running(), Crashed())
    # The events of one server come in order: when this one is handed over, the crash before it was looked at.
    await pass_through(client, other, Running())
    run, first = other, run
    say_ready(str(run.id))
    await eventually(is_over)
    state = (await client.read_flow_run(first.id)).state
    assert state is not None
    assert state.is_crashed()


async def test_a_run_that_no_worker_begins_ends(client: PrefectClient, tmp_path: Path) -> None:
    """What workers took and did not begin is handed over as often as other runs, and then crashed; others are not."""
    await ensure_hand_overs(client)
    run, other = await a_run(client, tmp_path), await a_run(client, tmp_path)
    for _ in range(MOST_NOT_BEGUN):
        await pass_through(client, run, Pending(), Scheduled(name=HANDED_OVER, message=f"{NOT_BEGUN} within 300 s"))
        await pass_through(client, other, Pending(), Scheduled(name=HANDED_OVER, message=f"{NOT_BEGUN} within 300 s"))
    for _ in range(MOST_NOT_BEGUN):  # of a run whose workers died
        await pass_through(client, other, Running(), handed_over())
    await pass_through(client, run, Pending(), Scheduled(name=HANDED_OVER, message=f"{NOT_BEGUN} within 300 s"))

    async def is_crashed() -> bool:
        state = (await client.read_flow_run(run.id)).state
        return state is not None and state.is_crashed()

    await eventually(is_crashed)
    found = (await client.read_flow_run(run.id)).state
    assert found is not None
    assert "4 workers took it, and none began" in (found.message or "")
    state = (await client.read_flow_run(other.id)).state
    assert state is not None
    assert state.name == HANDED_OVER
    assert (await read_hand_overs(client, other, 10)).done == 2 * MOST_NOT_BEGUN, "both kinds count"


async def test_the_automations_are_made_once(client: PrefectClient) -> None:
    """Each automation is on the server once, however often runs ask for it, also disabled."""
    for _ in range(2):
        await ensure_hand_overs(client)
        for name in (FOR_DEAD, FOR_SILENT, FOR_NEVER_BEGUN):
            assert len(await client.read_automations_by_name(name)) == 1


async def test_a_run_that_was_handed_over_says_so(client: PrefectClient, tmp_path: Path) -> None:
    """The report counts the hand-overs, and the chunks are rendered."""
    run = await a_run(client, tmp_path)
    await pass_through(client, run, Running(), Crashed(), handed_over(), Running(), Crashed(), handed_over())
    found = await read_hand_overs(client, run, 3)
    assert (found.done, found.are_left, str(found)) == (2, True, "handed over to another worker 2 of at most 3 times")
    report = await report_of(await start_flow(run, run.parameters))
    assert report.hand_overs == 2
    assert report.output is not None


async def test_a_run_that_was_being_cancelled(client: PrefectClient, tmp_path: Path) -> None:
    """A run that a person cancelled just before its worker died is Cancelled, and renders nothing more."""
    run = await a_run(client, tmp_path)
    await pass_through(client, run, Running(), Cancelling(), Crashed(), handed_over())
    state = await start_flow(run, run.parameters)
    assert state.is_cancelled()
    assert list(tmp_path.glob("chunk*")) == []


async def test_a_run_that_was_paused(client: PrefectClient, tmp_path: Path) -> None:
    """A run that was paused when its worker died stays paused, until it is resumed."""
    run = await a_run(client, tmp_path)
    await pass_through(client, run, Running(), Paused(), Crashed(), handed_over())
    with pytest.raises(Pause):
        await start_flow(run, run.parameters)
    state = (await client.read_flow_run(run.id)).state
    assert state is not None
    assert state.name == "Suspended"
    assert list(tmp_path.glob("chunk*")) == []
