"""The sound of what is watched while it renders: FLAC, of the chunks or of the job's sound file.

FLAC's packets depend on no other packet, and say to the sample where they begin: encoded chunk by chunk, sound is
continuous at the seams, as AAC would be only if it were encoded in one go.
"""

from __future__ import annotations  # av.Packet is generic in its stubs alone

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.packet import Packet

from helios.media.chunks_sound import ChunksSound
from helios.media.file_sound import FileSound, open_tracks
from helios.media.opening import open_media
from helios.media.parameters import AudioParameters
from helios.media.sound_order import SoundCodec, SoundEncoder, SoundOrder
from helios.media.soundtrack import Soundtrack
from helios.media.span import Span
from helios.media.timing import Timing


def write_sound(sound: Path, *, place: Path, order: SoundOrder, timing: Timing, frames: int) -> bool:
    """Write the first track of a sound file as FLAC, laid as it will be in the video; say whether it has any.

    Args:
        sound: The file.
        place: What segments take it from, in a folder that is there.
        order: What says where the file begins.
        timing: Of the pictures.
        frames: Of the whole video.

    Raises:
        RequestError: The file can't be read.
        OSError: It can't be written.
    """
    tracks = open_tracks(sound, order)
    try:
        if not tracks:
            return False
        temporary = place.with_name(f".{place.name}.part")
        with av.open(str(temporary), "w", format="mp4") as output:
            track = Soundtrack(output, source=tracks[0].parameters, encoder=flac(tracks[0].parameters))
            laid = FileSound(tracks[0], track, timing=timing)
            output.start_encoding()
            laid.advance(frames=frames)
            laid.finish(frames=frames)
        temporary.replace(place)
        return True
    finally:
        for one in tracks:
            one.close()


def own_sound(output: OutputContainer, own: AudioParameters, span: Span) -> ChunksSound:
    """The chunk's sound, laid where it belongs in the video."""
    track = Soundtrack(output, source=own, encoder=flac(own))
    laid = ChunksSound(track, fps=span.fps)
    track.written = laid.samples_at(span.first)
    return laid


def sound_packets(output: OutputContainer, sound: Path, span: Span) -> Iterator[Packet[AudioStream]]:
    """The packets that begin while the chunk is shown."""
    with open_media(sound) as container:
        source = container.streams.audio[0]
        copy = output.add_stream_from_template(source, opaque=True)
        tick = source.time_base or Fraction(1)
        begin, end = (round(span.seconds(index) / tick) for index in (0, span.frames))
        container.seek(begin, stream=source)
        for packet in container.demux(source):
            if packet.pts is None or packet.pts < begin:
                continue
            if packet.pts >= end:
                return
            packet.stream = copy
            yield packet


def flac(source: AudioParameters) -> SoundEncoder:
    """The encoder, as deep as its source."""
    return SoundOrder(codec=SoundCodec.FLAC).encoder(Path("segment.mp4"), source)
