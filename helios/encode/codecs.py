"""The encoders that PyAV's wheel has, and what a chunk of each needs so that it can stand for itself."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import av
from av.codec.codec import UnknownCodecError

from helios.errors import RequestError

NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class EncodeCodec:
    """One way to encode pictures."""

    name: str
    """What `--codec` calls it."""
    encoder: str
    """FFmpeg's name of the encoder."""
    suffix: str
    """Extension of a chunk's file: a container that has a place for everything that this codec's streams say."""
    crf: str | None = None
    """FFmpeg's name of the option that takes the constant quality; None where there is none."""
    scale: tuple[int, int] | None = None
    """The best and the worst quantiser that `--target` chooses from."""
    broken: tuple[int, int] | None = None
    """With presets from the first number on, the encoder writes files that decoders refuse, or other pictures, if the
    quantiser is smaller than the second."""
    preset: str | None = None
    """FFmpeg's name of the option that takes the preset."""
    params: str | None = None
    """FFmpeg's name of the option that takes the encoder's own settings, `name=value:…`; None: FFmpeg's are taken."""
    options: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    """FFmpeg's options that are always set; what a user sets wins."""
    options_for: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Likewise, for a pixel format."""
    own: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    """The encoder's own settings that are always set: above all, that no picture needs one of another chunk."""
    own_where_mixed: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    """Likewise, where chunks have quantisers of their own: that their headers stay the same."""
    lead_in: int = 0
    """So many times the encoder is given a chunk's first picture before the chunk: where it gives its very first key
    frame another quality than later ones."""
    takes_fields: bool = False
    """Whether it codes interlaced pictures as such, here."""
    mastering: tuple[str, str] | None = None
    """The encoder's own settings for the mastering display and for the light level of HDR10."""

    @property
    def formats(self) -> tuple[str, ...]:
        """FFmpeg's names of the pixel formats that it takes."""
        return tuple(form.name for form in av.Codec(self.encoder, "w").video_formats or ())

    @property
    def is_here(self) -> bool:
        """Whether this PyAV has it."""
        try:
            av.Codec(self.encoder, "w")
        except UnknownCodecError:
            return False
        return True


# SVT-AV1 4.1 with presets 11 to 13, which are one, at quantisers of 1 to 4: of six clips of 8 bits decoders refused
# four, a fifth showed other pictures, and two of 10 bits were so at 1. All were whole from 5 on, and at preset 10.
# x264 takes the quality of a key frame from those of the predicted pictures before, and has none for the first one:
# docs/decisions/lead-in.md has what that costs, for each encoder.
# All pictures of x265 depend on the number of its threads: with a pool of one it leaves out wavefronts, which a decoder
# is told in a header that all chunks share.
_ALL = (
    EncodeCodec(
        "x264", "libx264", ".mp4", crf="crf", scale=(1, 51), preset="preset", params="x264-params",
        options={"forced-idr": "1"}, lead_in=16, own={"open-gop": "0"}, own_where_mixed={"stitchable": "1"},
        takes_fields=True, mastering=("mastering-display", "cll"),
    ),
    EncodeCodec(
        "x265", "libx265", ".mp4", crf="crf", scale=(1, 51), preset="preset", params="x265-params",
        own={"open-gop": "0", "log-level": "error", "pools": "4", "frame-threads": "2"},
        mastering=("master-display", "max-cll"),
    ),
    EncodeCodec(
        "svt-av1", "libsvtav1", ".mp4", crf="crf", scale=(1, 63), broken=(11, 6), preset="preset",
        params="svtav1-params", mastering=("mastering-display", "content-light"),
    ),
    EncodeCodec("aom-av1", "libaom-av1", ".mp4", crf="crf", preset="cpu-used", params="aom-params"),
    EncodeCodec("vp9", "libvpx-vp9", ".mkv", crf="crf", scale=(1, 63), preset="cpu-used",
        options={"b": "0", "row-mt": "1"}),
    EncodeCodec("prores", "prores_ks", ".mov", preset="profile"),
    EncodeCodec("ffv1", "ffv1", ".mkv", options={"level": "3", "slicecrc": "1", "g": "1"}),
    EncodeCodec("dnxhd", "dnxhd", ".mov", preset="profile", options={"profile": "dnxhr_hq"},
        options_for={"yuv422p10le": {"profile": "dnxhr_hqx"}, "yuv444p10le": {"profile": "dnxhr_444"},
                     "gbrp10le": {"profile": "dnxhr_444"}}),
)  # fmt: skip
CODECS = {codec.name: codec for codec in _ALL}
"""By the name that `--codec` takes."""


def known_codec(name: str) -> EncodeCodec:
    """Find a codec by its name.

    Raises:
        RequestError: There is none of this name, or this PyAV was built without its encoder.
    """
    codec, here = CODECS.get(name), ", ".join(one.name for one in _ALL if one.is_here)
    if codec is None:
        raise RequestError(f"The codec {name!r} is not known (--codec); expected one of {here}")
    if not codec.is_here:
        raise RequestError(
            f"This installation of PyAV has no encoder {codec.encoder} (--codec {name}); expected one of {here}"
        )
    return codec


def chosen_format(codec: EncodeCodec, wanted: str | None, source: str) -> str:
    """The pixel format in which pictures are encoded.

    Args:
        codec: The codec.
        wanted: What was asked for; None for the source's, or the nearest that the codec takes.
        source: The pictures' own format.

    Raises:
        RequestError: The codec does not take it, or would drop the pictures' transparency without having been told to.
    """
    formats = codec.formats
    if wanted is not None:
        if wanted not in formats:
            raise RequestError(f"{codec.name} does not take {wanted} (--pix-fmt); expected one of {', '.join(formats)}")
        return wanted
    source = "bgra" if source == "pal8" else source.replace("yuvj", "yuv")  # the range stands beside the format
    if source in formats:
        return source
    own = av.VideoFormat(source)
    if any(part.is_alpha for part in own.components) and not any(map(_has_alpha, formats)):
        raise RequestError(
            f"The source has transparency ({source}), which {codec.name} can't keep; choose a format without it, such "
            f"as --pix-fmt {formats[0]}, or a codec that keeps it (--codec ffv1, vp9 or prores)"
        )
    return min(formats, key=lambda name: _distance(own, av.VideoFormat(name)))


def _has_alpha(name: str) -> bool:
    return any(part.is_alpha for part in av.VideoFormat(name).components)


def _distance(own: av.VideoFormat, other: av.VideoFormat) -> tuple[int, ...]:
    """How much a format loses of another, then how much it adds to it; FFmpeg's full-range names come last."""

    def facts(form: av.VideoFormat) -> tuple[int, int, int, int]:
        first = form.components[0]
        small = (form.chroma_width(64), form.chroma_height(64)) if len(form.components) > 2 else (0, 0)
        return (
            int(any(part.is_alpha for part in form.components)),
            first.bits,
            *(-64 if form.is_rgb else 0,),
            sum(small),
        )

    mine, its = facts(own), facts(other)
    lost = [max(one - two, 0) for one, two in zip(mine, its, strict=True)]
    added = [max(two - one, 0) for one, two in zip(mine, its, strict=True)]
    return (*lost, *added, int(other.name.startswith(("yuvj", "nv"))))
