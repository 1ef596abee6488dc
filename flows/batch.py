"""The flow `render-batch`: one job for each row of a table, several at a time, each a run of `render-job` below it."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar
from dataclasses import fields
from pathlib import PurePath
from typing import Any, TypeVar, cast
from uuid import UUID

from prefect import flow, get_run_logger
from prefect.client.schemas.objects import State
from prefect.exceptions import ObjectNotFound
from prefect.runtime import flow_run
from prefect.states import Cancelled, Completed, Failed

from flows.render import render_job
from helios.errors import ExpectedError, RequestError
from helios.models.batch import BatchReport, RowResult
from helios.models.report import JobReport, RunState
from helios.system_errors import expected
from tasks.page.artifact import RunArtifact
from tasks.page.batch_table import batch_table
from tasks.prefect_api import log, own_server, record_format
from tasks.prefect_api.api import BATCH_FLOW_NAME, UNREACHABLE, RunApi
from tasks.prefect_api.client import api_client
from tasks.prefect_api.one_try import FOR_ONE_TRY
from tasks.prefect_api.patience import first_line, until_taken
from tasks.prefect_api.states import job_state
from tasks.request.batch import BatchRequest, RowJob
from tasks.request.request import RenderRequest
from tasks.run.batch_session import batch_session, stopped_batch
from tasks.run.control import RunControl
from tasks.run.errors import JOB_CANCELLED, JobEndedError
from tasks.run.row_runs import RowRuns, completed_documents
from tasks.run.supervision import leave_suspension_to_supervisor
from tasks.run.termination import end_cancellation, sigterm_cancels

T = TypeVar("T")
ARTIFACT = "render-batch"
"""Key of the table of rows."""
MOST_AT_ONCE = 64
WRITE_SECONDS = 2.0
"""Between two writes of the table at least."""
LISTENER: ContextVar[Callable[[RowResult], None] | None] = ContextVar("ROW_LISTENER", default=None)
"""Called in the flow's event loop with each row that has ended."""


class BatchEndedError(ExpectedError):
    """Rows of the batch have no video. The error is the flow run's result.

    Args:
        message: Which, and why.
        report: What became of each row; None where nothing was begun.
    """

    def __init__(self, message: str, report: BatchReport | None = None) -> None:
        super().__init__(message)
        self.report = report


def rows_at_once(wanted: int | None) -> int:
    """How many rows to render at a time: one for each CPU by default, which share the CPUs, whatever their lengths."""
    return min(wanted or max(os.cpu_count() or 1, 2), MOST_AT_ONCE)


def _run_name() -> str:
    return f"{PurePath(str(flow_run.parameters.get('template'))).stem}-batch-{str(flow_run.id)[-6:]}"


@flow(
    name=BATCH_FLOW_NAME,
    flow_run_name=_run_name,
    description="Render one job for each row of a table.",
    persist_result=True,
    result_serializer=record_format.RecordFormat(),
)
async def render_batch(
    template: str,
    table: str,
    output_file: str | None = None,
    only: list[int] | None = None,
    failed_of: str | None = None,
    at_once: int | None = None,
    options: dict[str, Any] | None = None,
) -> BatchReport | State[BatchEndedError]:
    """Render one job for each row of a table.

    Args:
        template: Path or URL of a job document with names of columns in braces.
        table: Path or URL of the table: CSV, or JSON lines.
        output_file: Each row's video, with names of columns in braces.
        only: Numbers of the rows to render, from 1; all of them by default.
        failed_of: Id of an earlier run of the batch, whose completed rows are left out.
        at_once: Rows at a time, 1 to 64. By default one for each CPU.
        options: Further parameters of `render-job`, for each row.
    """
    started, logger = time.monotonic(), get_run_logger()
    log.quiet_expected_errors()
    leave_suspension_to_supervisor()
    batch = BatchRequest(template, table, RenderRequest("", output_file=output_file, **(options or {})), only)
    try:
        with sigterm_cancels() as cancel:
            async with api_client(**FOR_ONE_TRY) as client:
                api, control = RunApi(client, logger), RunControl(cancel)
                async with batch_session(api, control, run_id=str(flow_run.id), run_name=str(flow_run.name)):
                    try:
                        work = _Batch(api, control, total=len(batch.rows))
                        await asyncio.to_thread(batch.list_outputs)
                        await work.render(batch, failed_of=failed_of, at_once=rows_at_once(at_once))
                        return cast(BatchReport | State[BatchEndedError], work.end(started))
                    except asyncio.CancelledError:
                        end_cancellation()
                        return cast(State[BatchEndedError], stopped_batch(control, BatchEndedError))
    except asyncio.CancelledError:
        end_cancellation()
        return cast(State[BatchEndedError], Cancelled(message=JOB_CANCELLED, data=BatchEndedError(JOB_CANCELLED)))
    except Exception as exc:
        if (found := expected(exc)) is None:
            raise
        logger.error("%s", found)
        return cast(State[BatchEndedError], Failed(message=str(found), data=BatchEndedError(str(found))))
    finally:
        own_server.leave_if_gone()


class _Batch:
    """The rows of one run of the flow.

    Args:
        api: Prefect's API.
        control: What asks the batch to pause, to go on, or to stop.
        total: Rows.
    """

    def __init__(self, api: RunApi, control: RunControl, *, total: int) -> None:
        self._api, self._gate, self._total = api, control.gate, total
        self._run_id = UUID(str(flow_run.id))
        self._runs = RowRuns(render_job, self._run_id, batch_name=str(flow_run.name), api=api)
        self._results: dict[int, RowResult] = {}
        self._done_before: list[int] = []
        self._table = RunArtifact(ARTIFACT, "markdown", run_id=self._run_id, api=api)
        self._written = 0.0

    async def render(self, batch: BatchRequest, *, failed_of: str | None, at_once: int) -> None:
        """Render the rows that neither an earlier run nor an earlier process of this one has completed."""
        done = await self._completed_by(failed_of)
        if flow_run.run_count > 1:
            await self._table.find_earlier()
        pending = batch.jobs()

        async def pull() -> None:
            for job in pending:
                await self._gate.wait()
                await self._render_row(job, done)

        pausing = asyncio.create_task(self._runs.pause_with_batch(self._gate))
        try:
            async with asyncio.TaskGroup() as pullers:
                for _ in range(min(at_once, self._total)):
                    pullers.create_task(pull())
            await self._gate.wait()  # a paused batch does not end
        finally:
            pausing.cancel()
        await self._write_table()

    async def _render_row(self, job: RowJob, done: frozenset[str]) -> None:
        request = await asyncio.to_thread(job.kept)
        if request.job in done:
            self._done_before.append(job.row.number)
            return
        parameters = {field.name: getattr(request, field.name) for field in fields(request)}
        number = job.row.number
        try:
            run = await self._patiently(lambda: self._runs.open(number, parameters), what=f"row {number}")
            state = await self._patiently(lambda: self._runs.carry_out(run, parameters), what=f"row {number}")
        except UNREACHABLE as exc:  # the other rows go on
            message = f"Prefect's API did not take the row's run: {first_line(exc)}"
            result = RowResult(row=number, state=RunState.FAILED, message=message)
        else:
            result = await _row_result(number, state)
        self._results[number] = result
        if (told := LISTENER.get()) is not None:
            told(result)
        if time.monotonic() - self._written >= WRITE_SECONDS:
            await self._write_table()

    async def _patiently(self, start: Callable[[], Awaitable[T]], *, what: str) -> T:
        return await until_taken(start, what=what, log=self._api.log)

    async def _write_table(self) -> None:
        self._written = time.monotonic()
        await self._table.write(
            {"data": batch_table(list(self._results.values()), before=len(self._done_before), total=self._total)}
        )

    async def _completed_by(self, failed_of: str | None) -> frozenset[str]:
        """The documents whose jobs this run, an earlier batch, or one that that one goes on with, has completed.

        Raises:
            RequestError: There is no such run.
        """

        async def read() -> frozenset[str]:
            found = set(await completed_documents(self._api, self._run_id)) if flow_run.run_count > 1 else set()
            wanted = failed_of
            while wanted:
                run = await _read_batch(self._api, wanted)
                found.update(await completed_documents(self._api, run.id))
                wanted = run.parameters.get("failed_of")
            return frozenset(found)

        return await self._patiently(read, what="the batch")

    def end(self, started: float) -> Any:
        """The run's last state, with its report."""
        rows = tuple(self._results[number] for number in sorted(self._results))
        failed = [result for result in rows if result.state is not RunState.COMPLETED]
        report = BatchReport(
            run_id=str(self._run_id),
            state=RunState.FAILED if failed else RunState.COMPLETED,
            rows=rows,
            done_before=tuple(sorted(self._done_before)),
            duration_ms=round((time.monotonic() - started) * 1000),
        )
        if not failed:
            before = f", {len(self._done_before)} were done before" if self._done_before else ""
            rendered = "1 row" if len(rows) == 1 else f"{len(rows)} rows"
            return Completed(message=f"{rendered} rendered{before}", data=report)
        message = f"{len(failed)} of {len(rows)} rows failed: {_named(failed)}"
        self._api.log.error("%s", message)
        return Failed(message=message, data=BatchEndedError(message, report))


async def _read_batch(api: RunApi, run_id: str) -> Any:
    try:
        return await api.client.read_flow_run(UUID(run_id))
    except (ValueError, ObjectNotFound) as exc:
        raise RequestError(f"There is no run {run_id!r} of a batch here (--failed-of): {exc}") from exc


def _named(failed: Sequence[RowResult]) -> str:
    first = failed[0]
    others = ", ".join(str(result.row) for result in failed[1:20])
    return (
        f"row {first.row} ({first.message})"
        + (f"; rows {others}" if others else "")
        + (" …" if len(failed) > 20 else "")
    )


async def _row_result(row: int, state: State[Any]) -> RowResult:
    """What became of a row, by its run's last state."""
    result = await state.aresult(raise_on_failure=False)
    report = result.report if isinstance(result, JobEndedError) else result
    report = report if isinstance(report, JobReport) else None
    run_id = state.state_details.flow_run_id
    return RowResult(
        row=row,
        state=job_state(state),
        message=state.message or "",
        run_id=str(run_id) if run_id else None,
        output=report.output if report else None,
        chunks=len(report.chunks) if report else 0,
        reused=sum(chunk.reused for chunk in report.chunks) if report else 0,
    )
