"""The report of a run that did not complete, kept in Prefect's result storage.

Of an error, which is the result of such a run, Prefect keeps the message alone.

RESULT STORAGE/helios-render/reports/RUN      the run's `JobReport`
"""

from prefect.results import ResultStore, aget_default_result_storage, get_result_store
from pydantic import ValidationError

from helios.models.report import JobReport
from tasks.prefect_api.log import RunLogger
from tasks.run.errors import JobEndedError
from tasks.run.outcome import Outcome
from tasks.run.record_keys import report_key


async def keep_report(outcome: Outcome, run_id: str, log: RunLogger) -> None:
    """Keep the report of a run that ended otherwise than Completed, if it got as far as to have one."""
    ended: object = None if outcome.is_completed() else await outcome.aresult(raise_on_failure=False)
    if not isinstance(ended, JobEndedError) or ended.report is None:
        return
    try:
        await _without_metadata(get_result_store()).awrite(ended.report, key=report_key(run_id))
    except Exception as exc:  # noqa: BLE001  a storage block of any kind may raise anything
        log.warning("The report of this run could not be kept: %s", exc)


async def find_report(run_id: str) -> JobReport | None:
    """The report that was kept of a run; None where there is none, or where result storage is not at hand."""
    try:
        store = _without_metadata(ResultStore(result_storage=await aget_default_result_storage()))
        found = (await store.aread(report_key(run_id))).result
        return found if isinstance(found, JobReport) else JobReport.model_validate(found)
    except ValidationError:
        return None
    except Exception:  # noqa: BLE001  likewise
        return None


def _without_metadata(store: ResultStore) -> ResultStore:
    return store.model_copy(update={"metadata_storage": None})
