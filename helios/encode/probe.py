"""What a source says about itself, and where each part of it goes."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer
from av.stream import AttachmentStream, Disposition, Stream
from av.video.stream import VideoStream

from helios.encode.codecs import chosen_format
from helios.encode.pictures import open_source
from helios.encode.recipe import Recipe
from helios.errors import RequestError
from helios.media.carried import Said
from helios.media.containers import container_of
from helios.media.parameters import AudioParameters, VideoParameters
from helios.media.source_file import has_place
from helios.media.stream_facts import StreamFacts

PRIMARIES = {1: "bt709", 5: "bt470bg", 6: "smpte170m", 9: "bt2020", 11: "dci-p3", 12: "display-p3"}
TRANSFERS = {1: "bt709", 6: "smpte170m", 13: "srgb", 14: "bt2020-10", 15: "bt2020-12", 16: "pq", 18: "hlg"}
MATRICES = {0: "rgb", 1: "bt709", 5: "bt470bg", 6: "smpte170m", 9: "bt2020nc", 10: "bt2020c"}
RANGES = {1: "limited", 2: "full"}
"""Names of ITU-T H.273's numbers; another number stands for itself."""
NOT_CARRIED = ("dolby_vision", "color_profile", "ambient_light", "spatial_video")
"""Facts about the pictures that a new encode does not keep."""


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    what: str
    """Pictures, sound, …"""
    source: str
    """As the source has it."""
    goes: str
    """What becomes of it."""


@dataclass(frozen=True)
class Source:
    """A source, looked at without decoding it."""

    pictures: VideoParameters
    """Of its video."""
    codec: str
    """FFmpeg's name."""
    pixel_format: str
    """FFmpeg's name."""
    rows: tuple[Row, ...]
    """What goes where."""
    has_sound: bool
    """Whether there is any."""

    @property
    def facts(self) -> StreamFacts:
        """What the container says about the pictures."""
        return self.pictures.facts


def probe(path: Path, output: Path, recipe: Recipe, *, sound: str) -> Source:
    """Look at a source, and at what the video takes from it.

    Args:
        path: The source.
        output: The video; its name tells the container.
        recipe: How pictures are encoded.
        sound: `copy`, `none`, or a codec.

    Raises:
        RequestError: It can't be encoded so.
    """
    container, stream = open_source(path)
    with container:
        parameters = VideoParameters.of(stream)
        facts = parameters.facts
        if facts.field_order != "progressive" and not (recipe.keeps_fields or recipe.deinterlaces):
            raise RequestError(
                f"{path.name} is interlaced ({facts.field_order}), which {recipe.codec} does not keep here; make whole "
                "pictures of its fields (--vf bwdif=0), or encode them as fields (--codec x264)"
            )
        name, _ = container_of(output)
        form = parameters.pixel_format or "yuv420p"
        rows = [
            *_pictures(stream, parameters, recipe),
            *_sounds(container, sound),
            *_others(container, name, stream),
        ]
        return Source(parameters, stream.codec_context.name, form, tuple(rows), bool(container.streams.audio))


def pixel_format_of(path: Path) -> str:
    """FFmpeg's name of the pixel format of a source.

    Raises:
        RequestError: As `helios.encode.pictures.open_source`.
    """
    container, stream = open_source(path)
    with container:
        return VideoParameters.of(stream).pixel_format or "rgb24"


def _pictures(stream: VideoStream, parameters: VideoParameters, recipe: Recipe) -> list[Row]:
    facts, form = parameters.facts, parameters.pixel_format or "yuv420p"
    format_after = chosen_format(recipe.how, recipe.pix_fmt, form)
    changed = "" if format_after == form.replace("yuvj", "yuv") else f" (from {form})"
    filters = f", filtered by {recipe.vf}" if recipe.vf else ""
    size = f"{parameters.width}×{parameters.height}"
    found = [
        Row(
            "pictures",
            f"{stream.codec_context.name}, {size}, {form}",
            f"{recipe.codec}, {format_after}{changed}{filters}",
        ),
        Row("colour", _colour(parameters), "kept"),
    ]
    shapes = {
        "pixels": facts.sample_aspect_ratio != 1 and f"{facts.sample_aspect_ratio} wide for their height",
        "rotation": facts.rotation != "none" and facts.rotation,
        "HDR10": (facts.mastering_display or facts.light_level != (0, 0)) and _hdr(facts),
        "stereo": facts.stereo_mode and f"mode {facts.stereo_mode}",
        "projection": facts.projection != "flat" and "spherical",
        "transparency": facts.alpha and "yes",
    }
    found += [Row(what, str(value), "kept") for what, value in shapes.items() if value]
    if facts.field_order != "progressive":
        found.append(Row("fields", facts.field_order, "made into pictures" if recipe.deinterlaces else "kept"))
    lost = [name for name in NOT_CARRIED if getattr(facts, name) != getattr(StreamFacts(), name)]
    return found + [Row(name.replace("_", " "), "yes", "left out: a new encode does not keep it") for name in lost]


def _colour(parameters: VideoParameters) -> str:
    range_, primaries, transfer, matrix = parameters.color
    names = (
        PRIMARIES.get(primaries, _number(primaries)), TRANSFERS.get(transfer, _number(transfer)),
        MATRICES.get(matrix, _number(matrix)), RANGES.get(range_, "unsaid"),
    )  # fmt: skip
    return "primaries {}, transfer {}, matrix {}, range {}".format(*names)


def _number(value: int) -> str:
    return "unsaid" if value in {0, 2} else str(value)


def _hdr(facts: StreamFacts) -> str:
    light = f"MaxCLL {facts.light_level[0]}, MaxFALL {facts.light_level[1]}" if facts.light_level != (0, 0) else ""
    mastered = f"mastered up to {facts.mastering_display[8]:g} cd/m²" if facts.mastering_display else ""
    return ", ".join(filter(None, [mastered, light]))


def _sounds(container: InputContainer, sound: str) -> list[Row]:
    goes = {"copy": "copied", "none": "left out (--audio none)"}.get(sound, f"encoded: {sound}")
    return [
        Row(f"sound {number}", f"{AudioParameters.of(one)}{_language(one)}", goes)
        for number, one in enumerate(container.streams.audio, start=1)
    ]


def _others(container: InputContainer, name: str, video: VideoStream) -> list[Row]:
    found = []
    for one in container.streams:
        if one is video or one.type == "audio":
            continue
        what, context = _kind(one), getattr(one, "codec_context", None)
        codec = context.codec.canonical_name if context else ""
        has = name == "matroska" if isinstance(one, AttachmentStream) else has_place(name, one)
        is_carried = what in {"subtitles", "cover picture", "attachment"}
        goes = "copied" if has and is_carried else f"left out: {name} has no place for it" if is_carried else "left out"
        found.append(Row(what, f"{codec or getattr(one, 'name', '') or one.type}{_language(one)}", goes))
    if chapters := container.chapters():
        found.append(Row("chapters", str(len(chapters)), "copied"))
    said = Said.of(container, video, None, facts=StreamFacts())
    if said.tags:
        found.append(Row("metadata", ", ".join(sorted(said.tags)), "copied"))
    return found


def _kind(stream: Stream) -> str:
    if stream.disposition & Disposition.attached_pic:
        return "cover picture"
    return {"subtitle": "subtitles", "video": "further pictures"}.get(stream.type, stream.type)


def _language(stream: Stream) -> str:
    language = stream.metadata.get("language", "und")
    return "" if language == "und" else f", {language}"


def rate_text(rate: Fraction | None, *, mean: Fraction) -> str:
    """A rate for people: `30000/1001 fps`, or what stands for none."""
    return f"{rate} fps" if rate is not None else f"variable, {float(mean):.3f} fps on average"


def av_version() -> str:
    """Of PyAV, whose wheel has the encoders."""
    return str(av.__version__)
