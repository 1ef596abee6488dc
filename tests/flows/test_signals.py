"""The signals by which Prefect's engine ends a run, which are not Exceptions, reach the flow's engine unchanged."""

from pathlib import Path

import pytest
from prefect.client.orchestration import get_client
from prefect.exceptions import Abort, Pause, PrefectSignal
from prefect.states import Cancelled, Pending, Suspended

from farm.here import start_flow
from flows.render import render_job
from testbed.jobs import make_job, write_job

pytestmark = pytest.mark.usefixtures("prefect_api")


@pytest.mark.parametrize("signal", [Abort("enough"), Pause(state=Suspended())])
async def test_a_signal_among_the_chunks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, signal: PrefectSignal
) -> None:
    """A signal among the chunks does not crash the run with an exception group; a patched function raises it here."""

    async def raise_it(*_words: object) -> bool:
        raise signal

    monkeypatch.setattr("tasks.render_all.find_accepted", raise_it)
    path = write_job(tmp_path, make_job([5] * 2))
    async with get_client() as client:
        run = await client.create_flow_run(render_job, parameters={"job": str(path)}, state=Pending())
        with pytest.raises(type(signal)):
            await start_flow(run, run.parameters)
        state = (await client.read_flow_run(run.id)).state
        assert state is not None
        assert not state.is_crashed()
        await client.set_flow_run_state(run.id, Cancelled(), force=True)
