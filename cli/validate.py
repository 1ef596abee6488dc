"""`helios-job validate`: say whether a job document is sound, without running anything."""

import click

from cli.completing import complete_file
from cli.say import say
from cli.spec_argument import read_job
from helios.job.source import check_assets_url
from helios.models.paths import doubtful_name
from tasks.request.request import RenderRequest


@click.command(
    epilog="Example: helios-job validate job.json",
)
@click.argument("spec", shell_complete=complete_file)
@click.option("--job-dir", metavar="DIR", help="The job directory. [default: the document's folder]")
def validate(spec: str, job_dir: str | None) -> None:
    """Check a job document. SPEC is a path, a URL, or - for standard input."""
    job = RenderRequest(read_job(spec), job_dir=job_dir).load()
    if job.assets_url is not None:
        check_assets_url(job.assets_url)
    if (doubt := doubtful_name(job.output_file)) is not None:
        say(doubt, err=True)
    metadata = job.metadata
    first = job.ordered_chunks[0].start_frame
    count = f"chunks that are cut to take {job.template.target_seconds:g} s" if job.grows and job.template else ""
    say(
        f"{spec}: sound. {metadata.total_frames} frames ({first} to {first + metadata.total_frames - 1}) of "
        f"{metadata.width}×{metadata.height} at {float(metadata.fps):.6g} fps in {count or f'{len(job.chunks)} chunks'}"
    )
