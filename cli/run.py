"""`helios-job run`: render a job here and now, and wait for the video."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

import click

from cli.job_options import job_options, read_request, to_parameters
from cli.outcome import show_outcome
from cli.screen import screen_options
from helios.job.kept_document import is_large, keep_document
from tasks.request.output_name import complete_name
from tasks.request.request import RenderRequest


@click.command(epilog="Example: helios-job run job.json --output video.mp4 --concurrency 4")
@job_options()
@screen_options
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON on standard output.")
def run(as_json: bool, **words: Any) -> int:
    """Render a job and wait for its end. SPEC is a path, a URL, or - for standard input."""
    return render(read_request(words), as_json=as_json)


def render(request: RenderRequest, *, as_json: bool) -> int:
    """Carry out a request here and now; return the exit code.

    Raises:
        HeliosError: The request is refused.
    """
    spec = request.check()  # refused here, in a moment, rather than after Prefect's start
    if request.output_file is not None:
        request = replace(request, output_file=complete_name(request.output_file, datetime.now().astimezone()))
    title = request.job_name(spec)
    if isinstance(request.job, Mapping) and is_large(request.job):
        directory = request.directory.absolute()
        request = replace(request, job=str(keep_document(request.job, directory)), job_dir=str(directory))
    from cli.flow_process import run_job  # imports Prefect

    return show_outcome(*run_job(to_parameters(request), title=title), as_json=as_json)
