"""Try out a join with the first chunk of its kind, so that the job does not find out after the last one."""

from pathlib import Path

from prefect import get_run_logger

from helios.errors import RequestError
from helios.job.held_join import rehearse_held
from helios.media.accepted_file import StitchInput
from helios.media.animation_kinds import joined_name
from helios.media.bounds import MOMENT_SECONDS, within
from helios.models.spec import RenderJobChunk
from helios.processes.reader import run_apart
from tasks.run.run import Run


async def rehearse_join(place: Path, chunk: RenderJobChunk, run: Run) -> None:
    """Try out whether chunks of this kind can be joined.

    Raises:
        RequestError: They can't, or there are warnings, which are failures.
    """
    job = run.identity.job
    assert job.output is not None  # noqa: S101  a rehearsal is due where an output is asked for
    run.ledger.siblings.is_rehearsal_due = False  # the other chunks go on meanwhile
    joined = joined_name(job.output)
    metadata, temporary = job.spec.metadata, run.identity.own_place(joined, "rehearsal")
    try:
        warnings = await run_apart(
            rehearse_held,
            joined,
            name=f"What {job.output.name} is to be joined from",
            bounds=within(MOMENT_SECONDS, width=metadata.width, height=metadata.height),
            root=job.directory.path,
            temporary=temporary,
            part=StitchInput(place, chunk.frame_count, f"chunk {chunk.id}"),
            fps=metadata.fps,
            order=job.sound,
            delivery=job.delivery,
            source=job.from_source,
        )
    finally:
        run.outputs.remove(temporary)
    for warning in warnings:
        get_run_logger().warning("%s", warning)
    if job.is_strict and warnings:
        raise RequestError(f"Warnings are failures here (--strict): {warnings[0]}")
