"""Beside a run, of a job or of a batch: renew its lock, and follow its state in Prefect.

A run is paused, continued, suspended or cancelled by its state, which the UI, the API, or `helios-job` sets. While
Prefect's API can't be reached, rendering goes on.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.context import FlowRunContext

from helios.beside import beside
from helios.models.report import RunState
from tasks.prefect_api import own_server
from tasks.prefect_api.api import UNREACHABLE, RunApi
from tasks.prefect_api.one_try import one_try
from tasks.prefect_api.run_states import replace_state
from tasks.prefect_api.states import ENDED, is_suspended, job_state, running
from tasks.run.control import RunControl
from tasks.run.dead_run_automation import say_alive
from tasks.run.errors import JOB_CANCELLED
from tasks.run.hand_over import say_ready
from tasks.run.liveness import ALIVE_SECONDS, BEAT_SECONDS
from tasks.run.lock import JobLock, LockLostError, LockPassedOnError
from tasks.run.sharing import Sharing

POLL_SECONDS = 1.0
"""Between two looks at the run's state; each costs 2 ms of CPU here, and 5 in the server."""


def leave_suspension_to_supervisor() -> None:
    """Keep Prefect's engine from carrying out a suspension by itself, in the flow run that calls this.

    In a run of a deployment the engine watches for the state Suspended, which Pause in Prefect's UI sets. From then
    on, and also after a resume, it raises `Pause` from every call of a task, also at its end, when the task's code has
    done its work, and at the flow's end. `Pause` is no Exception: the first chunk that ends would break off the others
    in flight, and the run would crash. The engine raises `Pause` if the request in the run's context is marked; its
    watcher marks the request that it was given at first, so that a new one stays unmarked.
    """
    if context := FlowRunContext.get():
        context.flow_run_suspension_request = type(context.flow_run_suspension_request)()


class Supervisor:
    """Supervises one run.

    Args:
        control: What asks the run to pause, to go on, or to stop.
        lock: Its lock, whose owner names the run.
        api: Prefect's API.
        sharing: The run among others, which renews the lock; None for a run that wants no slots.
        may_be_handed_over: Whether the server may give the run to another worker.
        note_pause: Called with whether the run is paused, on each change.
        heed: Called with the flow run at each look, for what people may change in it.
    """

    def __init__(
        self,
        control: RunControl,
        lock: JobLock,
        api: RunApi,
        *,
        sharing: Sharing | None = None,
        may_be_handed_over: bool = False,
        note_pause: Callable[[bool], None] = lambda _: None,
        heed: Callable[[FlowRun], None] = lambda _: None,
    ) -> None:
        self._control = control
        self._lock = lock
        self._api = api
        self._sharing = sharing
        self._run_id = lock.owner.run_id
        self._may_be_handed_over = may_be_handed_over
        self._note_pause = note_pause
        self._heed = heed
        self._is_away = False
        self._is_ready = False

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Watch within the block."""
        async with beside(self.watch()):
            yield

    async def watch(self) -> None:
        """Follow the run's state, and renew the lock, until cancelled."""
        # Not at once: the server's writes at that time would refuse the first chunks their slots (SQLite).
        beaten, said_alive = time.monotonic(), -ALIVE_SECONDS
        with one_try():  # the next look is the retry
            while True:
                await asyncio.sleep(POLL_SECONDS)
                if time.monotonic() - said_alive >= ALIVE_SECONDS:
                    say_alive(self._run_id)
                    said_alive = time.monotonic()
                if self._may_be_handed_over and not self._is_ready:
                    say_ready(self._run_id)
                    self._is_ready = True
                try:
                    if time.monotonic() - beaten >= BEAT_SECONDS or (self._sharing and self._sharing.is_due):
                        await (self._sharing.look() if self._sharing else self._lock.renew())
                        beaten = time.monotonic()
                    found = await self._api.client.read_flow_run(UUID(self._run_id))
                    self._note_api(away=False)
                    self._heed(found)
                    await self._follow(found.state)
                except LockLostError as exc:
                    self._control.is_passed_on = isinstance(exc, LockPassedOnError)
                    self._control.stop(str(exc), RunState.FAILED)
                    return
                except UNREACHABLE:
                    if own_server.is_gone():
                        self._control.stop(own_server.GONE, RunState.CRASHED)
                        return
                    self._note_api(away=True)

    def _note_api(self, *, away: bool) -> None:
        if away == self._is_away:
            return
        self._is_away = away
        if away:
            self._api.log.warning("Prefect's API can't be reached; rendering goes on, and its states follow")
        else:
            self._api.log.info("Prefect's API can be reached again")

    async def _follow(self, state: State[Any] | None) -> None:
        """Do what the run's state asks for."""
        control = self._control
        if state is None or control.is_stopping:
            return
        if state.type in (StateType.CANCELLING, StateType.CANCELLED):
            control.stop(JOB_CANCELLED)
        elif state.type is StateType.PAUSED:
            await self._pause(state)
        elif state.type is StateType.CRASHED:
            # Another process took this one for dead.
            self._api.log.warning("This run was marked as crashed (%s), but lives; it goes on", state.message)
            self._is_ready = False  # what it had said is used up
            await self._set_running(state)
        elif job_state(state) in ENDED:
            # A pause in the UI has a time limit; then the server marks the run as Failed. Chunks in flight finish.
            if control.gate.is_set() or control.in_flight == 0:
                why = f": {state.message}" if state.message else ""
                control.stop(f"The run was marked as {state.name} from outside{why}", RunState.FAILED)
        else:
            if state.type in (StateType.SCHEDULED, StateType.PENDING):
                # Resumed after a suspension, while this process still had chunks in flight: it goes on by itself. It
                # has not even paused if both came between two looks. Or taken for dead, and handed over at once.
                self._is_ready = False
                await self._set_running(state)
            if not control.gate.is_set():
                self._api.log.info("Continued")
                self._note_pause(False)
                control.gate.set()

    async def _set_running(self, found: State[Any]) -> None:
        await replace_state(self._api.client, UUID(self._run_id), found, running())

    async def _pause(self, state: State[Any]) -> None:
        control = self._control
        if control.gate.is_set():
            control.gate.clear()
            self._note_pause(True)
            finishing = f"{control.in_flight} chunks in flight finish, " if control.in_flight else ""
            self._api.log.info("Paused: %snothing new starts", finishing)
        is_due = control.in_flight == 0 or control.stops_in_flight
        if is_suspended(state) and is_due and not control.is_done:
            # The process ends, and a worker starts another process when the run is resumed.
            await self._lock.suspend()
            control.suspension = state
            control.stop("The job was suspended")
