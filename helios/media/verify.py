"""Decide whether a chunk's output is what its chunk ordered."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from helios.errors import OutputError
from helios.media.chunk_file import ChunkFile
from helios.media.decoding import ChunkDecoding
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


def verify_output(
    path: Path, *, frames: int, fps: Fraction, width: int, height: int, decode: bool = True
) -> VerifiedOutput:
    """Count the frames of an output, check their times and size, and decode all of them, and the sound.

    Args:
        path: The file.
        frames: Number of frames ordered.
        fps: Frame rate ordered, in frames per second.
        width: Pixels ordered.
        height: Pixels ordered.
        decode: False leaves decoding out: for bytes that were decoded once, and are compared by their digest.

    Raises:
        OutputError: It is missing, damaged, or not what was ordered.
    """
    with ChunkFile(path, fps=fps, frames=frames) as chunk:
        found = (chunk.parameters.width, chunk.parameters.height)
        if found != (width, height):
            raise OutputError(f"{path.name} is {found[0]}×{found[1]} pixels; expected {width}×{height}")
        decoding = ChunkDecoding(chunk) if decode else None
        for packet, index in chunk.packets():
            if decoding:
                decoding.feed(packet, index)
        if decoding:
            decoding.finish()
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
