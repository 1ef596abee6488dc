"""What an audit found: chunks that were rendered a second time, and compared."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from helios.models.base import WireModel


class AuditVerdict(StrEnum):
    """How an audit ended. Never renamed: reports have them."""

    PENDING = "pending"
    """It did not come to its end, because its run did not."""
    PASSED = "passed"
    """Both renders agree."""
    DIFFERENT = "different"
    """They differ."""
    FAILED = "failed"
    """The second render failed, or is not what was ordered."""


class ChunkAudit(WireModel):
    """The audit of one chunk."""

    chunk_id: int
    """The chunk."""
    verdict: AuditVerdict = AuditVerdict.PENDING
    """How it ended."""
    lowest_psnr: Annotated[float, Field(allow_inf_nan=False)] | None = None
    """Of the frame that differs most, in dB. Empty where all frames are equal, or none was compared."""
    frame: int | None = None
    """That frame, as the composition counts; likewise."""
    different_frames: Annotated[int, Field(ge=0)] = 0
    """Frames that differ more than they may."""
    rendered_by: str | None = None
    """The worker of the accepted output; empty where it is not known."""
    rendered_again_by: str | None = None
    """The worker of the second render; likewise."""
    same_worker: bool | None = None
    """Whether these are one worker; empty where one of them is not known."""
    render_ms: Annotated[int, Field(ge=0)] | None = None
    """Running time of the second render's command."""
    pictures: tuple[str, ...] = ()
    """Paths of two PNGs of `frame`, accepted and second, where it differs too much; of the first few chunks alone."""
    message: str | None = None
    """What differs, or why the second render failed; for people."""


class AuditReport(WireModel):
    """The audit of a job."""

    share: float
    """Of the chunks, 0 to 1."""
    seed: int
    """With which they were drawn: the same seed, job and chunks draw the same."""
    least_psnr: float
    """What is good enough, in dB. Lossless codecs have to be exact."""
    verdict: AuditVerdict
    """Of the whole: `passed` only where every chunk passed."""
    chunks: tuple[ChunkAudit, ...]
    """The chunks that were drawn, in frame order."""
