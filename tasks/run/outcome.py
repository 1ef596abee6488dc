"""The end of a run: the state that has its report, or that says why there is no video."""

from prefect.client.schemas.objects import State
from prefect.exceptions import Abort
from prefect.states import Cancelled, Completed, Crashed, Failed

from helios.errors import ExpectedError, HeliosError, RetryBudget
from helios.models.report import JobReport, ReusedFrom, RunState
from helios.models.report_text import describe_report, duration
from tasks.prefect_api.log import TOLD_AT_END, RunLogger
from tasks.request.prepare import PreparedJob
from tasks.run.dead_run_automation import say_suspended
from tasks.run.errors import (
    JOB_CANCELLED,
    JobCancelledError,
    JobCrashedError,
    JobEndedError,
    JobFailedError,
    JobRefusedError,
    JobSuspendedError,
)
from tasks.run.ledger import Ledger
from tasks.run.lock import HeldByRunError
from tasks.run.run import Run

Outcome = State[JobReport] | State[JobEndedError]
"""What the flow returns: the run's last state. Its message is for people; a caller of the flow gets its data."""


def _report(run: Run, state: RunState, *, duration_ms: int, error: str | None = None) -> JobReport:
    """What has become of the job."""
    return run.ledger.report(
        state,
        duration_ms=duration_ms,
        inputs=run.report_inputs(),
        error=error,
        places=run.places.report(list(run.ledger.records.values())),
    )


def tell_reused(ledger: Ledger, log: RunLogger) -> None:
    """Write into the log how many chunks were not rendered, and where they come from."""
    sources = [record.reused_from for record in ledger.records.values()]
    if earlier := sources.count(ReusedFrom.EARLIER_RUN):
        log.info("%d chunks were accepted by an earlier run, and are reused", earlier)
    if cached := sources.count(ReusedFrom.CACHE):
        log.info("%d of %d chunks come from the cache", cached, len(sources))


def no_video(job: PreparedJob) -> str | None:
    """What to tell of a job that ends without a video because none was asked for; None for other jobs."""
    if job.output is not None or job.merge is not None or job.spec.is_images:
        return None
    return (
        "No video: none was asked for (parameter output_file, or outputFile in the job document); "
        f"the chunks are in {job.directory.path}"
    )


def completed(run: Run, log: RunLogger, *, duration_ms: int) -> State[JobReport]:
    """The state of a job that is done: its message says where the video is, and what it is."""
    report = _report(run, RunState.COMPLETED, duration_ms=duration_ms)
    # What a merge command made is not known where no video of it was found, nor how many frames that has.
    frames = "" if report.merged and report.video is None else f"{report.frames} frames in "
    log.info("Done: %s%d chunks in %.1f s%s", frames, len(report.chunks),
             report.duration_ms / 1000, f": {report.output}" if report.output else "")  # fmt: skip
    took = duration(report.duration_ms / 1000)
    if (message := no_video(run.identity.job)) is not None:
        log.info("%s", message)
    return Completed(message=message or f"{describe_report(report)}; done in {took}", data=report)


def failed(run: Run, error: ExpectedError, log: RunLogger, *, duration_ms: int) -> State[JobEndedError]:
    """The state of a job whose chunks or whose join failed."""
    report = _report(run, RunState.FAILED, duration_ms=duration_ms, error=str(error))
    log.error("The job failed: %s", error, extra=TOLD_AT_END)
    return Failed(message=str(error), data=JobFailedError(str(error), report))


def stopped(run: Run, log: RunLogger, *, duration_ms: int) -> State[JobEndedError]:
    """The state of a run that was stopped before its end.

    Raises:
        JobSuspendedError: The run was suspended, and goes on in another process.
        Abort: The run was handed over, and goes on in another process.
    """
    control, counts = run.control, run.progress.now
    if control.suspension is not None:
        log.info("Suspended: %d of %d chunks are accepted", counts.chunks, counts.total_chunks)
        say_suspended(run.identity.run_id)
        raise JobSuspendedError(control.suspension, _report(run, RunState.PAUSED, duration_ms=duration_ms))
    reason = control.stop_reason if control.is_stopping else JOB_CANCELLED
    if control.is_passed_on:
        log.warning("%s", reason)
        raise Abort(reason)
    report = _report(run, control.ends_as, duration_ms=duration_ms, error=reason)
    log.warning("%s: %d of %d chunks were done", reason, counts.chunks, counts.total_chunks)
    match control.ends_as:
        case RunState.CRASHED:
            return Crashed(message=reason, data=JobCrashedError(reason, report))
        case RunState.FAILED:
            return Failed(message=reason, data=JobFailedError(reason, report))
        case _:
            return Cancelled(message=reason, data=JobCancelledError(reason, report))


def not_begun(error: HeliosError, log: RunLogger) -> State[JobEndedError]:
    """The state of a job that failed before anything ran."""
    log.error("%s", error, extra=TOLD_AT_END)
    is_refused = error.failure.budget is RetryBudget.NONE and not isinstance(error, HeldByRunError)
    kind = JobRefusedError if is_refused else JobFailedError
    return Failed(message=str(error), data=kind(str(error)))


def cancelled_early() -> State[JobEndedError]:
    """The state of a job that was cancelled before anything ran."""
    return Cancelled(message=JOB_CANCELLED, data=JobCancelledError(JOB_CANCELLED))
