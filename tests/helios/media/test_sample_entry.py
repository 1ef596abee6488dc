"""What MP4 and MOV say about pictures in boxes that PyAV does not show is carried, or told."""

import struct
from fractions import Fraction
from pathlib import Path

import pytest

from helios.errors import MisfitError, RequestError
from helios.media.ebml import SEGMENT, TRACK, TRACK_TYPE, TRACKS, element
from helios.media.sample_entry import MAPPING, MAPPING_KIND, unread
from helios.media.stitching import FfmpegStitcher
from helios.media.verify import verify_output
from testbed.video import Clip
from tests.helios.media.test_hdr import box, make_chunks

CLIP = Clip(codec="libx264")
BT709 = Clip(codec="libx264", options={"x264-params": "colorprim=bt709:transfer=bt709:colormatrix=bt709"})
AMBIENT = box(b"amve", struct.pack(">I2H", 3_140_000, 15_635, 16_450))
PROFILE = box(b"colr", b"prof" + struct.pack(">I", 132).ljust(36, b"\0") + b"acsp" + bytes(92))
"""An ICC profile of which there is its header alone: nobody reads it on the way."""
HERO = box(b"hero", bytes([0, 0, 0, 0, 1]))
SPATIAL = box(b"vexu", box(b"eyes", box(b"stri", bytes([0, 0, 0, 0, 3])) + HERO)) + box(
    b"hfov", struct.pack(">I", 63_000)
)
"""Two views, the left one first, and a field of view of 63°, as Apple's devices write them."""
UNKNOWN = box(b"cclv", bytes(8))
"""A content color volume, which FFmpeg does not know."""


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
@pytest.mark.parametrize("more", [AMBIENT, PROFILE, SPATIAL], ids=["amve", "ICC", "vexu"])
def test_boxes_that_ffmpeg_knows_are_carried(tmp_path: Path, suffix: str, more: bytes) -> None:
    """The surroundings that pictures were made for, a profile of their colors, and the two views of spatial video."""
    inputs = make_chunks(tmp_path, CLIP, more, suffix)
    report = FfmpegStitcher().stitch(inputs, tmp_path / f"video{suffix}", fps=Fraction(30))
    assert report.warnings == ()
    data = (tmp_path / f"video{suffix}").read_bytes()
    assert all(one in data for one in (more[8:28], more[-12:]))


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (AMBIENT, r"ambient light \(314.0, 0.3127, 0.329\) \(found: \(\)\)"),
        (PROFILE, r"color profile \w{12} \(found: none\)"),
        (SPATIAL, r"spatial video \w{12} \(found: none\)"),
    ],
    ids=["amve", "ICC", "vexu"],
)
def test_what_matroska_has_no_place_for(tmp_path: Path, more: bytes, said: str) -> None:
    """Facts of the pictures that Matroska can't hold are an error that names a container which can."""
    inputs = make_chunks(tmp_path, CLIP, more)
    with pytest.raises(RequestError, match=rf"video.mkv can't say .*: {said}; .* \(--output NAME.mov\)"):
        FfmpegStitcher().stitch(inputs, tmp_path / "video.mkv", fps=Fraction(30))


@pytest.mark.parametrize("pieces", [(AMBIENT, b""), (PROFILE, b""), (SPATIAL, b"")], ids=["amve", "ICC", "vexu"])
def test_a_chunk_without_them_is_no_sibling(tmp_path: Path, pieces: tuple[bytes, bytes]) -> None:
    """One chunk of another profile, or of one view, would be shown in another way."""
    verified = []
    for number, more in enumerate(pieces):
        (folder := tmp_path / str(number)).mkdir()
        part = make_chunks(folder, CLIP, more)[number]
        verified.append(verify_output(part.path, frames=6, fps=Fraction(30), width=64, height=64))
    with pytest.raises(MisfitError, match="chunk 1 does not fit chunk 0: (ambient light|color profile|spatial video)"):
        verified[1].check_sibling(verified[0], name="chunk 1", other_name="chunk 0")


def test_a_profile_beside_the_numbers_of_colors(tmp_path: Path) -> None:
    """FFmpeg writes one of both: the profile, while the pictures' headers keep the numbers."""
    inputs = make_chunks(tmp_path, BT709, PROFILE)
    report = FfmpegStitcher().stitch(inputs, tmp_path / "video.mp4", fps=Fraction(30))
    assert report.warnings == ()
    assert PROFILE in (tmp_path / "video.mp4").read_bytes()


@pytest.mark.parametrize("output", ["video.mp4", "video.mkv"])
def test_boxes_that_nobody_knows_are_told(tmp_path: Path, output: str) -> None:
    """What FFmpeg does not know it leaves out: the report names it."""
    inputs = make_chunks(tmp_path, CLIP, UNKNOWN)
    (said,) = FfmpegStitcher().stitch(inputs, tmp_path / output, fps=Fraction(30)).warnings
    assert said == "chunk 0 says about its pictures what FFmpeg does not know, and is not carried: box cclv"


def test_block_additions_of_matroska_that_nobody_knows_are_told(tmp_path: Path) -> None:
    """An enhancement layer's configuration in Matroska is named; Dolby Vision and alpha are facts of their own."""
    mappings = b"".join(
        element(MAPPING, element(MAPPING_KIND, kind)) for kind in (b"hvcE", b"dvcC", b"\x01", b"\x00\x04")
    )
    track = element(TRACK, element(TRACK_TYPE, b"\x01") + mappings)
    path = tmp_path / "c.mkv"
    path.write_bytes(element(0x1A45DFA3, b"") + element(SEGMENT, element(TRACKS, track)))
    assert unread(path, None) == ["block additions hvcE"]


@pytest.mark.parametrize("size", [0, 1, 7, 8, 90, 0xFFFFFFF0])
def test_boxes_of_impossible_sizes(tmp_path: Path, size: int) -> None:
    """A sample entry whose size is a lie ends the search, and nothing else."""
    path = make_chunks(tmp_path, CLIP, UNKNOWN)[0].path
    data = bytearray(path.read_bytes())
    for kind in (b"avc1", b"stbl", b"moov"):
        broken = bytearray(data)
        struct.pack_into(">I", broken, broken.rindex(kind) - 4, size)
        path.write_bytes(broken)
        assert unread(path, None) in ([], ["box cclv"])
