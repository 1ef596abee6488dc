"""Decide whether a video that a job's own command joined is the video that the job ordered."""

import threading
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from helios.errors import OutputError
from helios.media.chunk_file import moving_pictures
from helios.media.opening import open_media
from helios.media.verify import VerificationStoppedError
from helios.models.report import OutputReport
from helios.storage.digest import hash_file

ROUNDING = Fraction(1, 1000)
"""Seconds by which each joined chunk may move those behind it: FFmpeg's concat demuxer rounds their durations."""


def is_video(path: Path) -> bool:
    """Whether a file can be read as a video."""
    try:
        with open_media(path) as container:
            return bool(moving_pictures(container))
    except (av.FFmpegError, OSError):
        return False


def verify_merged(
    path: Path, *, frames: int, fps: Fraction, chunks: int, stop: threading.Event | None = None
) -> OutputReport:
    """Count the frames of a joined video, and see whether each is at its time.

    Its size, its codec and its sound are what the command wanted.

    Args:
        path: The video.
        frames: Frames of all chunks.
        fps: The job's frame rate.
        chunks: How many chunks were joined.
        stop: Set by another thread to end this early.

    Raises:
        VerificationStoppedError: `stop` was set.
        OutputError: It is damaged, or has another length or rate.
    """
    try:
        with open_media(path) as container:
            video = _stream(container, path)
            sound = container.streams.audio[0].codec_context.name if container.streams.audio else None
            times = _times(container, video, path, stop)
    except (av.FFmpegError, OSError) as exc:
        raise OutputError(f"{path} can't be read as a video: {exc.strerror}") from exc
    seconds = float(frames / fps)
    expected = f"expected {frames} frames in {seconds:.3f} s, at {float(fps):.6g} fps"
    known = sorted(time for time in times if time is not None)
    length = float(known[-1] - known[0] + 1 / fps) if known else 0.0
    if len(times) != frames:
        raise OutputError(f"{path} has {len(times)} frames; {expected}")
    warnings: list[str] = []
    if len(known) == frames:
        off = max(abs(time - known[0] - index / fps) for index, time in enumerate(known))
        if off > Fraction(3, 2) / fps + chunks * ROUNDING:
            raise OutputError(f"{path} has {frames} frames in {length:.3f} s; {expected}")
        if off > 1 / fps:
            warnings.append(f"{path.name}: frames are up to {float(off) * 1000:.0f} ms from their times")
    digest, size = hash_file(path)
    return OutputReport(
        path=str(path),
        frames=frames,
        duration_seconds=seconds,
        bytes=size,
        sha256=digest,
        audio_codec=sound,
        warnings=tuple(warnings),
    )


def _stream(container: InputContainer, path: Path) -> VideoStream:
    if not (moving := moving_pictures(container)):
        raise OutputError(f"{path} has no video stream")
    return moving[0]


def _times(
    container: InputContainer, video: VideoStream, path: Path, stop: threading.Event | None
) -> list[Fraction | None]:
    """The time of each frame, in the order of packets; None where the file has none."""
    times: list[Fraction | None] = []
    for packet in container.demux(video):
        if stop is not None and stop.is_set():
            raise VerificationStoppedError(f"Verifying {path.name} was stopped")
        if packet.size == 0:
            continue  # PyAV ends each stream with an empty packet
        if packet.is_corrupt:
            raise OutputError(f"{path} is truncated or damaged: a packet is incomplete")
        stamp = packet.dts if packet.pts is None else packet.pts
        times.append(None if stamp is None else stamp * Fraction(packet.time_base or 1))
    return times
