"""Task states that Prefect's server lost are sent again."""

from pathlib import Path

import pytest
from prefect.client.orchestration import get_client
from prefect.states import Running

from flows import render
from helios.models.report import RunState
from tasks.prefect_api.api import RunApi
from tasks.run.run import Run
from testbed.jobs import make_job
from tests import running
from tests.running import ended_task_runs, task_runs

pytestmark = pytest.mark.usefixtures("prefect_api")


async def test_states_that_the_server_lost_are_told_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lost task run and a task run without its end are recorded again; a task run of a dead process is Crashed."""

    async def lose(run: Run, _api: RunApi) -> None:
        """Lose states that the run has sent, as a killed server does, just before the run ends."""
        ended = {
            task_run.name: task_run.id
            for task_run in await ended_task_runs(run.ledger.report(RunState.RUNNING, duration_ms=0), count=4)
        }
        async with get_client() as client:
            await client.request("DELETE", "/task_runs/{id}", path_params={"id": ended["chunk-0"]})
            await client.set_task_run_state(ended["chunk-1"], Running(), force=True)
            run.task_states.ended.pop(ended["chunk-2"])
            await client.set_task_run_state(ended["chunk-2"], Running(), force=True)

    monkeypatch.setattr(render, "_clean", lose)
    state, report = await running.render(tmp_path, make_job((5, 5, 5), outputFile="video.mp4"))
    assert state.is_completed(), state.message
    found = {name: task_run.state_name for name, task_run in (await task_runs(report, count=4)).items()}
    assert found == {"chunk-0": "Completed", "chunk-1": "Completed", "chunk-2": "Crashed", "stitch": "Completed"}
