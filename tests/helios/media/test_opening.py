"""A file is read by the container that its name says, and no other file with it."""

import os
import shutil
from fractions import Fraction
from pathlib import Path

import av
import pytest

from helios.errors import OutputError, RequestError
from helios.media.file_sound import open_tracks
from helios.media.merged_file import is_video
from helios.media.sound_order import SoundOrder
from helios.media.verify import verify_output
from testbed.video import Clip, write_clip, write_tone


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_clip(tmp_path / "other.mp4", Clip(), start=0, count=12)
    write_clip(tmp_path / "other.ts", Clip(), start=0, count=12)
    write_tone(tmp_path / "other.wav", seconds=1)
    return tmp_path


def verify(path: Path) -> int:
    return verify_output(path, frames=12, fps=Fraction(30), width=64, height=64).frames


CONCAT = "ffconcat version 1.0\nfile {other}\n"
PLAYLIST = "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:0.4,\nother.ts\n#EXT-X-ENDLIST\n"


@pytest.mark.parametrize(
    ("name", "text"),
    [("c0.mp4", CONCAT), ("c0.mkv", CONCAT), ("c0.ts", CONCAT), ("c0.mpg", CONCAT), ("c0.video", CONCAT),
     ("c0", CONCAT), ("c0.ffconcat", CONCAT), ("c0.m3u8", PLAYLIST), ("c0.mp4", PLAYLIST)],
)  # fmt: skip
def test_a_text_that_names_another_file(folder: Path, name: str, text: str) -> None:
    """A text that has FFmpeg read another file is no video: not as an output, nor as the result of a merge."""
    path = folder / name
    path.write_text(text.format(other="other.mp4"))
    if name.endswith((".ffconcat", ".m3u8")):
        with av.open(str(path)) as attack:  # the attack as it works on FFmpeg alone
            assert sum(packet.size > 0 for packet in attack.demux(video=0)) == 12
    with pytest.raises(OutputError, match="can't be read as a video"):
        verify(path)
    assert not is_video(path)


def test_sound_that_names_another_file(folder: Path) -> None:
    """Nor is it sound."""
    for name in ("music.wav", "music.mp4", "music"):
        (folder / name).write_text(CONCAT.format(other="other.wav"))
        with pytest.raises(RequestError, match="can't be read as sound|no sound track"):
            open_tracks(folder / name, SoundOrder())


def test_a_pattern_of_pictures(folder: Path) -> None:
    """A name with %d is a file's name."""
    with av.open(str(folder / "p%03d.png"), "w") as output:
        stream = output.add_stream("png", rate=30)
        stream.width = stream.height = 64
        stream.pix_fmt = "rgb24"
        with av.open(str(folder / "other.mp4")) as source:
            for frame in source.decode(video=0):
                output.mux(stream.encode(frame.reformat(format="rgb24")))
    assert (folder / "p001.png").exists()
    assert not is_video(folder / "p%03d.png")
    shutil.copy(folder / "p001.png", folder / "p%03d.png")
    with pytest.raises(OutputError, match="has 1 frames"):
        verify(folder / "p%03d.png")


def test_another_container_than_the_name_says(folder: Path) -> None:
    """An MPEG transport stream that is called .mp4 is refused; under its own name it is read."""
    shutil.copy(folder / "other.ts", folder / "c0.mp4")
    with pytest.raises(OutputError, match="read as such alone"):
        verify(folder / "c0.mp4")
    assert is_video(folder / "other.ts")
    shutil.copy(folder / "other.mp4", folder / "c0")
    assert verify(folder / "c0") == 12


def test_a_pipe_is_not_waited_for(folder: Path) -> None:
    """A pipe that nobody writes into is refused at once."""
    os.mkfifo(folder / "c0.mp4")
    with pytest.raises(OutputError, match="no regular file"):
        verify(folder / "c0.mp4")
