"""What chunks of an encode say of their source becomes warnings."""

from helios.job.source import validate_job_spec
from helios.models.pictures import PictureFault
from helios.models.quality import ChunkQuality
from helios.models.report import ChunkResult
from helios.models.worker import Artifact
from tasks.run.chunk_record import ChunkRecord
from tasks.run.source_checks import unlike_sources
from testbed.jobs import make_job

ODD = ChunkQuality(metric="xpsnr", score=30, unlike_frames=3, unlike_frame=2, looks_like=1)


def _record(number: int, quality: ChunkQuality | None) -> ChunkRecord:
    record = ChunkRecord(validate_job_spec(make_job([5, 5, 5]), source="test").chunks[number])
    record.result = ChunkResult(
        chunk_id=number, artifact=Artifact(url="file:///job/c.mp4", bytes=5, sha256="0" * 64), frames=5, codec="av1",
        attempt=1, run_id="run", adapter="local", render_ms=3, verify_ms=0, quality=quality,
    )  # fmt: skip
    return record


def test_frames_like_a_neighbour_are_a_warning() -> None:
    """The first such frame of a chunk is named as the composition counts, beside the frame that it looks like."""
    even = ChunkQuality(metric="xpsnr", score=40)
    (found,) = unlike_sources([_record(0, None), _record(1, ODD), _record(2, even)])
    assert (found.kind, found.is_certain, found.chunk_id) == (PictureFault.SOURCE, False, 1)
    assert (found.frame, found.other_frame) == (7, 6)
    assert "picture 6 than like its own; 3 frames of the chunk do so" in found.message


def test_numbers_of_another_chunk_are_no_warning() -> None:
    """What a command says of frames that its chunk does not have is passed over."""
    assert not list(unlike_sources([_record(0, ODD.model_copy(update={"unlike_frame": 5}))]))
