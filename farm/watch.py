"""Watch a run of a job from outside: how far it is, what it says, when it ends."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    ArtifactFilterKey,
    FlowRunFilter,
    FlowRunFilterId,
    LogFilter,
    LogFilterFlowRunId,
    LogFilterLevel,
)
from prefect.client.schemas.objects import FlowRun, Log, StateType, TaskRun
from prefect.client.schemas.sorting import ArtifactSort, LogSort, TaskRunSort
from pydantic import ValidationError

from farm.batch_rows import runs_below
from farm.runs import RunStatus, find_job_or_batch
from helios.models.report import JobReport
from tasks.page.page import PROGRESS
from tasks.prefect_api.states import ENDED
from tasks.run.kept_report import find_report
from tasks.run.progress import Progress

LOOK_SECONDS = 0.5
HAND_OVER_TIME = timedelta(seconds=10)
"""A run that crashed is handed over to another worker within this time, where it may be."""
PAGE = 200
LATE_LINES_SECONDS = 3.0
"""Seconds within which a run's last lines reach the server after its last state."""


async def read_progress(client: PrefectClient, run: FlowRun) -> Progress | None:
    """Read a run's progress, up to two seconds old; None for a run that has not begun to render."""
    return (await read_progress_of(client, [run])).get(run.id)


async def read_progress_of(client: PrefectClient, runs: Sequence[FlowRun]) -> dict[UUID, Progress]:
    """Read the progress of several runs in one request; of those that have begun to render."""
    wanted = ArtifactFilter(
        flow_run_id=ArtifactFilterFlowRunId(any_=[run.id for run in runs]), key=ArtifactFilterKey(any_=[PROGRESS])
    )
    artifacts = await client.read_artifacts(artifact_filter=wanted, sort=ArtifactSort.UPDATED_DESC, limit=PAGE)
    found = {}
    for artifact in reversed(artifacts):
        progress = Progress.from_metadata(artifact.metadata_)
        if progress is not None and artifact.flow_run_id is not None:
            found[artifact.flow_run_id] = progress
    return found


def _in_a_line(message: str) -> str:
    """A state's message in a line, without Prefect's words for an error."""
    return re.sub(r"^Task run encountered an exception \w+: ", "", message.partition("\n")[0])


@dataclass(frozen=True)
class ChunkStatus:
    """Where a chunk stands, as its task run in Prefect says it."""

    name: str
    """`chunk-7`; or `stitch`, or `merge`."""
    state: str
    """The state's name in Prefect: a chunk that was reused is Cached."""
    attempts: int
    """Executions so far."""
    seconds: float
    """Seconds at work."""
    message: str
    """The message of its state, in a line."""


async def read_chunks(client: PrefectClient, run: FlowRun) -> list[ChunkStatus]:
    """Where a run's chunks stand, as far as they have begun, in the order in which they did."""
    of_run = FlowRunFilter(id=FlowRunFilterId(any_=[run.id]))
    found: list[TaskRun] = []
    while page := await client.read_task_runs(
        flow_run_filter=of_run, sort=TaskRunSort.EXPECTED_START_TIME_ASC, limit=PAGE, offset=len(found)
    ):
        found += page
    latest = {one.name: one.flow_run_run_count for one in sorted(found, key=lambda one: one.flow_run_run_count)}
    return [
        ChunkStatus(
            name=one.name,
            state=one.state_name or "",
            attempts=one.run_count,
            seconds=(one.total_run_time or one.estimated_run_time).total_seconds(),
            message=_in_a_line((one.state.message if one.state else None) or ""),
        )
        for one in found
        if one.flow_run_run_count == latest[one.name]  # others are of the times before a retry
    ]


async def wait_for_run(
    client: PrefectClient, status: RunStatus, *, tell: Callable[[Progress], None] = lambda _: None
) -> RunStatus:
    """Wait until a run has ended, its process included.

    Args:
        client: Prefect's.
        status: The run.
        tell: Called with its counts, now and then.
    """
    while status.state not in ENDED or status.holder is not None or _may_be_handed_over(status):
        run = status.run
        if status.is_encode:  # its job has the chunks
            run = [run, *[one async for one in runs_below(client, run)]][-1]
        if (progress := await read_progress(client, run)) is not None:
            tell(progress)
        await asyncio.sleep(LOOK_SECONDS)
        status = await find_job_or_batch(client, str(status.run.id))
    return status


def _may_be_handed_over(status: RunStatus) -> bool:
    """Whether a run has just crashed, and the server may be about to give it to another worker."""
    run, state = status.run, status.run.state
    if state is None or state.type is not StateType.CRASHED or run.deployment_id is None:
        return False
    return run.parameters.get("hand_overs") != 0 and abs(datetime.now(UTC) - state.timestamp) < HAND_OVER_TIME


async def read_report(run: FlowRun) -> JobReport | None:
    """The report of a run that has ended, if it had begun to render and result storage is at hand."""
    if run.state is None or not run.state.is_final():
        return None
    if not run.state.is_completed():
        return await find_report(str(run.id))
    try:
        result = await run.state.aresult(raise_on_failure=False)
    except Exception:  # noqa: BLE001  whatever a storage of any kind raises: it is somewhere else, or gone
        return None
    try:
        # Prefect takes what its own JSON serializer wrote of a model for a record of an old format.
        return JobReport.model_validate(result)
    except ValidationError:
        return None


async def _with_below(client: PrefectClient, status: RunStatus) -> list[UUID]:
    """A run, and those of its rows, or of its job."""
    if not (status.is_batch or status.is_encode):
        return [status.run.id]
    return [status.run.id, *[run.id async for run in runs_below(client, status.run)]]


async def read_log(
    client: PrefectClient, status: RunStatus, *, level: int = 0, follow: bool = False
) -> AsyncIterator[Log]:
    """The lines of a run, of its chunks, and of the runs below it, in order of time.

    Args:
        client: Prefect's.
        status: The run.
        level: The least level, as Python's logging counts.
        follow: Go on until the run has ended.
    """
    seen: set[object] = set()
    offset, last_look, ids = 0, False, await _with_below(client, status)
    while True:
        wanted = LogFilter(flow_run_id=LogFilterFlowRunId(any_=ids), level=LogFilterLevel(ge_=level) if level else None)
        page = await client.read_logs(wanted, limit=PAGE, offset=offset, sort=LogSort.TIMESTAMP_ASC)
        for line in page:
            if line.id not in seen:
                seen.add(line.id)
                yield line
        if len(page) == PAGE:
            offset += PAGE // 2  # a line that arrives late moves the others
            continue
        if last_look or not follow:
            return
        status = await find_job_or_batch(client, str(status.run.id))
        if len(now := await _with_below(client, status)) != len(ids):
            offset, ids = max(offset - PAGE, 0), now  # lines of a run that has begun since stand among the last ones
        last_look = status.state in ENDED and status.holder is None and not _may_be_handed_over(status)
        await asyncio.sleep(LATE_LINES_SECONDS if last_look else LOOK_SECONDS)
