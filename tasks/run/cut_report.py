"""What the report says of how a job was cut while it was rendered."""

from collections.abc import Iterable

from helios.models.cut_report import CutReport, CuttingReport, SplitReport
from helios.models.spec import JobSpec
from tasks.run.chunk_record import ChunkRecord


def report_cut(record: ChunkRecord) -> CutReport | None:
    """How a chunk was cut; None where the document has it."""
    if (cut := record.cut) is None:
        return None
    expected = None if cut.seconds is None else round(cut.seconds, 3)
    return CutReport(start_frame=cut.start, frame_count=cut.frames, expected_seconds=expected, why=cut.why.value)


def report_cutting(spec: JobSpec, split: Iterable[ChunkRecord], *, start_seconds: float | None) -> CuttingReport | None:
    """How a job was cut; None where its document has the chunks.

    Args:
        spec: The document.
        split: Chunks that hit a time limit.
        start_seconds: What starting a chunk takes, if that is known.
    """
    if spec.template is None or spec.template.target_seconds is None:
        return None
    return CuttingReport(
        target_seconds=spec.template.target_seconds,
        start_seconds=None if start_seconds is None else round(start_seconds, 3),
        splits=tuple(_split(record) for record in split),
    )


def _split(record: ChunkRecord) -> SplitReport:
    return SplitReport(
        id=record.chunk.id,
        start_frame=record.chunk.start_frame,
        frame_count=record.chunk.frame_count,
        parts=(record.parts[0].id, record.parts[1].id),
        attempts=record.attempts,
        seconds=round(sum(times.seconds for times in record.times), 3),
    )
