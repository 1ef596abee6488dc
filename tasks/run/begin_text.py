"""The line with which a run begins to render, in its log."""

from tasks.run.run import Run


def describe_begin(run: Run, in_flight: int) -> str:
    """What is rendered, how many chunks at a time, and where."""
    job = run.identity.job
    metadata, rate = job.spec.metadata, f"{float(job.spec.metadata.fps):.6g}"
    where = job.places[0].adapter_name
    if run.places.are_several:
        where = ", ".join(f"{name} (at most {bound})" for name, bound in run.places.bounds.items())
    chunks = "chunks of the wanted time" if job.spec.grows else f"{len(job.chunks)} chunks"
    return (
        f"Job {job.name}: {job.total_frames} frames of {metadata.width}×{metadata.height} at {rate} fps in "
        f"{chunks}, {in_flight} at a time on {where}, in {job.directory.path}"
    )
