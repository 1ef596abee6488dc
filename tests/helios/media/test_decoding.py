"""Every frame and the sound of an output are decoded: damage that a decoder notices is found, good files pass."""

import re
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from threading import Event
from typing import Any

import av
import pytest

from helios.errors import OutputError
from helios.media.verify import VerificationStoppedError, VerifiedOutput, verify_output
from helios.models.verification import VerifyLevel
from testbed.video import Clip, damage, write_clip

FRAMES = 24
QUIET = "log-level=none"
CLIPS = {
    "h264": (".mp4", Clip()),
    "h264 in slices": (".mp4", Clip(options={"x264-params": "slices=4"})),
    "h264 with intra refresh": (".mp4", Clip(options={"x264-params": "intra-refresh=1:keyint=8"})),
    "h264 with open groups": (".mp4", Clip(options={"x264-params": "open-gop=1:keyint=8"})),
    "h264 interlaced": (".mp4", Clip(options={"x264-params": "tff=1"})),
    "h264 without loss": (".mkv", Clip(options={"qp": "0"})),
    "h265": (".mp4", Clip(codec="libx265", options={"x265-params": QUIET})),
    "h265 with open groups": (".mkv", Clip(codec="libx265", options={"x265-params": f"{QUIET}:open-gop=1:keyint=8"})),
    "h265 with checksums": (".mp4", Clip(codec="libx265", options={"x265-params": f"{QUIET}:hash=1"})),
    # This clip has hidden frames, to which other frames refer.
    "vp9": (".webm", Clip(codec="libvpx-vp9", options={"auto-alt-ref": "1", "lag-in-frames": "16"})),
    "av1": (".mp4", Clip(codec="libsvtav1", options={"preset": "12"})),
    "prores": (".mov", Clip(codec="prores_ks", pixel_format="yuv422p10le")),
    "ffv1": (".mkv", Clip(codec="ffv1", options={"level": "3", "slicecrc": "1"})),
    "ffv1 without checksums": (".mkv", Clip(codec="ffv1", options={"level": "3", "slicecrc": "0"})),
    "ffv1 of version 1": (".mkv", Clip(codec="ffv1", options={"level": "1"})),
    "mjpeg": (".mov", Clip(codec="mjpeg", pixel_format="yuvj420p")),
    "mpeg4": (".mp4", Clip(codec="mpeg4", options={"bf": "2"})),
    "png": (".mov", Clip(codec="png", pixel_format="rgb24")),
    "raw": (".mkv", Clip(codec="rawvideo")),
}
BLIND = {"vp9", "ffv1 without checksums", "ffv1 of version 1", "raw"}
"""Codecs whose decoder shows a picture for any bytes of the right number."""


def write(folder: Path, name: str, *, count: int = FRAMES) -> Path:
    """Write one of `CLIPS`."""
    suffix, clip = CLIPS[name]
    return write_clip(folder / f"clip{suffix}", clip, start=1000, count=count)


def verify(path: Path, name: str = "h264", *, count: int = FRAMES, **how: Any) -> VerifiedOutput:
    clip = CLIPS[name][1]
    return verify_output(path, frames=count, fps=Fraction(30), width=clip.width, height=clip.height, **how)


@pytest.mark.parametrize("name", CLIPS)
@pytest.mark.parametrize("count", [1, FRAMES])
def test_a_good_file_passes(tmp_path: Path, name: str, count: int) -> None:
    """A good file passes, whatever order, references and hidden frames its codec has."""
    assert verify(write(tmp_path, name, count=count), name, count=count).frames == count


# The last packet of this AV1 file is so small that half of it is a picture, too.
@pytest.mark.parametrize(
    ("name", "number"),
    [
        (name, number)
        for name in sorted(CLIPS.keys() - BLIND)
        for number in (FRAMES // 2, -1)
        if (name, number) != ("av1", -1)
    ],
)
def test_a_damaged_frame_is_named(tmp_path: Path, name: str, number: int) -> None:
    """A frame that was not written to its end is named, in the middle and at the end of the file."""
    path = write(tmp_path, name)
    damaged = damage(path, number)
    with pytest.raises(OutputError, match=r"^clip\.\w+ is damaged: frame \d+ \(of 24, counted from 0\) ") as caught:
        verify(path, name)
    named = re.search(r"frame (\d+)", str(caught.value))
    assert named is not None
    # The decoder may first report a picture that is made from the damaged picture.
    assert int(named[1]) == damaged or CLIPS[name][1].codec in {"libx264", "libx265", "libsvtav1", "mpeg4"}


@pytest.mark.parametrize("number", range(1, FRAMES))
def test_every_frame_is_looked_at(tmp_path: Path, number: int) -> None:
    """Damage is found in every frame, also in frames that are stored out of order or that no other frame refers to."""
    path = write(tmp_path, "h264 without loss")
    damage(path, number)
    with pytest.raises(OutputError, match="is damaged: frame"):
        verify(path)


@pytest.mark.parametrize("number", [0, 1, 13, FRAMES - 1])
def test_one_bit_of_a_slice_with_a_checksum(tmp_path: Path, number: int) -> None:
    """One wrong bit is found by the slice's checksum; FFmpeg's decoder silently shows the slice of the frame before."""
    path = write(tmp_path, "ffv1")
    with av.open(str(path)) as media:
        packet = [packet for packet in media.demux(video=0) if packet.size][number]
    data = bytearray(path.read_bytes())
    data[data.index(bytes(packet), packet.pos or 0) + packet.size // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(OutputError, match=rf"frame {number} \(of 24, .*\) does not have the checksum that it states"):
        verify(path, "ffv1")


def test_a_checksum_of_a_picture_is_compared(tmp_path: Path) -> None:
    """H.265 can state a checksum for each picture, by which damage that decodes to another picture is found."""
    found = {}
    for name in ("h265", "h265 with checksums"):
        path = write(tmp_path, name)
        with av.open(str(path)) as media:
            packets = [packet for packet in media.demux(video=0) if packet.size]
        whole = path.read_bytes()
        found[name] = 0
        for packet in packets[1:]:
            data = bytearray(whole)
            data[(packet.pos or 0) + packet.size * 2 // 5] ^= 1
            path.write_bytes(data)
            try:
                verify(path, name)
            except OutputError:
                found[name] += 1
    assert found["h265 with checksums"] > found["h265"]


def test_damaged_sound(tmp_path: Path) -> None:
    """A chunk's sound is decoded, too, and the error says at which time it is damaged."""
    clip = replace(Clip(), sample_rate=48000, audio_codec="flac")
    path = write_clip(tmp_path / "clip.mkv", clip, start=0, count=FRAMES)
    assert verify(path).audio is not None
    damage(path, 3, sound=True)
    with pytest.raises(OutputError, match=r"clip.mkv is damaged: its sound at 0\.\d+ s can't be decoded"):
        verify(path)


def test_pcm_sound_passes(tmp_path: Path) -> None:
    """PCM sound passes, which Helios's chunks have."""
    path = write_clip(tmp_path / "clip.mov", replace(Clip(), sample_rate=48000), start=0, count=FRAMES)
    assert verify(path).audio is not None


def test_bytes_that_were_decoded_before_need_not_be_again(tmp_path: Path) -> None:
    """At the level `container`, also for bytes that a digest identifies as decoded before, only packets are read."""
    path = write(tmp_path, "h264")
    damage(path, FRAMES // 2)
    found = verify(path, level=VerifyLevel.CONTAINER)
    assert (found.frames, found.level) == (FRAMES, VerifyLevel.CONTAINER)


def test_a_verification_that_is_told_to_stop_stops(tmp_path: Path) -> None:
    """A verification that is told to stop ends before its next frame."""
    stop = Event()
    stop.set()
    with pytest.raises(VerificationStoppedError, match=r"Verifying clip\.mp4 was stopped"):
        verify(write(tmp_path, "h264"), stop=stop)
