"""What a command says of a job's end, and the exit code that goes with it."""

import json

import click

from cli.exit_codes import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_REFUSED
from helios.models.report import JobReport, ReusedFrom, RunState

EXIT_CODES = {
    RunState.COMPLETED: 0,
    RunState.FAILED: EXIT_FAILED,
    RunState.CRASHED: EXIT_FAILED,
    RunState.CANCELLED: EXIT_INTERRUPTED,
}


def show_outcome(
    state: RunState, message: str, report: JobReport | None, is_refused: bool = False, *, as_json: bool
) -> int:
    """Print how a job ended; return the exit code.

    Args:
        state: How it ended.
        message: Why, if not well.
        report: What became of its chunks, if it got as far as that.
        is_refused: Whether the request can't work, so that nothing ran.
        as_json: Print the report on standard output, as one JSON document.
    """
    if as_json:
        document = report.model_dump(mode="json") if report else {"state": state, "error": message}
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
    elif state is RunState.COMPLETED and report is not None:
        click.echo(_summary(report))
    if state is not RunState.COMPLETED:
        click.echo(f"helios-job: {message}", err=True)
        if report is not None:
            click.echo(f"helios-job resume {report.run_id} goes on where it stopped", err=True)
    return EXIT_REFUSED if is_refused else EXIT_CODES.get(state, EXIT_FAILED)


def _summary(report: JobReport) -> str:
    reused = sum(chunk.reused for chunk in report.chunks)
    cached = sum(chunk.reused_from is ReusedFrom.CACHE for chunk in report.chunks)
    source = f", {cached} of them from the cache" if cached else ""
    tail = f" ({reused} of {len(report.chunks)} chunks reused{source})" if reused else ""
    if report.inputs is not None and report.inputs.message is not None:
        tail = f" ({report.inputs.message})"
    if report.last_chunk is not None:
        tail += f" ({report.last_chunk})"
    if (video := report.video) is not None:
        tail = f", merged by the job{tail}" if report.merged else tail
        sound = f", {video.audio_codec} sound" if video.audio_codec else ""
        return f"{video.path}: {video.frames} frames, {video.duration_seconds:.3f} s{sound}, {video.bytes} bytes{tail}"
    if report.merged:
        done = f"{len(report.chunks)} chunks rendered, merged by the job"
        return f"{report.job_dir}: {done}; no video was found that its command wrote: not verified{tail}"
    joined = "not joined (--output FILE does)"
    return f"{report.job_dir}: {len(report.chunks)} chunks rendered, {report.frames} frames, {joined}{tail}"
