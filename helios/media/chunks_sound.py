"""The sound of a joined video that is its chunks' own: each chunk's is laid at its place, and all is encoded once."""

from __future__ import annotations  # av.Packet is generic in its stubs alone

from collections.abc import Iterable
from fractions import Fraction

from av.packet import Packet
from av.stream import Stream

from helios.media.chunk_file import ChunkFile
from helios.media.chunk_sound import ChunkSound, Piece, RunIn
from helios.media.soundtrack import Soundtrack

UNKNOWN = (
    "does not say how much its encoder put in front of it (no edit list, no CodecDelay): it is heard late by that, "
    "about 0.02 s (HE-AAC: 0.1 s), and every seam has a gap; write the chunks as MP4 or MOV with edit lists, or with "
    "PCM sound"
)
AMBIGUOUS = (
    "is HE-AAC, whose files do not say whether the run-in that they state counts the delay of its decoder, of 962 "
    "samples: where it does (FFmpeg's libfdk_aac), the seams are exact to a sample; where it does not (Apple's "
    "encoder, fdkaac), the sound is 0.02 s late or more, with a gap at each seam; render AAC-LC or PCM to have it exact"
)
ROUNDED = (
    "begins before its pictures, and Matroska says when to the millisecond alone: the seams are exact to that; write "
    "the chunks as MP4 or MOV to have them exact to the sample"
)
ROUGH = (
    "is in its place to the sample, but was encoded without an overlap: its encoder began anew at the seam, which may "
    "be heard as a faint click; encode 0.1 s of its neighbours' sound with each chunk, at both ends, or render PCM"
)
"""What is said about the sound of chunks, after "The sound of chunk 3"."""
ABOUT_RUN_IN = {RunIn.UNKNOWN: UNKNOWN, RunIn.AMBIGUOUS: AMBIGUOUS, RunIn.ROUNDED: ROUNDED}


class ChunksSound:
    """Lays the sound of one chunk after the other.

    Args:
        track: Where it goes.
        fps: Frames per second of the pictures.
    """

    def __init__(self, track: Soundtrack, *, fps: Fraction) -> None:
        self.warnings: list[str] = []
        """For the report."""
        self._track = track
        self._fps = fps
        self._chunk: ChunkFile | None = None
        self._sound: ChunkSound | None = None
        self._longer: list[str] = []
        self._overlaps = False
        self._said_of: dict[str, list[str]] = {UNKNOWN: [], AMBIGUOUS: [], ROUNDED: [], ROUGH: []}
        """Chunks, by what is said about their sound."""

    def feed(self, packet: Packet[Stream], chunk: ChunkFile, *, frames: int) -> None:
        """Take a packet of a chunk's sound, before which there are `frames` frames of the video."""
        if self._chunk is not chunk:
            self._chunk, self._sound = chunk, ChunkSound(chunk)
        assert self._sound is not None  # noqa: S101
        self._lay(self._sound.take(packet), chunk, frames=frames)

    def end_chunk(self, name: str, chunk: ChunkFile, *, frames: int) -> None:
        """Complete the sound up to the end of a chunk, before which there are `frames` frames of the video."""
        sound = self._sound if self._chunk is chunk else None
        if sound is not None:
            self._lay(sound.rest(), chunk, frames=frames)
        self._chunk = self._sound = None
        difference = self._track.settle(until=self.samples_at(frames + chunk.frames))
        if chunk.audio is None:
            self.warnings.append(f"{name}: it has no sound track, which other chunks have; silence was put in")
            return
        if sound is not None:
            self._look(name, sound, is_first=frames == 0)
        self._compare(name, difference, sound)

    def advance(self, *, frames: int) -> None:
        """Make it `frames` frames of the video long at least, with silence."""
        self._track.settle(until=self.samples_at(frames))

    def finish(self, *, frames: int) -> None:
        """Write what the encoder holds, after all frames of the video."""
        del frames  # every chunk was completed
        self._track.finish()
        if not self._overlaps:  # else the sound of the neighbours lies there
            self.warnings += self._longer
        for said, names in self._said_of.items():
            if names:
                others = f" (and of {len(names) - 1} more)" if len(names) > 1 else ""
                self.warnings.append(f"The sound of {names[0]}{others} {said}")

    def samples_at(self, frame: int) -> int:
        """Samples that sound before a frame is shown."""
        return round(frame * self._track.sample_rate / self._fps)

    def _lay(self, pieces: Iterable[Piece], chunk: ChunkFile, *, frames: int) -> None:
        start, end = self.samples_at(frames), self.samples_at(frames + chunk.frames)
        for frame, at, slack in pieces:
            self._track.feed(frame, at=None if at is None else start + at, slack=slack, until=end)

    def _look(self, name: str, sound: ChunkSound, *, is_first: bool) -> None:
        """Note what keeps a seam from being exact, or from being unheard."""
        if (said := ABOUT_RUN_IN.get(sound.run_in)) is not None:
            self._said_of[said].append(name)
        elif sound.is_rough and not sound.is_overlapping and not is_first:
            self._said_of[ROUGH].append(name)

    def _compare(self, name: str, difference: int, sound: ChunkSound | None) -> None:
        """Say that a chunk's sound is shorter or longer than its pictures.

        Rounding may make it differ from its frames; a difference of a whole frame counts. Compressed sound ends with a
        whole packet, whose padding not every container tells.
        """
        packet = sound.packet_samples if sound else 0
        self._overlaps = self._overlaps or (sound is not None and sound.is_overlapping)
        frame = self.samples_at(1)
        seconds = f"{abs(difference) / self._track.sample_rate:.3f} s"
        if difference > packet if packet else difference >= frame:
            self._longer.append(f"{name}: its sound is {seconds} longer, and was cut")
        elif -difference >= (min(packet, frame) if packet else frame):
            self.warnings.append(f"{name}: its sound is {seconds} shorter; silence was put in")
