"""The second attempt of a chunk that takes too long: whichever output is verified first is accepted."""

import asyncio

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.states import Cancelled, Completed

from helios.errors import HeliosError, file_system_error
from tasks.attempt import describe
from tasks.candidate import Candidate, produce
from tasks.run.chunk_record import ChunkRecord
from tasks.run.contest import Contest
from tasks.run.errors import AttemptFailedError
from tasks.run.run import Run


@task(name="hedge-chunk", task_run_name="hedge-{chunk_id}", persist_result=False, cache_policy=NO_CACHE)
async def hedge_chunk(chunk_id: int, run: Run, seconds: float) -> State[None]:
    """Render a chunk once more while its own attempt runs. The chunk's task accepts the output that is verified first.

    Args:
        chunk_id: The chunk.
        run: The job's run.
        seconds: When to give up.

    Returns:
        A state Completed if its output was accepted; Cancelled when it was stopped.

    Raises:
        AttemptFailedError: It failed. The chunk's own attempt goes on.
    """
    record = run.ledger.records[chunk_id]
    record.hedge_run = run.task_states.begin()
    contest = run.contests.find(chunk_id)
    if contest is None or not contest.is_open:
        return Cancelled(message="Not needed: the chunk's own attempt has ended")
    attempt = contest.join(_attempt(record, run, contest, seconds))
    try:
        await asyncio.wait([attempt])
    except asyncio.CancelledError:
        attempt.cancel()
        await asyncio.wait([attempt])
        return Cancelled(message=run.control.stop_reason)  # as a chunk's task
    if attempt.cancelled():
        return Cancelled(message="The chunk's own attempt was faster")
    if (error := attempt.exception()) is not None:
        return _failed(record, run, error)
    if contest.is_won_by(attempt):
        return Completed(message="Accepted: it was faster than the chunk's own attempt")
    return Cancelled(message="The chunk's own attempt ended at the same moment")


class _GivenUpError(Exception):
    """The second attempt took too long, too."""


async def _attempt(record: ChunkRecord, run: Run, contest: Contest, seconds: float) -> Candidate:
    """Run the attempt, once there is a slot for it. Where the chunk's own attempt has failed, it may take its time."""
    asked, current = run.progress.seconds, record.current
    async with (
        run.budget.promised(record.chunk.frame_count, is_needed=False),
        run.places.held(record, is_hedge=True) as held,
        run.control.underway(),
    ):
        times = run.ledger.begin_attempt(record, asked, is_hedge=True, begun=held.begun)
        number = record.attempts
        log = run.identity.job.directory.log(run.identity.run_id, record.chunk.id, number)
        so_far = asked - current.started if current is not None and current.started is not None else 0.0
        get_run_logger().info("Attempt %d started, beside one that has run for %.1f s: %s",
                              number, so_far, record.chunk.frames)  # fmt: skip
        attempt = describe(record, run, number=number, name=str(number))
        try:
            async with asyncio.timeout(seconds) as limit:
                contest.when_alone(lambda: limit.reschedule(None))
                return await produce(attempt, run, at=held.at, log=log, times=times)
        except TimeoutError:
            if not limit.expired():
                raise
            message = f"Given up after {seconds:.1f} s: the chunk's own attempt may need as long as it does"
            raise _GivenUpError(message) from None


def _failed(record: ChunkRecord, run: Run, error: BaseException) -> State[None]:
    """Say why a second attempt has no output.

    Raises:
        AttemptFailedError: It failed.
    """
    if isinstance(error, _GivenUpError):
        return Cancelled(message=str(error))
    if not isinstance(error, HeliosError | OSError):
        raise error
    run.places.judge(record, error if isinstance(error, HeliosError) else None)
    described = error if isinstance(error, HeliosError) else file_system_error(error)
    message = f"The second attempt of chunk {record.chunk.id} failed: {described}\n  The chunk's own attempt goes on"
    get_run_logger().warning("%s", message)
    raise AttemptFailedError(message) from error
