"""Set a run's state from within the run, while it may be set from outside, too."""

from typing import Any
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import State


async def replace_state(client: PrefectClient, run_id: UUID, found: State[Any], state: State[Any]) -> None:
    """Set a run's state in place of the one that was found; a state that was set in between is put back.

    Prefect's API has no way to set a state on the condition that it is still the one that was read: a pause, or a
    cancellation, that came in between would be lost.

    Args:
        client: Prefect's client.
        run_id: The flow run.
        found: Its state, as read a moment ago.
        state: The new state.
    """
    written = (await client.set_flow_run_state(run_id, state, force=True)).state
    states = await client.read_flow_run_states(run_id)
    if written is None or len(states) < 2 or states[-1].id != written.id or states[-2].id == found.id:
        return
    await client.set_flow_run_state(run_id, states[-2].fresh_copy(), force=True)
