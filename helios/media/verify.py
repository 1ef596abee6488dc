"""Decide whether a chunk's output is what its chunk ordered."""

from __future__ import annotations

import hashlib
import threading
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from helios.errors import ExpectedError, MisfitError, OutputError
from helios.media.bounds import reading_bounds
from helios.media.chunk_file import ChunkFile
from helios.media.decoding import ChunkDecoding
from helios.media.fingerprints import PictureTaker
from helios.media.parameters import AudioParameters, VideoParameters
from helios.media.sounds import SoundTaker
from helios.models.pictures import ChunkPictures
from helios.models.verification import DEFAULT_LEVEL, VerifyLevel
from helios.storage.digest import hash_file

PACKETS_BYTES = 16
"""Of the digest of packets: enough that no two jobs of any length meet by chance."""


class VerificationStoppedError(ExpectedError):
    """The verification was asked to stop before its end."""


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
    level: VerifyLevel = DEFAULT_LEVEL
    """How thoroughly it was looked at."""
    pictures: ChunkPictures | None = None
    """What stays of its pictures, at the level `PICTURES`."""
    packets: str | None = None
    """Digest of the packets of its pictures, in hexadecimal. What the container says beside them does not count."""

    def check_sibling(self, other: VerifiedOutput, *, name: str, other_name: str) -> None:
        """Refuse an output that can't follow an accepted one in one stream; one without sound is silent.

        Raises:
            MisfitError: Names what differs.
        """
        if self.video != other.video:
            difference = self.video.differences(other.video)
            raise MisfitError(f"{name} does not fit {other_name}: {difference}")
        if None not in (self.audio, other.audio) and self.audio != other.audio:
            raise MisfitError(f"{name} does not fit {other_name}: sound {self.audio} instead of {other.audio}")


def verify_output(
    path: Path,
    *,
    frames: int,
    fps: Fraction,
    width: int,
    height: int,
    level: VerifyLevel = DEFAULT_LEVEL,
    stop: threading.Event | None = None,
) -> VerifiedOutput:
    """Count the frames of an output, check their times and size, and look into it as far as the level says.

    Args:
        path: The file.
        frames: Number of frames ordered.
        fps: Frame rate ordered, in frames per second.
        width: Pixels ordered.
        height: Pixels ordered.
        level: How thoroughly. Bytes that were verified once, and are compared by their digest, need `CONTAINER` alone.
        stop: Set by another thread to end the verification early, before the next frame.

    Raises:
        VerificationStoppedError: `stop` was set.
        OutputError: It is missing, damaged, or not what was ordered.
    """
    with suppress(OSError):  # which opening it reports
        reading_bounds(frames=frames, width=width, height=height).check_size(path.name, path.stat().st_size)
    with ChunkFile(path, fps=fps, frames=frames) as chunk:
        found = (chunk.parameters.width, chunk.parameters.height)
        if found != (width, height):
            raise OutputError(f"{path.name} is {found[0]}×{found[1]} pixels; expected {width}×{height}")
        taker = PictureTaker() if level.covers(VerifyLevel.PICTURES) else None
        sound = chunk.audio_parameters
        # Compressed sound begins and ends with what its encoder adds: only uncompressed sound goes on at seams.
        listener = SoundTaker(sound.sample_rate) if taker and sound and sound.is_pcm else None
        listen = listener.take if listener else None
        take = taker.take if taker else None
        decoding = ChunkDecoding(chunk, take, listen) if level.covers(VerifyLevel.DECODE) else None
        packets = hashlib.blake2b(digest_size=PACKETS_BYTES)
        for packet, index in chunk.packets():
            if stop is not None and stop.is_set():
                raise VerificationStoppedError(f"Verifying {path.name} was stopped")
            if index is not None:
                packets.update(packet)
            if decoding:
                decoding.feed(packet, index)
        if decoding:
            decoding.finish()
        digest, size = hash_file(path)
        return VerifiedOutput(
            frames=frames,
            bytes=size,
            sha256=digest,
            video=chunk.parameters,
            audio=sound,
            level=level,
            pictures=taker.result(listener.result() if listener else None) if taker else None,
            packets=packets.hexdigest(),
        )
