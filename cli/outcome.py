"""What a command says of a job's end, and the exit code that goes with it."""

import json

from cli.exit_codes import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_REFUSED
from cli.say import say
from helios.models.report import JobReport, RunState
from helios.models.report_text import describe_report

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
        say(json.dumps(document, indent=2, ensure_ascii=False))
    elif state is RunState.COMPLETED and report is not None:
        say(describe_report(report))
    if state is not RunState.COMPLETED:
        say(f"helios-job: {message}", err=True)
        if report is not None and state is not RunState.PAUSED:  # whose message says what to do
            say(f"helios-job resume {report.run_id} goes on where it stopped", err=True, level="info")
    return EXIT_REFUSED if is_refused else EXIT_CODES.get(state, EXIT_FAILED)
