"""`helios-job run`: render a job here and now, and wait for the video."""

import os
from typing import Any

import click

from cli.adapter_option import read_adapter
from cli.outcome import show_outcome
from cli.spec_argument import read_job
from helios.storage_urls import is_storage_url
from tasks.block_references import names_block
from tasks.prepared_job import prepare_job


@click.command(epilog="Example: helios-job run job.json --output video.mp4 --concurrency 4")
@click.argument("spec")
@click.option("--adapter", default="local", show_default=True, metavar="NAME", help="Where chunks are rendered.")
@click.option("--adapter-config", metavar="JSON|@FILE", help="The adapter's settings, as JSON or in a file. [default: "
              "the variable HELIOS_<NAME>_CONFIG, such as HELIOS_AWS_LAMBDA_CONFIG]")  # fmt: skip
@click.option(
    "--concurrency",
    type=click.IntRange(1, 10_000),
    help="Chunks at a time. [default: number of CPUs; 10 on workers elsewhere]",
)
@click.option("--retries", default=2, show_default=True, type=click.IntRange(0, 100), help="Of a failed chunk.")
@click.option("--retry-delay", default=1.0, show_default=True, type=click.FloatRange(0, 3600), metavar="S",
              help="Seconds before the first retry; each further pause is twice as long.")  # fmt: skip
@click.option("--environment-retries", default=5, show_default=True, type=click.IntRange(0, 1000),
              help="Of a chunk whose environment failed, not its command.")  # fmt: skip
@click.option("--timeout", type=click.FloatRange(min=0, min_open=True), metavar="S", help="Of a chunk, in seconds.")
@click.option("--stall-timeout", type=click.FloatRange(min=0, min_open=True), metavar="S",
              help="Stop a chunk after so many seconds without output or growth of its output file.")  # fmt: skip
@click.option("--job-dir", metavar="DIR", help="Where commands run and outputs lie. [default: SPEC's folder]")
@click.option("--output", metavar="FILE|URL", help="The stitched video, also s3:// or gs://. [default: as SPEC says]")
@click.option("--audio", metavar="FILE", help="The stitched video's sound track. [default: the chunks' own sound]")
@click.option("--no-merge", is_flag=True, help="Render the chunks, join nothing.")
@click.option("--merge-adapter", metavar="NAME", help="Where SPEC's merge command runs. [default: as --adapter]")
@click.option(
    "--chunk", "chunk_ids", type=int, multiple=True, metavar="ID", help="Render this chunk alone. Repeatable."
)
@click.option("--fresh", is_flag=True, help="Render chunks again that an earlier run of the job accepted.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON on standard output.")
def run(
    spec: str,
    adapter: str,
    adapter_config: str | None,
    concurrency: int | None,
    retries: int,
    retry_delay: float,
    environment_retries: int,
    timeout: float | None,
    stall_timeout: float | None,
    job_dir: str | None,
    output: str | None,
    audio: str | None,
    no_merge: bool,
    merge_adapter: str | None,
    chunk_ids: tuple[int, ...],
    fresh: bool,
    as_json: bool,
) -> int:
    """Render a job and wait for its end. SPEC is a path, a URL, or - for standard input."""
    request: dict[str, Any] = {
        "job": read_job(spec),
        "adapter": read_adapter(adapter, adapter_config),
        "job_dir": _absolute(job_dir),
        "output_file": output if output and is_storage_url(output) else _absolute(output),
        "merge": not no_merge,
        "merge_adapter": read_adapter(merge_adapter, None) if merge_adapter else None,
        "audio_file": _absolute(audio),
    }
    # Refused here, in a moment, rather than after Prefect's start; what only Prefect knows is looked at then.
    known = {name: "local" for name in ("adapter", "merge_adapter") if names_block(request[name])}
    prepared = prepare_job(**request | known, chunk_ids=chunk_ids or None)
    request |= {
        "chunks": list(chunk_ids) or None,
        "concurrency": concurrency,
        "retries": retries,
        "retry_delay_seconds": retry_delay,
        "environment_retries": environment_retries,
        "chunk_timeout_seconds": timeout,
        "stall_timeout_seconds": stall_timeout,
        "fresh": fresh,
    }
    from cli.flow_process import run_job  # imports Prefect

    return show_outcome(*run_job(request, title=prepared.name), as_json=as_json)


def _absolute(path: str | None) -> str | None:
    return None if path is None else os.path.abspath(os.path.expanduser(path))
