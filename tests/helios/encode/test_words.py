"""What a source says about its pictures, its encode says too."""

from fractions import Fraction
from pathlib import Path

import av
import pytest

from helios.encode.codecs import CODECS
from helios.encode.recipe import Recipe
from helios.errors import RequestError
from helios.media.parameters import VideoParameters
from testbed.encodes import Film, decoded, encode, write_film
from testbed.video import read_numbers

PQ, HLG = (1, 9, 16, 9), (1, 9, 18, 9)
MASTERED = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)"
HDR10 = (("x265-params", f"log-level=error:hdr10=1:repeat-headers=1:master-display={MASTERED}:max-cll=1000,400"),)
FAST = {"svt-av1": "12", "x264": "ultrafast", "x265": "ultrafast", "vp9": "8"}


def parameters(path: Path) -> VideoParameters:
    with av.open(str(path)) as video:
        return VideoParameters.of(video.streams.video[0])


@pytest.mark.parametrize("codec", [codec.name for codec in CODECS.values() if codec.is_here])
def test_every_codec(tmp_path: Path, codec: str) -> None:
    """Each codec of the table has every frame, in chunks that fit each other, with the source's colours."""
    film = Film(frames=40, size=(256, 128), color=(1, 1, 1, 1))
    source = write_film(tmp_path / "film.mkv", film)
    suffix = ".mov" if codec in {"prores", "dnxhd"} else ".mkv"
    spec, _, _ = encode(source, tmp_path / f"out{suffix}", recipe=Recipe(codec, preset=FAST.get(codec)), cut="0.5")
    assert len(spec.chunks) == 3
    assert read_numbers(tmp_path / f"out{suffix}") == list(range(40))
    assert parameters(tmp_path / f"out{suffix}").color == (1, 1, 1, 1)


@pytest.mark.parametrize("codec", ["x265", "svt-av1", "x264"])
@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".ts"])
def test_hdr10(tmp_path: Path, codec: str, suffix: str) -> None:
    """HDR10 is in the encode's container, wherever the source has it: in its container, or beside its pictures."""
    film = Film(codec="libx265", options=HDR10, pixel_format="yuv420p10le", color=PQ, frames=20, size=(128, 64))
    source = write_film(tmp_path / f"film{suffix}", film)
    for output in (tmp_path / "out.mp4", tmp_path / "out.mkv"):
        encode(source, output, recipe=Recipe(codec, preset=FAST[codec]), cut="0.5")
        found = parameters(output)
        assert found.color == PQ
        assert found.pixel_format == "yuv420p10le"
        assert found.facts.light_level == (1000, 400)
        assert found.facts.mastering_display == pytest.approx(
            (0.68, 0.32, 0.265, 0.69, 0.15, 0.06, 0.3127, 0.329, 1000, 0.005), abs=1e-3
        )


def test_hlg(tmp_path: Path) -> None:
    """HLG stays HLG."""
    film = Film(codec="libx265", options=(("x265-params", "log-level=error"),), pixel_format="yuv420p10le", color=HLG)
    source = write_film(tmp_path / "film.mp4", film)
    encode(source, tmp_path / "out.mp4", recipe=Recipe("svt-av1", preset="12"))
    assert parameters(tmp_path / "out.mp4").color == HLG


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_the_shape_of_pixels(tmp_path: Path, suffix: str) -> None:
    """Pixels keep their shape; a filter that scales changes it so that the picture keeps its own."""
    source = tmp_path / "film.mp4"
    with av.open(str(write_film(tmp_path / "square.mp4", Film(frames=20)))) as square, av.open(str(source), "w") as out:
        copy = out.add_stream_from_template(square.streams.video[0])
        copy.codec_context.sample_aspect_ratio = Fraction(16, 15)
        for packet in square.demux(video=0):
            if packet.size:
                packet.stream = copy
                out.mux(packet)
    encode(source, tmp_path / f"out{suffix}", recipe=Recipe("x264"))
    assert parameters(tmp_path / f"out{suffix}").facts.sample_aspect_ratio == Fraction(16, 15)
    encode(source, tmp_path / f"scaled{suffix}", recipe=Recipe("x264", vf="scale=128:64"))
    scaled = parameters(tmp_path / f"scaled{suffix}")
    assert (scaled.width, scaled.height) == (128, 64)
    assert scaled.facts.sample_aspect_ratio == Fraction(8, 15)


def test_rotation(tmp_path: Path) -> None:
    """A picture that is to be turned before it is shown is encoded as it is, and says so still."""
    source = tmp_path / "film.mp4"
    with av.open(str(write_film(tmp_path / "up.mp4", Film(frames=20)))) as upright, av.open(str(source), "w") as output:
        copy = output.add_stream_from_template(upright.streams.video[0])
        copy.set_display_rotation(90)
        for packet in upright.demux(video=0):
            if packet.size:
                packet.stream = copy
                output.mux(packet)
    wanted = parameters(source).facts.rotation
    assert wanted != "none"
    _, _, lines = encode(source, tmp_path / "out.mp4", recipe=Recipe("x264"))
    assert parameters(tmp_path / "out.mp4").facts.rotation == wanted
    assert any("rotation" in line and wanted in line for line in lines)


def test_fields(tmp_path: Path) -> None:
    """An interlaced source is refused by a codec without fields, kept by x264, and made into pictures by a filter."""
    options = (("x264-params", "tff=1:log-level=error"),)
    source = write_film(tmp_path / "film.mkv", Film(options=options, frames=30))
    assert parameters(source).facts.field_order == "top first"
    with pytest.raises(RequestError, match="interlaced .top first.*--vf bwdif=0"):
        encode(source, tmp_path / "refused.mkv", recipe=Recipe("svt-av1", preset="12"))
    encode(source, tmp_path / "fields.mkv", recipe=Recipe("x264"))
    assert parameters(tmp_path / "fields.mkv").facts.field_order == "top first"
    encode(source, tmp_path / "pictures.mkv", recipe=Recipe("svt-av1", preset="12", vf="bwdif=0"))
    assert parameters(tmp_path / "pictures.mkv").facts.field_order == "progressive"
    assert len(decoded(tmp_path / "pictures.mkv")) == 30


def test_transparency(tmp_path: Path) -> None:
    """Transparency is kept where the codec keeps it, and refused where it would be dropped unasked."""
    source = write_film(
        tmp_path / "film.mov", Film(codec="prores_ks", options=(), pixel_format="yuva444p10le", frames=12)
    )
    with pytest.raises(RequestError, match="transparency .yuva444p1.*--pix-fmt"):
        encode(source, tmp_path / "refused.mp4", recipe=Recipe("svt-av1"))
    encode(source, tmp_path / "out.mkv", recipe=Recipe("ffv1"))
    assert parameters(tmp_path / "out.mkv").facts.alpha
