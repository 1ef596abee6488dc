"""`helios-job validate`: say whether a job document is sound, without running anything."""

import click

from cli.spec_argument import read_job
from helios.job.source import load_job_spec


@click.command(
    epilog="Example: helios-job validate job.json",
)
@click.argument("spec")
def validate(spec: str) -> None:
    """Check a job document. SPEC is a path, a URL, or - for standard input."""
    job = load_job_spec(read_job(spec))
    metadata = job.metadata
    first = job.ordered_chunks[0].start_frame
    click.echo(
        f"{spec}: sound. {metadata.total_frames} frames ({first} to {first + metadata.total_frames - 1}) of "
        f"{metadata.width}×{metadata.height} at {float(metadata.fps):.6g} fps in {len(job.chunks)} chunks"
    )
