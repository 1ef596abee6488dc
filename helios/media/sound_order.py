"""What sound a video is to have and how it is written; which codecs have a place in which container."""

from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from pathlib import Path
from typing import TypeVar

from helios.errors import RequestError
from helios.media.containers import CONTAINERS, container_of
from helios.media.parameters import AudioParameters

Choice = TypeVar("Choice", bound=StrEnum)


class SoundCodec(StrEnum):
    """How a video's sound is written."""

    COPY = "copy"
    """Packets of the sound file, as they are."""
    AAC = "aac"
    """At 96 kbit/s for each channel."""
    OPUS = "opus"
    """Likewise."""
    FLAC = "flac"
    """Lossless."""
    PCM = "pcm"
    """Uncompressed, as deep as the source: 16 bits at least."""


class SoundTracks(StrEnum):
    """Which tracks of a sound file a video gets."""

    FIRST = "first"
    """The first one."""
    ALL = "all"
    """Every one, in the file's order."""


CODECS = {
    "mp4": (SoundCodec.AAC, SoundCodec.OPUS, SoundCodec.FLAC),
    "mov": (SoundCodec.AAC, SoundCodec.PCM),
    "matroska": (SoundCodec.AAC, SoundCodec.OPUS, SoundCodec.FLAC, SoundCodec.PCM),
    "webm": (SoundCodec.OPUS,),
}
"""By FFmpeg's name of a container: what it takes, and players know there. FFmpeg 8 writes PCM into MP4, too, of which
older players know nothing, and FFmpeg 5.1 reads 24 bits as 16."""
ENCODERS = {SoundCodec.AAC: "aac", SoundCodec.OPUS: "libopus", SoundCodec.FLAC: "flac"}
SAMPLE_FORMATS = {"pcm_s16le": "s16", "pcm_s24le": "s32", "pcm_s32le": "s32", "pcm_f32le": "flt", "pcm_f64le": "dbl"}


@dataclass(frozen=True)
class SoundEncoder:
    """An encoder, and the samples that it is given."""

    name: str
    """FFmpeg's name."""
    sample_format: str = "fltp"
    """FFmpeg's name."""

    @property
    def is_lossless(self) -> bool:
        """Whether the samples are kept as they are."""
        return self.name == "flac" or self.name.startswith("pcm_")


@dataclass(frozen=True)
class SoundOrder:
    """The sound that is asked for."""

    file: Path | None = None
    """Where it comes from; None for the chunks' own sound."""
    tracks: SoundTracks = SoundTracks.FIRST
    """Which tracks of the file."""
    codec: SoundCodec | None = None
    """How it is written; None for what is usual in the container: Opus in WebM, AAC elsewhere."""
    start: Fraction | None = None
    """The file's time stamp that is the video's beginning, in seconds; None for its own beginning."""
    may_be_silent: bool = False
    """Whether the file may have no sound."""

    def check(self, output: Path) -> None:
        """Refuse an order that can't be carried out, whatever the sound is like.

        Args:
            output: The video. Its name's extension tells the container.

        Raises:
            RequestError: Says what works.
        """
        if self.file is None and self.tracks is SoundTracks.ALL:
            raise RequestError("All tracks (--audio-tracks all) are those of a sound file; name one (--audio FILE)")
        if self.codec is SoundCodec.COPY:
            if self.file is None:
                raise RequestError(
                    "Sound can be copied from a sound file alone (--audio-codec copy with --audio FILE): the sound of "
                    "chunks is decoded, and encoded once for the whole video; expected "
                    f"{_words(self.codecs_of(output), 'or')}"
                )
        elif self.codec is not None and self.codec not in self.codecs_of(output):
            suffix = output.suffix.lower()
            raise RequestError(
                f"{output.name} can't have {self.codec} sound (--audio-codec): {suffix} files take "
                f"{_words(self.codecs_of(output))}; {self.codec} goes into {_words(suffixes_for(self.codec))}"
            )

    @staticmethod
    def codecs_of(output: Path) -> tuple[SoundCodec, ...]:
        """What a video can have its sound encoded as."""
        return CODECS[container_of(output)[0]]

    def encoder(self, output: Path, source: AudioParameters) -> SoundEncoder:
        """The encoder for a sound, in a video that was checked; of nothing that is copied."""
        name = container_of(output)[1] if self.codec is None else ENCODERS.get(self.codec) or pcm_for(source)
        if name == "flac":
            return SoundEncoder(name, "s16" if pcm_for(source) == "pcm_s16le" else "s32")
        return SoundEncoder(name, SAMPLE_FORMATS.get(name, "fltp"))


CHUNKS_OWN = SoundOrder()
"""The sound of the chunks, written as is usual in the container."""


def pcm_for(source: AudioParameters) -> str:
    """FFmpeg's name of the uncompressed sound that is as deep as a source: 16 bits for compressed sound."""
    if source.is_pcm:
        kind = source.codec.replace("pcm_u", "pcm_s")[: len("pcm_s16")]
        return next((name for name in SAMPLE_FORMATS if name.startswith(kind)), "pcm_s16le")
    # Lossless codecs: FFmpeg has 24 bits in 32.
    return "pcm_s24le" if source.is_lossless and source.sample_format in {"s32", "s32p"} else "pcm_s16le"


def suffixes_for(codec: SoundCodec) -> list[str]:
    """Extensions of the videos that a sound has a place in."""
    return [suffix for suffix, (name, _) in CONTAINERS.items() if codec in CODECS[name]]


def known_sound_codec(name: str) -> SoundCodec:
    """Find a codec by its name.

    Raises:
        RequestError: There is no such codec.
    """
    return _known(SoundCodec, name, what="The sound", option="--audio-codec")


def known_tracks(name: str) -> SoundTracks:
    """Find a choice of tracks by its name.

    Raises:
        RequestError: There is no such choice.
    """
    return _known(SoundTracks, name, what="The tracks", option="--audio-tracks")


def _known(choices: type[Choice], name: str, *, what: str, option: str) -> Choice:
    try:
        return choices(name)
    except ValueError:
        raise RequestError(f"{what} can't be {name!r} ({option}); expected {_words(choices, 'or')}") from None


def _words(names: object, last: str = "and") -> str:
    *others, end = map(str, names)  # type: ignore[call-overload]
    return f"{', '.join(others)} {last} {end}" if others else str(end)
