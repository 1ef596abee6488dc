"""One run of a job at work: it has the job to itself, and somebody looks after it."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import State, StateType
from prefect.exceptions import Abort
from prefect.results import get_result_store
from prefect.runtime import flow_run

from helios.models.report import RunState
from tasks.prefect_api.log import RunLogger
from tasks.prefect_api.one_try import one_try
from tasks.request.prepare import PreparedJob
from tasks.run.accepted import AcceptedChunks, job_key
from tasks.run.dead_run_automation import ensure_automation
from tasks.run.last_states import complete_states
from tasks.run.lock import LOOK_SECONDS, Hold, Holder, JobHeldError
from tasks.run.output_claims import claimed_outputs
from tasks.run.run import JobRun, Limits
from tasks.run.supervision import UNREACHABLE, Supervisor
from tasks.run.termination import on_worker_death
from tasks.run_states import replace_state

REACH_SECONDS = 6 * 3600.0
"""How long the end of a job waits for Prefect's API, to say so."""
REACH_PAUSE_SECONDS = 5.0
RELEASE_TRIES = 5
OWN_END_SECONDS = 30.0
"""How long a process waits for the end of the run's earlier one, which was suspended a moment before the resume."""


class Work:
    """One run that has its hold on the job.

    Args:
        run: The run.
        hold: Its hold.
        accepted: What earlier runs of the job accepted.
        client: Prefect's.
        logger: For what people should know.
    """

    def __init__(
        self, run: JobRun, hold: Hold, accepted: AcceptedChunks, client: PrefectClient, logger: RunLogger
    ) -> None:
        self.run = run
        """The run."""
        self.accepted = accepted
        """What earlier runs of the job accepted."""
        self._hold = hold
        self.client = client
        """Prefect's."""
        self._logger = logger

    @asynccontextmanager
    async def supervised(self) -> AsyncIterator[None]:
        """Within the block, do what its state in Prefect, and the death of its worker, ask of the run."""
        run = self.run
        watcher = asyncio.create_task(Supervisor(run, self._hold, self.client, self._logger).watch())
        try:
            with on_worker_death(lambda: run.stop("The Prefect worker of this run died", RunState.CRASHED)):
                yield
        finally:
            watcher.cancel()
            with suppress(asyncio.CancelledError):
                await watcher

    async def tell(self, state: State[None]) -> None:
        """Set the run's state in Prefect, unless somebody has asked for another one, or nobody listens."""
        run_id = UUID(self.run.run_id)
        with one_try(), suppress(*UNREACHABLE):
            found = (await self.client.read_flow_run(run_id)).state
            if found is not None and found.type is StateType.RUNNING:
                await replace_state(self.client, run_id, found, state)


@asynccontextmanager
async def job_run(
    job: PreparedJob,
    client: PrefectClient,
    logger: RunLogger,
    *,
    limits: Limits,
    anew: bool,
    cancel: Callable[[], None],
) -> AsyncIterator[Work]:
    """Have a job to oneself within the block.

    Args:
        job: The job.
        client: Prefect's.
        logger: For what people should know.
        limits: How often and how long a chunk may be tried.
        anew: Take nothing of other runs.
        cancel: Cancels the flow's task.

    Raises:
        JobHeldError: Another run works on the job.
        OutputClaimedError: Another job writes to one of its outputs.
        RequestError: An earlier run of the job had another document.
        Abort: This very run goes on in another process.
    """
    run_id = str(flow_run.id)
    key = job_key(job.spec, run_id)
    hold = Hold(client, key, Holder.this_process(job=job.name, run_id=run_id, run_name=str(flow_run.name)))
    await _take(hold, logger)
    try:
        with suppress(*UNREACHABLE):
            await ensure_automation(client)
        async with claimed_outputs(job, hold.holder, logger):
            store = get_result_store()
            accepted = AcceptedChunks(job, key=key, run_id=run_id, store=store, only_own=anew, logger=logger)
            await accepted.open()
            run = JobRun(job, run_id=run_id, key=key, token=hold.holder.token, is_first=flow_run.run_count <= 1,
                         limits=limits, client=client, logger=logger, cancel=cancel)  # fmt: skip
            async with run.slots.kept():
                yield Work(run, hold, accepted, client, logger)
        await _until_reachable(client, logger)
        with suppress(*UNREACHABLE):
            await complete_states(client, run)
    finally:
        await _release(hold, client, logger)


async def _take(hold: Hold, logger: RunLogger) -> None:
    """Take a hold; from an earlier process of the run that was suspended, once that has ended.

    Raises:
        JobHeldError: Another run works on the job.
        Abort: The earlier process goes on.
    """
    deadline, said = time.monotonic() + OWN_END_SECONDS, False
    while True:
        try:
            return await hold.take(logger)
        except JobHeldError as exc:
            if exc.holder.run_id != hold.holder.run_id:
                raise
            if not exc.holder.is_suspended or time.monotonic() >= deadline:
                logger.error("Not started a second time: %s", exc)
                raise Abort(str(exc)) from None
            if not said:
                logger.info("Waiting for the end of this run's earlier process, %s", exc.holder)
                said = True
        await asyncio.sleep(LOOK_SECONDS)


async def _release(hold: Hold, client: PrefectClient, logger: RunLogger) -> None:
    """Give the hold up, also if that takes a few tries; one that stays is taken over, or dropped by who looks."""
    for _ in range(RELEASE_TRIES):
        await _until_reachable(client, logger)
        with suppress(*UNREACHABLE), one_try():
            await hold.release()
            return


async def _until_reachable(client: PrefectClient, logger: RunLogger) -> None:
    """Wait until Prefect's API answers, so that the end of a job can be told to it."""
    deadline, said = time.monotonic() + REACH_SECONDS, False
    with one_try():
        while time.monotonic() < deadline:
            if await client.api_healthcheck() is None:
                return
            if not said:
                logger.warning("The job is at its end; waiting for Prefect's API, to say so")
                said = True
            await asyncio.sleep(REACH_PAUSE_SECONDS)
