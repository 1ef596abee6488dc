"""What became of a batch's rows, read from their runs: a batch that failed or was stopped has left no report."""

from prefect.client.orchestration import PrefectClient

from farm.batch_rows import RowStatus, rows_of
from farm.runs import RunStatus
from farm.watch import read_report
from helios.models.batch import BatchReport, RowResult


async def report_of_rows(client: PrefectClient, batch: RunStatus) -> BatchReport:
    """What became of the rows that have begun.

    Args:
        client: Prefect's.
        batch: The batch's run.
    """
    rows = [await _result(row) for row in await rows_of(client, batch.run) if row.row is not None]
    return BatchReport(
        run_id=batch.id,
        state=batch.state,
        rows=tuple(rows),
        duration_ms=round(batch.run.total_run_time.total_seconds() * 1000),
    )


async def _result(row: RowStatus) -> RowResult:
    report = await read_report(row.run.run)
    return RowResult(
        row=row.row or 0,
        state=row.run.state,
        message=row.run.message,
        run_id=row.run.id,
        output=report.output if report else None,
        chunks=len(report.chunks) if report else 0,
        reused=sum(chunk.reused for chunk in report.chunks) if report else 0,
    )
