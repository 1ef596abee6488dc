"""AAC as other encoders than FFmpeg's write it (tests/data/aac): real HE-AAC, HE-AAC v2, and the tag of iTunes."""

from pathlib import Path

import av
import pytest

from helios.media import chunks_sound
from helios.media.sound_order import SoundCodec, SoundOrder
from helios.media.stitching import StitchInput
from testbed.video import Clip, accepted, write_clip
from tests.helios.media.test_compressed_sound import FLAC, FPS, Samples, decoded, join, lag, music

DATA = Path(__file__).parents[2] / "data" / "aac"
SIZES = (30, 31)
"""Frames of each chunk."""
RATE = 48_000
SEAM = round(30 * RATE / FPS)
END = round(61 * RATE / FPS)
DECODER = 962
"""Samples by which the decoder of HE-AAC is late."""


def with_pictures(sound: Path, path: Path, *, first: int, count: int) -> Path:
    """A chunk with this sound, as FFmpeg copies it."""
    plain = write_clip(path.with_stem(f"{path.stem}-plain"), Clip(fps=FPS), start=first, count=count)
    with av.open(str(plain)) as one, av.open(str(sound)) as heard, av.open(str(path), "w") as two:
        copies = [two.add_stream_from_template(file.streams[0], opaque=True) for file in (one, heard)]
        for file, copy in zip((one, heard), copies, strict=True):
            for packet in file.demux():
                if packet.size:
                    packet.stream = copy
                    two.mux(packet)
    return path


def chunks_with(kind: str, folder: Path, suffix: str = ".mp4") -> list[StitchInput]:
    parts = []
    for number, count in enumerate(SIZES):
        path = folder / f"c{number}{suffix}"
        with_pictures(DATA / f"{kind}-{number}.m4a", path, first=30 * number, count=count)
        parts.append(accepted(path, count, f"chunk {number}"))
    return parts


def stating_run_in_by_tag(chunk: bytes, tagged: bytes) -> bytes:
    """Hide the edit list of a chunk's sound and its tags, and give it the tags of another file, as MP4Box writes it."""
    begin = chunk.index(b"smhd")  # the sound is the last track
    edits = chunk.rindex(b"edts", 0, begin)
    own = (chunk[:edits] + b"free" + chunk[edits + 4 :]).replace(b"udta", b"free")
    tags = tagged[tagged.index(b"udta") - 4 :]
    tags = tags[: int.from_bytes(tags[:4])]
    at = own.index(b"moov") - 4
    size = int.from_bytes(own[at : at + 4])
    assert at + size == len(own)  # what stands behind it would have to move
    return own[:at] + (size + len(tags)).to_bytes(4) + own[at + 4 :] + tags


def lags(found: Samples) -> list[int]:
    """By how much a joined sound is late in the first chunk, around the seam, and in the second chunk.

    Left and right take turns: FFmpeg decodes HE-AAC of one channel to two, since parametric stereo may begin anywhere.
    """
    whole, one = music(END, RATE), found[::2]
    assert len(one) == END
    places = (slice(4_800, SEAM - 4_800), slice(SEAM - 4_096, SEAM + 4_096), slice(SEAM + 4_800, END - 4_800))
    return [lag(whole[place], one[place]) for place in places]


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
def test_he_aac_whose_run_in_is_whole(tmp_path: Path, suffix: str) -> None:
    """HE-AAC whose edit list counts the decoder's delay, as FFmpeg writes it, is exact to a sample."""
    report = join(chunks_with("sbr-counted", tmp_path, suffix), tmp_path / "video.mkv")
    assert all(abs(late) <= 1 for late in lags(decoded(tmp_path / "video.mkv")))
    assert report.warnings == (f"The sound of chunk 0 (and of 1 more) {chunks_sound.AMBIGUOUS}",)


def test_he_aac_v2_whose_run_in_is_whole(tmp_path: Path) -> None:
    """Parametric stereo is joined as well: its one coded channel becomes two."""
    report = join(chunks_with("ps-counted", tmp_path), tmp_path / "video.mkv")
    with av.open(str(tmp_path / "video.mkv")) as video:
        assert video.streams.audio[0].codec_context.layout.name == "stereo"
    assert all(abs(late) <= 16 for late in lags(decoded(tmp_path / "video.mkv")))
    assert len(report.warnings) == 1


def test_he_aac_whose_run_in_lacks_the_decoders_delay_is_told(tmp_path: Path) -> None:
    """Where the edit list leaves the decoder's delay out, as Apple's does, the sound is late; the report says so."""
    report = join(chunks_with("sbr-uncounted", tmp_path), tmp_path / "video.mkv")
    first, _, second = lags(decoded(tmp_path / "video.mkv"))
    assert abs(first - DECODER) <= 1
    assert abs(second - DECODER) <= 1
    (said,) = report.warnings
    assert "of 962 samples" in said
    assert "render AAC-LC or PCM" in said


@pytest.mark.parametrize("order", [FLAC.codec, SoundCodec.COPY])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_file_with_the_tag_of_itunes(tmp_path: Path, suffix: str, order: SoundCodec) -> None:
    """A run-in that iTunes' tag alone states is left out, and what follows is not moved by it."""
    picture = accepted(write_clip(tmp_path / "c.mp4", Clip(fps=FPS), start=0, count=61), 61, "chunk 0")
    output = tmp_path / f"video{suffix}"
    report = join([picture], output, SoundOrder(file=DATA / "lc-itunes.m4a", codec=order))
    assert lag(music(END, RATE), decoded(output)[:END]) == 0
    assert not report.warnings


def test_a_chunk_with_the_tag_of_itunes(tmp_path: Path) -> None:
    """Chunks that have the tag and no edit list are laid by it, and the video does not get the tag."""
    path, sound = tmp_path / "c.mp4", DATA / "lc-itunes.m4a"
    with_pictures(sound, path, first=0, count=61)
    path.write_bytes(stating_run_in_by_tag(path.read_bytes(), sound.read_bytes()))
    with av.open(str(path)) as chunk:
        assert "iTunSMPB" in chunk.metadata
        assert chunk.streams.audio[0].start_time == 2_048
    report = join([accepted(path, 61, "chunk 0")], tmp_path / "video.mkv")
    assert lag(music(END, RATE), decoded(tmp_path / "video.mkv")[:END]) == 0
    with av.open(str(tmp_path / "video.mkv")) as video:
        assert "iTunSMPB" not in video.metadata
    assert not [said for said in report.warnings if "no place" in said]


def test_a_sound_file_in_he_aac_is_told(tmp_path: Path) -> None:
    """What a sound file in HE-AAC does not say is said before anybody hears it."""
    picture = accepted(write_clip(tmp_path / "c.mp4", Clip(fps=FPS), start=0, count=30), 30, "chunk 0")
    report = join([picture], tmp_path / "video.mkv", SoundOrder(file=DATA / "sbr-counted-0.m4a", codec=FLAC.codec))
    (said,) = report.warnings
    assert said.startswith("The sound of sbr-counted-0.m4a is HE-AAC, whose files do not say how much")
    assert abs(lag(music(SEAM, RATE), decoded(tmp_path / "video.mkv")[: 2 * SEAM : 2])) <= 1
