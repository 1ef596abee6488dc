"""Chunks as segments of a video that grows: each continues the one before exactly, its sound too, copied as it is."""

import io
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from helios.errors import OutputError
from helios.media.parameters import AudioParameters
from helios.media.segment import write_segment
from helios.media.segment_sound import write_sound
from helios.media.sound_order import SoundOrder
from helios.media.span import Span
from helios.media.timing import Timing
from helios.models.source import FrameTimes
from testbed.video import Clip, read_frames, read_sound, tone, write_clip, write_tone

SIZES = (7, 10, 1, 12)
H264 = Clip()
RATES = [Fraction(24000, 1001), Fraction(25), Fraction(30000, 1001), Fraction(60)]
QUIET = {"libx265": {"x265-params": "log-level=error"}, "libvpx-vp9": {"deadline": "realtime"}}


def segments(
    folder: Path,
    clip: Clip,
    *,
    suffix: str = ".mp4",
    timing: Timing | None = None,
    own: AudioParameters | None = None,
    sound: Path | None = None,
) -> Path:
    """A file of the header and of all segments, as a player gets them one after the other."""
    (folder / "watch").mkdir(exist_ok=True)
    timing, first, parts = timing or Timing(clip.fps), 0, []
    for index, count in enumerate(SIZES):
        chunk = write_clip(folder / f"c{index}{suffix}", clip, start=first, count=count)
        place = folder / "watch" / f"{index}.m4s"
        header = place.with_name("header.mp4") if index == 0 else None
        span = Span.of(timing, first=first, frames=count)
        written = write_segment(chunk, place=place, span=span, header=header, own=own, sound=sound)
        assert written.is_written
        assert written.size == place.stat().st_size
        parts.append(place)
        first += count
    whole = folder / "whole.mp4"
    whole.write_bytes(b"".join(path.read_bytes() for path in [folder / "watch" / "header.mp4", *parts]))
    return whole


@pytest.mark.parametrize("fps", RATES)
def test_every_frame_at_its_time(tmp_path: Path, fps: Fraction) -> None:
    """Segments of chunks with B-frames, one of them a single frame, decode to each frame once, at its exact time."""
    whole = segments(tmp_path, replace(H264, fps=fps))
    assert read_frames(whole) == [(index, index / fps) for index in range(30)]
    with av.open(str(whole)) as media:
        decoded = [packet.dts for packet in media.demux(media.streams.video[0]) if packet.size]
        steps = np.diff([one for one in decoded if one is not None])
        assert len(set(steps)) == 1  # also from the last packet of a segment to the first of the next


@pytest.mark.parametrize("codec", ["libx265", "libvpx-vp9", "libsvtav1"])
def test_other_codecs(tmp_path: Path, codec: str) -> None:
    """HEVC, VP9 and AV1 are copied in the same way."""
    clip = replace(H264, codec=codec, options=QUIET.get(codec, {"preset": "10"}))
    assert read_frames(segments(tmp_path, clip)) == [(index, index / clip.fps) for index in range(30)]


def test_packets_are_copied(tmp_path: Path) -> None:
    """A segment has the bytes of its chunk's packets, in their order."""
    whole = segments(tmp_path, H264)
    copied, rendered = [], []
    with av.open(str(whole)) as media:
        copied = [bytes(packet) for packet in media.demux(media.streams.video[0]) if packet.size]
    for index in range(len(SIZES)):
        with av.open(str(tmp_path / f"c{index}.mp4")) as media:
            rendered += [bytes(packet) for packet in media.demux(media.streams.video[0]) if packet.size]
    assert copied == rendered


def test_frames_without_a_constant_rate(tmp_path: Path) -> None:
    """Frames of a source with recorded times are shown at these."""
    steps = tuple(40 + 13 * (index % 3) for index in range(30))
    timing = Timing(H264.fps, FrameTimes(tick=Fraction(1, 1000), steps=steps))
    times = [time for _, time in read_frames(segments(tmp_path, H264, timing=timing))]
    assert times == [Fraction(sum(steps[:index]), 1000) for index in range(30)]


def test_sound_of_chunks_is_continuous(tmp_path: Path) -> None:
    """PCM in chunks is the same samples in segments, without a gap or an overlap at a seam."""
    clip = replace(H264, fps=Fraction(30000, 1001), sample_rate=48_000)
    own = AudioParameters("pcm_s16le", 48_000, "mono")
    whole = segments(tmp_path, clip, suffix=".mov", own=own)
    expected = tone(0, round(30 * 48_000 / clip.fps), rate=48_000)[0] / 32768
    np.testing.assert_array_equal(read_sound(whole, rate=48_000), expected.astype(np.float32))
    with av.open(str(whole)) as media:
        packets = [packet for packet in media.demux(media.streams.audio[0]) if packet.size]
        ends = [(packet.pts or 0) + (packet.duration or 0) for packet in packets]
        assert [packet.pts for packet in packets] == [0, *ends[:-1]]


def test_sound_of_a_file_is_continuous(tmp_path: Path) -> None:
    """A job's sound file, laid once, goes on from segment to segment, and ends with the video."""
    write_tone(tmp_path / "music.wav", seconds=2, rate=44_100)
    timing, place = Timing(H264.fps), tmp_path / "sound.mp4"
    order = SoundOrder(tmp_path / "music.wav")
    assert write_sound(tmp_path / "music.wav", place=place, order=order, timing=timing, frames=30)
    found = read_sound(segments(tmp_path, H264, sound=place), rate=44_100)
    np.testing.assert_array_equal(found, read_sound(tmp_path / "music.wav", rate=44_100)[:44_100])


def test_a_codec_that_is_not_played(tmp_path: Path) -> None:
    """Of ProRes nothing is written: players do not take it."""
    chunk = write_clip(tmp_path / "c.mov", Clip(codec="prores_ks", pixel_format="yuv422p10le"), start=0, count=3)
    span = Span.of(Timing(H264.fps), first=0, frames=3)
    written = write_segment(chunk, place=tmp_path / "0.m4s", span=span)
    assert (written.is_written, written.codec) == (False, "prores")
    assert [path.name for path in tmp_path.iterdir()] == ["c.mov"]


def test_a_chunk_that_is_not_whole(tmp_path: Path) -> None:
    """A segment of a damaged chunk never gets its name."""
    chunk = write_clip(tmp_path / "c.mp4", H264, start=0, count=9)
    span = Span.of(Timing(H264.fps), first=0, frames=10)
    with pytest.raises(OutputError, match="9 frames; expected exactly 10"):
        write_segment(chunk, place=tmp_path / "0.m4s", span=span)
    assert not (tmp_path / "0.m4s").exists()


def test_a_header_has_no_pictures(tmp_path: Path) -> None:
    """The initialization segment ends where the first fragment begins, so that it serves all segments."""
    segments(tmp_path, H264)
    header = (tmp_path / "watch" / "header.mp4").read_bytes()
    assert b"moov" in header
    assert b"moof" not in header
    assert (tmp_path / "watch" / "1.m4s").read_bytes()[4:8] == b"moof"
    last = io.BytesIO(header + (tmp_path / "watch" / "3.m4s").read_bytes())
    with av.open(last, "r") as media:
        assert len(list(media.decode(video=0))) == 12
