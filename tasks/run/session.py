"""The locked, supervised session of one run."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from uuid import UUID

from prefect.client.schemas.objects import State, StateType
from prefect.results import get_result_store
from prefect.runtime import flow_run

from helios.models.paths import doubtful_name
from helios.models.report import RunState
from tasks.prefect_api.api import UNREACHABLE, RunApi
from tasks.prefect_api.one_try import one_try
from tasks.prefect_api.run_states import replace_state
from tasks.request.prepare import PreparedJob
from tasks.run.accepted import AcceptedChunks
from tasks.run.dead_run_automation import ensure_automation
from tasks.run.hand_over import HandOvers, ensure_hand_overs
from tasks.run.identity import RetryPolicy, RunIdentity
from tasks.run.inputs import open_inputs
from tasks.run.last_states import complete_states
from tasks.run.liveness import LOOK_SECONDS, OWN_END_SECONDS
from tasks.run.lock import JobLock
from tasks.run.lock_owner import LockOwner
from tasks.run.output_claims import OutputClaimedError, claimed_outputs
from tasks.run.own_lock import acquire, release, until_reachable
from tasks.run.record_keys import job_key
from tasks.run.run import Run
from tasks.run.sharing import Sharing
from tasks.run.supervision import Supervisor
from tasks.run.termination import on_worker_death


class RunSession:
    """A run that has the lock on its job.

    Args:
        run: The run.
        lock: Its lock.
        accepted: What earlier runs of the job accepted.
        api: Prefect's API.
    """

    def __init__(self, run: Run, lock: JobLock, accepted: AcceptedChunks, api: RunApi) -> None:
        self.run = run
        """The run."""
        self.accepted = accepted
        """What earlier runs of the job accepted."""
        self.api = api
        """Prefect's API."""
        self._lock = lock
        self._recording: asyncio.Task[None] | None = None

    def begin_recording(self) -> None:
        """Begin to see to it that Prefect has the last state of each task; all have ended.

        It takes the server up to a second. What is left to do for the run can go on meanwhile.
        """
        self._recording = self._recording or asyncio.create_task(self._record_states())

    async def recorded(self) -> None:
        """Wait until it is done; see `begin_recording`."""
        self.begin_recording()
        assert self._recording is not None  # noqa: S101  narrows the type
        await self._recording

    async def _record_states(self) -> None:
        await until_reachable(self.api)
        if not self.run.control.is_passed_on:  # else another process of the run has task runs of its own
            with suppress(*UNREACHABLE):
                await complete_states(self.api.client, self.run)

    @asynccontextmanager
    async def supervised(self) -> AsyncIterator[None]:
        """Within the block, follow the run's state in Prefect, and stop the run when its worker dies."""
        control, progress = self.run.control, self.run.progress
        supervisor = Supervisor(
            control,
            self._lock,
            self.api,
            sharing=Sharing(self.run, self._lock, self.api),
            may_be_handed_over=self.run.identity.hand_overs.are_left,
            note_pause=lambda is_paused: progress.note(is_paused=is_paused),
        )
        with on_worker_death(lambda: control.stop("The Prefect worker of this run died", RunState.CRASHED)):
            async with supervisor.watching():
                yield

    async def set_state(self, state: State[None]) -> None:
        """Set the run's state in Prefect, unless it is in another state than Running, or the API is away."""
        run_id = UUID(self.run.identity.run_id)
        with one_try(), suppress(*UNREACHABLE):
            found = (await self.api.client.read_flow_run(run_id)).state
            if found is not None and found.type is StateType.RUNNING:
                await replace_state(self.api.client, run_id, found, state)


@asynccontextmanager
async def run_session(
    job: PreparedJob,
    api: RunApi,
    *,
    policy: RetryPolicy,
    anew: bool,
    hand_overs: HandOvers,
    cancel: Callable[[], None],
) -> AsyncIterator[RunSession]:
    """Hold the lock on a job within the block.

    Args:
        job: The job.
        api: Prefect's API.
        policy: How often and how long a chunk may be tried.
        anew: Take nothing of other runs.
        hand_overs: How often the run was handed over, and may be.
        cancel: Cancels the flow's task.

    Raises:
        JobLockedError: Another run renders the job.
        OutputClaimedError: Another job writes to one of its outputs.
        RequestError: An earlier run of the job had another document, or the inputs can't be used.
        Abort: This very run goes on in another process.
    """
    run_id = str(flow_run.id)
    key = job_key(job.spec, run_id)
    lock = JobLock(api, key, LockOwner.this_process(job=job.name, run_id=run_id, run_name=str(flow_run.name)))
    await acquire(lock, api)
    try:
        with suppress(*UNREACHABLE):
            await asyncio.gather(ensure_automation(api.client), ensure_hand_overs(api.client))
        identity = RunIdentity(
            job,
            run_id=run_id,
            key=key,
            token=lock.owner.token,
            is_first=flow_run.run_count <= 1,
            policy=policy,
            hand_overs=hand_overs,
        )
        if (doubt := doubtful_name(job.output.name if job.output else None)) is not None:
            api.log.warning("%s", doubt)
        async with AsyncExitStack() as claims:
            await _claim(claims, job, lock.owner, api)
            accepted = AcceptedChunks(identity, get_result_store(), only_own=anew, log=api.log)
            await accepted.open()
            inputs = await open_inputs(identity, accepted, api.log)
            run = Run(identity, api, inputs=inputs, accepted=accepted, cancel=cancel)
            session = RunSession(run, lock, accepted, api)
            with inputs.in_use():
                async with run.limits.kept():
                    yield session
        await session.recorded()
    finally:
        await release(lock, api)


async def _claim(claims: AsyncExitStack, job: PreparedJob, owner: LockOwner, api: RunApi) -> None:
    """Claim the job's outputs; wait for the end of an earlier process of this run.

    That process may be cut off from Prefect's API alone: then its lock on the job was taken over, and it still renders.
    It stops when it reaches the API again.

    Raises:
        OutputClaimedError: Another job writes to one of them, or the earlier process goes on.
        RequestError: They can't be claimed.
    """
    deadline = time.monotonic() + OWN_END_SECONDS
    while True:
        try:
            return await claims.enter_async_context(claimed_outputs(job, owner, api.log))
        except OutputClaimedError as exc:
            if exc.owner.run_id != owner.run_id or time.monotonic() >= deadline:
                raise
        await asyncio.sleep(LOOK_SECONDS)
