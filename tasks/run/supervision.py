"""What goes on beside a run: its hold is renewed, and what somebody asks of it by its state is done.

A run is paused, continued, suspended or cancelled by its state in Prefect, whoever sets it: the UI, the API, or
`helios-job`. When Prefect's API can't be reached, rendering goes on.
"""

import asyncio
import time
from typing import Any
from uuid import UUID

import httpx
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import State, StateType
from prefect.context import FlowRunContext
from prefect.exceptions import PrefectHTTPStatusError

from helios.models.report import RunState
from tasks.prefect_api.log import RunLogger
from tasks.prefect_api.one_try import one_try
from tasks.prefect_api.states import ENDED, is_suspended, job_state, running
from tasks.run.dead_run_automation import ALIVE_SECONDS, say_alive
from tasks.run.errors import JOB_CANCELLED
from tasks.run.lock import BEAT_SECONDS, Hold, HoldLostError
from tasks.run.run import JobRun
from tasks.run_states import replace_state

PAUSED = "pause"
POLL_SECONDS = 1.0
"""Between two looks at the run's state; each costs 2 ms of CPU here, and 5 in the server."""
UNREACHABLE = (httpx.HTTPError, PrefectHTTPStatusError, OSError)
"""What Prefect's client raises while the API is away."""


def leave_suspension_to_supervisor() -> None:
    """Keep Prefect's engine from doing by itself, in the flow run that calls this, what a suspension asks for.

    In a run of a deployment the engine watches for the state Suspended, which Pause in Prefect's UI sets. From then
    on, and also after a resume, it raises `Pause` from every call of a task, at its end too, when the task's code has
    done its work, and at the flow's end. `Pause` is no Exception: chunks in flight would be broken off by the first
    that ends, and the run would crash. The engine raises it where the request that it finds in the run's context was
    marked; its watcher marks the one that it was given at first.
    """
    if context := FlowRunContext.get():
        context.flow_run_suspension_request = type(context.flow_run_suspension_request)()


class Supervisor:
    """Looks after one run.

    Args:
        run: The run.
        hold: Its hold on the job.
        client: Prefect's.
        logger: For what people should know.
    """

    def __init__(self, run: JobRun, hold: Hold, client: PrefectClient, logger: RunLogger) -> None:
        self._run = run
        self._hold = hold
        self._client = client
        self._logger = logger
        self._is_away = False

    async def watch(self) -> None:
        """Look at the run's state, and renew the hold, until cancelled."""
        # Not at once: what the server writes down then would refuse the first chunks their slots (SQLite).
        beaten, said_alive = time.monotonic(), -ALIVE_SECONDS
        with one_try():  # the next look is the retry
            while True:
                await asyncio.sleep(POLL_SECONDS)
                if time.monotonic() - said_alive >= ALIVE_SECONDS:
                    say_alive(self._run.run_id)
                    said_alive = time.monotonic()
                try:
                    if time.monotonic() - beaten >= BEAT_SECONDS:
                        await self._hold.renew()
                        beaten = time.monotonic()
                    found = await self._client.read_flow_run(UUID(self._run.run_id))
                    self._notice(away=False)
                    await self._follow(found.state)
                except HoldLostError as exc:
                    self._run.stop(str(exc), RunState.FAILED)
                    return
                except UNREACHABLE:
                    self._notice(away=True)

    def _notice(self, *, away: bool) -> None:
        if away == self._is_away:
            return
        self._is_away = away
        if away:
            self._logger.warning("Prefect's API can't be reached; rendering goes on, and its states follow")
        else:
            self._logger.info("Prefect's API can be reached again")

    async def _follow(self, state: State[Any] | None) -> None:
        """Do what the run's state asks for."""
        run = self._run
        if state is None or run.is_stopping:
            return
        if state.type in (StateType.CANCELLING, StateType.CANCELLED):
            run.stop(JOB_CANCELLED)
        elif state.type is StateType.PAUSED:
            await self._pause(state)
        elif state.type is StateType.CRASHED:
            # Somebody took this process for dead.
            self._logger.warning("This run was marked as crashed (%s), but lives; it goes on", state.message)
            await replace_state(self._client, UUID(run.run_id), state, running())
        elif job_state(state) in ENDED:
            # A pause of the UI's has a time limit: then the server marks the run as Failed. What is in flight finishes.
            if run.gate.is_set() or run.in_flight == 0:
                why = f": {state.message}" if state.message else ""
                run.stop(f"The run was marked as {state.name} from outside{why}", RunState.FAILED)
        elif not run.gate.is_set():
            if state.type in (StateType.SCHEDULED, StateType.PENDING):
                # Resumed after a suspension, while this process still had chunks in flight: no other one is needed.
                await replace_state(self._client, UUID(run.run_id), state, running())
            self._logger.info("Continued")
            run.progress.hold_up(PAUSED, None)
            run.gate.set()

    async def _pause(self, state: State[Any]) -> None:
        if self._run.gate.is_set():
            self._run.gate.clear()
            self._run.progress.hold_up(PAUSED, "paused")
            self._logger.info("Paused: %d chunks in flight finish, nothing new starts", self._run.in_flight)
        if is_suspended(state) and self._run.in_flight == 0 and not self._run.is_done:
            # The process ends, and a worker starts another one when the run is resumed.
            await self._hold.suspend()
            self._run.suspension = state
            self._run.stop("The job was suspended")
