"""`helios-job run`: render a job here and now, and wait for the video."""

from datetime import datetime
from typing import Any

import click

from cli.job_options import flow_parameters, job_options
from cli.outcome import show_outcome
from tasks.request.blocks import names_block
from tasks.request.output_name import complete_name
from tasks.request.prepare import prepare_job


@click.command(epilog="Example: helios-job run job.json --output video.mp4 --concurrency 4")
@job_options
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON on standard output.")
def run(as_json: bool, **words: Any) -> int:
    """Render a job and wait for its end. SPEC is a path, a URL, or - for standard input."""
    request = flow_parameters(words)
    if request["output_file"] is not None:
        request["output_file"] = complete_name(request["output_file"], datetime.now().astimezone())
    # Refused here, in a moment, rather than after Prefect's start; what only Prefect knows is looked at then.
    known = {name: "local" for name in ("adapter", "merge_adapter") if names_block(request[name])}
    looked_at = ("job", "adapter", "job_dir", "output_file", "merge", "merge_adapter", "audio_file")
    prepared = prepare_job(**{name: request[name] for name in looked_at} | known, chunk_ids=request["chunks"])
    from cli.flow_process import run_job  # imports Prefect

    return show_outcome(*run_job(request, title=prepared.name), as_json=as_json)
