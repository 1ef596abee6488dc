"""A run that sets its own state keeps a state that is set from outside at the same moment."""

from collections.abc import AsyncIterator

import pytest
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.objects import FlowRun, State
from prefect.states import Cancelled, Cancelling, Running, Suspended

from flows.render import render_job
from tasks.prefect_api.run_states import replace_state
from tasks.prefect_api.states import stitching

pytestmark = pytest.mark.usefixtures("prefect_api")


@pytest.fixture
async def run() -> AsyncIterator[tuple[PrefectClient, FlowRun]]:
    """A client, and a flow run that is Running."""
    async with get_client() as client:
        run = await client.create_flow_run(render_job, parameters={"job": "asked"}, state=Running())
        yield client, run
        await client.set_flow_run_state(run.id, Cancelled(), force=True)


async def test_a_state_is_replaced(run: tuple[PrefectClient, FlowRun]) -> None:
    """A state is replaced if no other state was set in between."""
    client, found = run
    assert found.state is not None
    await replace_state(client, found.id, found.state, stitching())
    assert (await client.read_flow_run(found.id)).state_name == "Stitching"


@pytest.mark.parametrize("asked", [Suspended(), Cancelling()])
async def test_what_was_asked_in_between_stays(run: tuple[PrefectClient, FlowRun], asked: State[None]) -> None:
    """A pause or a cancellation that is set between reading and replacing the state is not lost."""
    client, found = run
    assert found.state is not None
    await client.set_flow_run_state(found.id, asked, force=True)
    await replace_state(client, found.id, found.state, stitching())
    state = (await client.read_flow_run(found.id)).state
    assert state is not None
    assert (state.type, state.name) == (asked.type, asked.name)
    assert state.state_details.pause_reschedule == asked.state_details.pause_reschedule
