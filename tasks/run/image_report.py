"""What a report says of a job's images, once all are accepted."""

from collections.abc import Iterable
from dataclasses import dataclass

from helios.models.report import ImagesReport
from tasks.request.prepare import PreparedJob
from tasks.run.chunk_record import ChunkRecord


@dataclass(frozen=True)
class Delivered:
    """Where a job's images are, besides the job directory."""

    url: str
    """The URL of the images, with the pattern of their names."""
    sent: int
    """Images that this run has sent; the others were there."""


def report_images(
    job: PreparedJob, records: Iterable[ChunkRecord], *, delivered: Delivered | None = None
) -> ImagesReport | None:
    """The sequence; None where the job has none, or lacks images."""
    done = [(record, result) for record in records if (result := record.result) is not None]
    if not job.spec.is_images or len(done) < len(job.chunks):
        return None
    images = done[0][1].images
    if images is None:
        return None
    return ImagesReport(
        path=str(job.directory.output(job.chunks[0].output_file)),
        first=job.chunks[0].start_frame,
        last=job.chunks[-1].end_frame - 1,
        count=sum(result.frames for _, result in done),
        bytes=sum(result.artifact.bytes for _, result in done),
        format=images.kind.format,
        depth=images.kind.depth,
        url=delivered.url if delivered else None,
        sent=delivered.sent if delivered else 0,
        rendered=sum(len(record.images_rendered) for record, _ in done),
    )
