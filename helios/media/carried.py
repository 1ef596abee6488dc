"""What a chunk's container says besides its packets, and how it gets into the container of the joined video."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction

from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from helios.media.matroska_aspect import with_room
from helios.media.parameters import COLOR_NAMES
from helios.media.stream_facts import StreamFacts, has_alpha, header_of

MATROSKA = {"matroska", "webm"}
PRORES_TAGS = {
    "Proxy": "apco",
    "LT": "apcs",
    "Standard": "apcn",
    "HQ": "apch",
    "4444": "ap4h",
    "4444XQ": "ap4x",
}
"""FFmpeg's names of the flavours of ProRes, and how containers tell them apart."""
HEVC_TAGS = {"hev1": "hvc1", "dvhe": "dvh1"}
"""Apple's players refuse the first, which allows headers between the pictures; joined chunks have the same headers."""
QUICKTIME_LANGUAGES = {"deu": "ger", "nld": "dut", "zho": "chi", "ell": "gre", "isl": "ice", "sqi": "alb"}
"""ISO 639-2's codes whose place FFmpeg has under another code in MOV's table of languages."""
OF_ONE_FILE = {
    *("major_brand", "minor_version", "compatible_brands", "encoder", "creation_time", "vendor_id", "duration"),
    *("alpha_mode", "stereo_mode", "rotate", "timecode", "name", "title", "language", "handler_name", "reel_name"),
    *("number_of_frames", "number_of_bytes", "bps", "itunsmpb"),
}
"""Tags that describe one file and how it was written, or that are carried in another way."""
NAMED_BY_PROGRAMS = {
    "handler_name": ("handle", "core media", "iso media", "apple "),
    "encoder": ("lavc", "lavf"),
}
"""Tags of tracks that programs fill in with names of their own, in which these words stand: they say nothing."""


@dataclass(frozen=True)
class Track:
    """What a file says about one of its tracks."""

    title: str
    """Its name; may be empty."""
    language: str
    """Three letters of ISO 639-2, or `und`."""
    disposition: int
    """FFmpeg's flags, such as "original" and "visual impaired"."""
    tags: Mapping[str, str]
    """Everything else."""

    @classmethod
    def of(cls, stream: VideoStream | AudioStream) -> Track:
        """Read it from an open stream."""
        tags = _lower(stream.metadata)
        return cls(
            # MP4 calls it a name, Matroska a title.
            title=tags.get("title") or tags.get("name") or "",
            language=tags.get("language", "und"),
            disposition=int(stream.disposition),
            tags=_kept(stream.metadata) | _given_names(tags, is_copied=isinstance(stream, VideoStream)),
        )

    def put_on(self, stream: VideoStream | AudioStream) -> None:
        """Say the same about a stream that is about to be written."""
        stream.metadata.update(self.tags)
        if self.title:
            stream.metadata["title"] = self.title
        if self.language != "und":
            is_quicktime = stream.container.format.name == "mov"
            stream.metadata["language"] = (
                QUICKTIME_LANGUAGES.get(self.language, self.language) if is_quicktime else self.language
            )
        stream.disposition = Disposition(self.disposition)

    def missing_in(self, other: Track) -> Iterator[Unsaid]:
        """Name what stands here, and not in the other."""
        if self.title not in {"", other.title}:
            yield Unsaid(f"title {self.title!r}", track=replace(SILENT, title=self.title))
        if other.language not in {self.language, QUICKTIME_LANGUAGES.get(self.language)} and self.language != "und":
            yield Unsaid(f"language {self.language}", track=replace(SILENT, language=self.language))
        # A container whose only track has no mark takes it for the default.
        for flag in Disposition:
            if self.disposition & ~other.disposition & flag & ~Disposition.default:
                what = f"mark {(flag.name or '').replace('_', ' ')}"
                yield Unsaid(what, track=replace(SILENT, disposition=int(flag)))
        for tag in Unsaid.of_tags(self.tags, other.tags):
            yield Unsaid(tag.what, track=replace(SILENT, tags=tag.tags))


SILENT = Track(title="", language="und", disposition=0, tags={})
"""A track about which nothing is said."""


@dataclass(frozen=True)
class Unsaid:
    """One thing that a file was to say, and does not."""

    what: str
    """For people: `language deu of the video`."""
    tags: Mapping[str, str] = field(default_factory=dict)
    """It alone, where it is said about the file."""
    track: Track | None = None
    """It alone, where it is said about a track."""
    is_sound: bool = False
    """Whether that is a track of sound."""

    @classmethod
    def of_tags(cls, tags: Mapping[str, str], others: Mapping[str, str]) -> Iterator[Unsaid]:
        """Tags that are not among others, whose names may be written in capitals."""
        there = _lower(others)
        for key, value in tags.items():
            if there.get(key.lower()) != value:
                yield cls(f"tag {key}", tags={key: value})

    def about(self, track: str) -> Unsaid:
        """Say which track is meant: `video` or `sound`."""
        return replace(self, what=f"{self.what} of the {track}", is_sound=track == "sound")


@dataclass(frozen=True)
class Said:
    """What a file says about itself and its tracks."""

    tags: Mapping[str, str]
    """Title, artist, copyright, … of the file."""
    video: Track
    """Its video track."""
    audio: Track | None
    """Its sound track."""
    facts: StreamFacts
    """How its pictures are to be shown."""
    color: tuple[int, int, int, int]
    """As `VideoParameters.color`."""
    timecode: str
    """Of the first frame, as `01:00:00:00`; may be empty."""
    others: tuple[str, ...]
    """Kinds of its further tracks: subtitle, data, attachment, cover picture."""
    created: str = ""
    """When it says that it was written. Carried only where it is ordered, as the next one."""
    brand: str = ""
    """Its major brand, if it has one."""

    @classmethod
    def of(cls, file: InputContainer, video: VideoStream, audio: AudioStream | None, *, facts: StreamFacts) -> Said:
        """Read it from an open file."""
        context = video.codec_context
        others = [one for one in file.streams if one not in (video, audio)]
        tagged = [_lower(tags) for tags in (video.metadata, *(one.metadata for one in others), file.metadata)]
        track = Track.of(video)
        # MOV has the reel's name beside the time code, in a track of its own.
        if reel := next((tags["reel_name"] for tags in tagged[:-1] if "reel_name" in tags), None):
            track = replace(track, tags={**track.tags, "reel_name": reel})
        return cls(
            tags=_kept(file.metadata) | {key: value for key, value in file.metadata.items() if key.lower() == "title"},
            video=track,
            audio=Track.of(audio) if audio else None,
            facts=facts,
            color=(context.color_range, context.color_primaries, context.color_trc, context.colorspace),
            timecode=next((code for tags in tagged if (code := tags.get("timecode"))), ""),
            others=tuple(
                _kind(one) for one in others if "timecode" not in _lower(one.metadata) and not _has_chapters(one)
            ),
            created=_lower(file.metadata).get("creation_time", ""),
            brand=file.metadata.get("major_brand", ""),
        )

    def lost_in(self, other: Said) -> list[str]:
        """Name what is needed to show the pictures as they are, or to edit them, and is missing in the other."""
        lost = list(self.facts.lost_in(other.facts))
        for name, mine, its, unsaid in zip(
            COLOR_NAMES, self.color, other.color, ({0, 1}, {0, 2}, {0, 2}, {2}), strict=True
        ):
            if mine != its and mine not in unsaid:
                lost.append(f"{name} {mine} (found: {its})")
        if self.timecode != other.timecode and self.timecode:
            lost.append(f"time code {self.timecode} (found: {other.timecode or 'none'})")
        return lost

    def missing_in(self, other: Said) -> list[Unsaid]:
        """Name what else stands here and not in the other: names, languages, marks, tags. Sound is not looked at."""
        return [
            *(one.about("video") for one in self.video.missing_in(other.video)),
            *Unsaid.of_tags(self.tags, other.tags),
        ]


def add_video(
    output: OutputContainer, source: VideoStream, said: Said, *, fps: Fraction, tick: Fraction | None = None
) -> VideoStream:
    """Add a track for copies of a stream's packets, about which the same is said as about the stream.

    Args:
        output: The container, before its first packet.
        source: The stream.
        said: What its file says.
        fps: Frames per second.
        tick: Seconds of a time stamp's unit, where frames have no constant rate.
    """
    stream = output.add_stream_from_template(source, opaque=True)
    stream.time_base = tick or 1 / fps
    context, container = stream.codec_context, output.format.name
    context.framerate = fps  # time codes count by it, and Matroska states it
    context.sample_aspect_ratio = said.facts.sample_aspect_ratio
    if (tag := tag_for(source, container)) is not None:
        context.codec_tag = tag
    said.video.put_on(stream)
    if said.timecode:
        stream.metadata["timecode"] = said.timecode
    if container in MATROSKA:
        if has_alpha(source):
            stream.metadata["alpha_mode"] = "1"
        if said.facts.sample_aspect_ratio != 1:
            stream.metadata["title"] = with_room(said.video.title)
    elif handler := _lower(source.metadata).get("handler_name"):
        stream.metadata["handler_name"] = handler
    return stream


def tag_for(source: VideoStream, container: str) -> str | None:
    """The codec's name in a container (fourcc) under which a copy of a stream is as good as the stream.

    Returns:
        None when FFmpeg's own choice is right, or when the container takes no other.
    """
    codec, own = source.codec_context.codec.canonical_name, source.codec_tag
    wanted = [HEVC_TAGS.get(own, own)]
    if codec == "hevc":
        wanted.append("hvc1")
    if codec == "prores":
        wanted.append(PRORES_TAGS.get(source.profile or "", own))
    for tag in wanted:
        if tag.strip("\0 ") and header_of(source, container, tag=tag) is not None:
            return tag
    return None


def _has_chapters(stream: Stream) -> bool:
    """Whether this is the track in which MP4 and MOV keep the titles of chapters: FFmpeg shows it as data."""
    return stream.type == "data" and 0 < stream.frames == len(stream.container.chapters())


def _kind(stream: Stream) -> str:
    return "cover picture" if stream.disposition & Disposition.attached_pic else stream.type


def _lower(tags: Mapping[str, str]) -> dict[str, str]:
    """Matroska writes the names of tags in capitals."""
    return {key.lower(): value for key, value in tags.items()}


def _given_names(tags: Mapping[str, str], *, is_copied: bool) -> dict[str, str]:
    """Names that a person, and not a program, gave a track.

    Args:
        tags: Of the track.
        is_copied: Whether its packets are copied: what is encoded again has another encoder.
    """
    return {
        key: tags[key]
        for key, words in NAMED_BY_PROGRAMS.items()
        if tags.get(key) and not any(word in tags[key].lower() for word in words) and (is_copied or key != "encoder")
    }


def _kept(tags: Mapping[str, str]) -> dict[str, str]:
    return {
        key: value
        for key, value in tags.items()
        if key.lower() not in OF_ONE_FILE and not key.lower().startswith("_statistics")
    }
