"""What an audit found, in words."""

from collections.abc import Iterator

from helios.media.comparison import Comparison
from helios.models.audit import ChunkAudit
from helios.models.spec import RenderJobChunk


def describe_difference(
    audit: ChunkAudit, compared: Comparison, chunk: RenderJobChunk, *, codec: str, least_psnr: float
) -> str:
    """Say what differs between two renders of a chunk, who rendered them, and where pictures of both are.

    Args:
        audit: What the report says of it.
        compared: The comparison, which has found a difference.
        chunk: The chunk.
        codec: FFmpeg's name of its codec.
        least_psnr: What was asked for, in dB.
    """
    expected = (
        f"equal frames, since this {codec} is lossless" if compared.is_lossless else f"at least {least_psnr:g} dB"
    )
    found = "; ".join(_differences(audit, compared, chunk, expected))
    lines = [
        f"chunk {chunk.id} ({chunk.frames}), rendered a second time, is not the same: {found}",
        f"  {workers(audit)}",
    ]
    if audit.pictures:
        accepted, second = audit.pictures
        lines += [f"  Frame {audit.frame} as accepted: {accepted}", f"  Frame {audit.frame} the second time: {second}"]
    return "\n".join(lines)


def workers(audit: ChunkAudit) -> str:
    """Who rendered a chunk both times, as far as it is known."""
    if audit.same_worker:
        return f"Rendered both times by {audit.rendered_by}"
    first, second = (name or "an unknown worker" for name in (audit.rendered_by, audit.rendered_again_by))
    return f"Rendered by {first}, then by {second}"


def _differences(audit: ChunkAudit, compared: Comparison, chunk: RenderJobChunk, expected: str) -> Iterator[str]:
    if compared.format:
        yield f"its format differs ({compared.format})"
    if count := compared.different_frames:
        yield (
            f"frame {audit.frame} differs most, with a PSNR of {compared.lowest_psnr:.1f} dB (expected {expected}), "
            f"and {count} of {chunk.frame_count} frames {'differs' if count == 1 else 'differ'}"
        )
    sound = compared.sound
    if sound is None or not sound.is_different:
        return
    if sound.samples is not None:
        yield f"its sound has {sound.samples[1]} samples instead of {sound.samples[0]}"
    if sound.seconds is not None:
        yield f"its sound differs most at {sound.seconds:.1f} s, by {-sound.lowest_psnr:.1f} dB of full scale"
