"""Decide whether a chunk's output is what its chunk ordered."""

from __future__ import annotations  # av.Packet is generic in its stubs alone

import hashlib
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
from av.packet import Packet
from av.stream import Stream
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from helios.errors import OutputError
from helios.media.chunk_file import ChunkFile
from helios.media.parameters import AudioParameters, VideoParameters


@dataclass(frozen=True)
class VerifiedOutput:
    """An output that holds what was ordered."""

    frames: int
    """Frames counted."""
    bytes: int
    """Size of the file."""
    sha256: str
    """Digest of the file, in hexadecimal."""
    video: VideoParameters
    """What its siblings must agree with."""
    audio: AudioParameters | None
    """Likewise; None without sound."""

    def check_sibling(self, other: VerifiedOutput, *, name: str, other_name: str) -> None:
        """Refuse an output that can't follow an accepted one in one stream.

        Raises:
            OutputError: Names what differs.
        """
        if self.video != other.video:
            difference = self.video.differences(other.video)
            raise OutputError(f"{name} does not fit {other_name}: {difference}")
        if self.audio != other.audio:
            raise OutputError(
                f"{name} does not fit {other_name}: sound {self.audio or 'missing'} instead of {other.audio or 'none'}"
            )


def verify_output(path: Path, *, frames: int, fps: Fraction, width: int, height: int) -> VerifiedOutput:
    """Count the frames of an output, check their times and size, and decode the first.

    The rest is read but not decoded: that would cost a good part of the rendering time again.

    Raises:
        OutputError: It is missing, damaged, or not what was ordered.
    """
    with ChunkFile(path, fps=fps, frames=frames) as chunk:
        found = (chunk.parameters.width, chunk.parameters.height)
        if found != (width, height):
            raise OutputError(f"{path.name} is {found[0]}×{found[1]} pixels; expected {width}×{height}")
        first, decoder = None, chunk.video.codec_context
        # With frame threads a decoder would hold frames back.
        decoder.thread_count = 1
        try:
            for packet, index in chunk.packets():
                if first is None and index is not None:
                    first = _decode_alone(decoder, packet)
        except av.FFmpegError as exc:
            raise OutputError(f"{path.name}: its first frame can't be decoded ({exc.strerror})") from exc
        if first is None:
            raise OutputError(f"{path.name}: no frame can be decoded")
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            size = file.tell()
        return VerifiedOutput(
            frames=frames,
            bytes=size,
            sha256=digest,
            video=chunk.parameters,
            audio=chunk.audio_parameters,
        )


def _decode_alone(decoder: VideoCodecContext, packet: Packet[Stream]) -> VideoFrame | None:
    """Decode a packet without those after it, which a decoder waits for where frames are stored out of order."""
    frame = next(iter(decoder.decode(packet)), None) or next(iter(decoder.decode(None)), None)
    decoder.flush_buffers()
    return frame
