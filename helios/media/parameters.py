"""What must agree between chunks so that their packets can follow each other in one stream."""

import ctypes
from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace

import av
from av.audio.stream import AudioStream
from av.video.stream import VideoStream

from helios.media.decoder_headers import decoder_headers
from helios.media.header_advice import advice_for
from helios.media.header_fields import header_differences
from helios.media.stream_facts import StreamFacts

OWN_ORDER = " channels ("
"""Stands in FFmpeg's name of a layout that lists its channels: "8 channels (FL+FR+FC+LFE+SL+SR+BL+BR)"."""
USUAL_LAYOUTS = {"1 channels": "mono", "2 channels": "stereo", "6 channels": "5.1", "8 channels": "7.1"}

COLOR_NAMES = ("color range", "color primaries", "transfer characteristic", "color matrix")
"""What the numbers of `VideoParameters.color` are."""


@dataclass(frozen=True)
class PacketParameters:
    """What a video stream's packets rely on, as far as it is known before a picture is decoded."""

    codec: str
    """FFmpeg's name of the codec: h264, hevc, vp9, av1, prores, …"""
    width: int
    """Pixels."""
    height: int
    """Pixels."""
    headers: str
    """As in `VideoParameters`."""

    @classmethod
    def of(cls, stream: VideoStream) -> "PacketParameters":
        """Read them from an open stream."""
        context = stream.codec_context
        codec = context.codec.canonical_name
        return cls(codec, context.width, context.height, decoder_headers(codec, context.extradata or b""))


@dataclass(frozen=True)
class VideoParameters:
    """A video stream's codec and everything that its packets rely on."""

    codec: str
    """FFmpeg's name of the codec: h264, hevc, vp9, av1, prores, …"""
    width: int
    """Pixels."""
    height: int
    """Pixels."""
    pixel_format: str | None
    """FFmpeg's name, such as yuv420p."""
    profile: str | None
    """The codec's profile, such as High."""
    color: tuple[int, int, int, int]
    """Range, primaries, transfer characteristic and matrix, as ITU-T H.273 numbers them."""
    headers: str
    """Digests of the headers that a decoder gets once for the whole track (SPS and PPS of H.264, and their like)."""
    facts: StreamFacts
    """What the container says about the pictures."""
    extradata: bytes = field(default=b"", compare=False, repr=False)
    """The headers themselves, with what does not count."""

    @classmethod
    def of(cls, stream: VideoStream) -> "VideoParameters":
        """Read them from an open stream."""
        context = stream.codec_context
        return cls(
            codec=context.codec.canonical_name,
            width=context.width,
            height=context.height,
            pixel_format=context.pix_fmt,
            profile=context.profile,
            color=(
                int(context.color_range),
                int(context.color_primaries),
                int(context.color_trc),
                int(context.colorspace),
            ),
            headers=decoder_headers(context.codec.canonical_name, context.extradata or b""),
            facts=StreamFacts.of(stream),
            extradata=context.extradata or b"",
        )

    def differences(self, other: "VideoParameters") -> str:
        """Name the fields in which `self` differs from `other`: `codec vp9 instead of h264`; say what to do."""
        named = ", ".join([*_differences(self, other), *_differences(self.facts, other.facts)])
        if self.headers == other.headers:
            return named
        # Another codec, size or profile comes with other headers: then they are not the reason.
        if self != replace(other, headers=self.headers, facts=self.facts):
            return named
        headers = f"headers ({'; '.join(header_differences(self.codec, self.extradata, other.extradata))})"
        return f"{', '.join(filter(None, [named, headers]))}. {advice_for(self.codec)}"


def _differences(one: VideoParameters | StreamFacts, two: VideoParameters | StreamFacts) -> Iterator[str]:
    for fact in fields(one):
        mine, its = getattr(one, fact.name), getattr(two, fact.name)
        if mine == its or not fact.compare or fact.name in {"facts", "headers"}:
            continue
        if fact.name == "color":
            pairs = zip(COLOR_NAMES, mine, its, strict=True)
            yield from (f"{name} {number} instead of {other}" for name, number, other in pairs if number != other)
        else:
            yield f"{fact.name.replace('_', ' ')} {mine} instead of {its}"


@dataclass(frozen=True)
class AudioParameters:
    """A sound track's format."""

    codec: str
    """FFmpeg's name of the codec: pcm_s16le, aac, …"""
    sample_rate: int
    """Samples per second and channel."""
    layout: str
    """FFmpeg's name of the channel layout: mono, stereo, 5.1, …"""
    sample_format: str = field(default="", compare=False)
    """FFmpeg's name of what the decoder gives: s16, fltp, …; need not agree."""

    @classmethod
    def of(cls, stream: AudioStream) -> "AudioParameters":
        """Read them from an open stream."""
        context = stream.codec_context
        layout = context.layout
        name = layout.name
        if OWN_ORDER in name:
            # PyAV frees such a layout's list of channels with the object, and FFmpeg frees it again: the process would
            # die. So the object stays.
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(layout))
        # WAV files often only say how many channels there are: "2 channels".
        form = context.format
        usual = USUAL_LAYOUTS.get(name, name)
        return cls(context.codec.canonical_name, context.sample_rate, usual, form.name if form else "")

    def refusal(self) -> str | None:
        """Why this sound can't be read here; None where it can."""
        if OWN_ORDER not in self.layout:
            return None
        return (
            f"its sound has {self.layout}, an order of its own; expected a usual order, such as that of 5.1 or 7.1. "
            "Give the track one (ffmpeg's filter aformat=channel_layouts=7.1), and write it as .mkv: .mov keeps others"
        )

    @property
    def is_pcm(self) -> bool:
        """Whether it is uncompressed."""
        return self.codec.startswith("pcm_")

    @property
    def is_lossless(self) -> bool:
        """Whether its codec keeps samples as they are, and so adds none in front or behind."""
        return av.Codec(self.codec, "r").lossless

    def __str__(self) -> str:
        """`pcm_s16le, 48000 Hz, stereo`."""
        return f"{self.codec}, {self.sample_rate} Hz, {self.layout}"
