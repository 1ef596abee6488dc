"""Pictures of real videos."""

import io
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.frame import VideoFrame

from helios.media.first_frame import first_frame
from helios.media.stills import contact_sheet, side_by_side, still
from testbed.moving_pictures import HEIGHT, WIDTH, Look, write_pictures
from testbed.video import Clip, read_number, read_numbers, write_clip


def decoded(jpeg: bytes) -> VideoFrame:
    assert jpeg.startswith(b"\xff\xd8")
    with av.open(io.BytesIO(jpeg), "r", format="mjpeg") as picture:
        return next(picture.decode(video=0))


def test_a_still_is_the_first_frame(tmp_path: Path) -> None:
    """A still is the video's first frame, and a small video is not enlarged."""
    write_clip(tmp_path / "clip.mp4", Clip(fps=Fraction(30), width=96, height=64), start=5, count=40)
    picture = decoded(still(tmp_path / "clip.mp4"))
    assert (picture.width, picture.height) == (96, 64)
    again = tmp_path / "again.mkv"
    with av.open(str(again), "w") as container:
        stream = container.add_stream("mjpeg", rate=30)
        stream.width, stream.height, stream.pix_fmt = picture.width, picture.height, "yuvj420p"
        picture.pts = None
        container.mux([*stream.encode(picture), *stream.encode(None)])
    assert read_numbers(again) == [5]


@pytest.mark.parametrize(("count", "columns", "rows"), [(1, 1, 1), (3, 3, 1), (5, 4, 2), (40, 4, 3)])
def test_a_contact_sheet_lies_evenly_over_the_videos(tmp_path: Path, count: int, columns: int, rows: int) -> None:
    """A contact sheet has at most twelve pictures, in rows of four."""
    write_clip(tmp_path / "clip.mp4", Clip(width=480, height=270), start=0, count=2)
    sheet = decoded(contact_sheet([tmp_path / "clip.mp4"] * count))
    height = round(270 * 240 / 480 / 2) * 2
    assert (sheet.width, sheet.height) == (columns * 244 + 4, rows * (height + 4) + 4)


def test_no_picture_of_what_is_not_there(tmp_path: Path) -> None:
    """For a missing file a still raises the error of opening it, which callers expect."""
    with pytest.raises(OSError, match="No such file"):
        still(tmp_path / "gone.mp4")


def test_two_frames_lie_beside_each_other(tmp_path: Path) -> None:
    """Two frames of a file, also such as are not key frames, lie beside each other in their order."""
    gray = [np.full((HEIGHT, WIDTH, 3), 20.0 + 6 * n) for n in range(30)]
    path = write_pictures(tmp_path / "clip.mp4", gray, Look())
    picture = decoded(side_by_side((path, 29), (path, 7))).to_ndarray(format="gray")
    left, right = picture[:, 20:300], picture[:, -300:-20]
    assert abs(left[20:-20].mean() - gray[29][0, 0, 0]) < 4
    assert abs(right[20:-20].mean() - gray[7][0, 0, 0]) < 4


@pytest.mark.parametrize(
    ("codec", "name", "options"),
    [
        ("libx264", "a.mp4", {"bf": "3"}),
        ("libx264", "a.mov", {"flags": "+ilme+ildct", "x264-params": "tff=1"}),
        ("libvpx-vp9", "a.webm", {"auto-alt-ref": "1", "lag-in-frames": "8"}),
        ("mpeg2video", "a.mpg", {"bf": "2"}),
        ("ffv1", "a.mkv", {}),
    ],
)
def test_the_first_frame_alone_is_the_one_that_players_show_first(
    tmp_path: Path, codec: str, name: str, options: dict[str, str]
) -> None:
    """Decoding the first packet alone gives the very picture that comes first when all are decoded."""
    video = write_clip(tmp_path / name, Clip(width=96, height=64, codec=codec, options=options), start=9, count=20)
    with av.open(str(video)) as file:
        whole = next(file.decode(video=0))
    alone = first_frame(video)
    assert (alone.pts, read_number(alone)) == (whole.pts, 9)
    assert np.array_equal(alone.to_ndarray(), whole.to_ndarray())


def test_a_file_whose_first_packet_is_not_shown(tmp_path: Path) -> None:
    """Where an edit list leaves the first frame out, the first frame is the one that is shown first."""
    whole = write_clip(tmp_path / "whole.mp4", Clip(width=96, height=64), start=0, count=20)
    cut = tmp_path / "cut.mp4"
    with av.open(str(whole)) as source, av.open(str(cut), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.pts is not None and packet.dts is not None:
                packet.pts, packet.dts, packet.stream = packet.pts - 5 * 512, packet.dts - 5 * 512, stream
                target.mux(packet)
    with av.open(str(cut)) as file:
        shown = next(file.decode(video=0))
    assert read_number(shown) > 0  # else the file shows all
    assert read_number(first_frame(cut)) == read_number(shown)


def test_a_file_without_a_frame(tmp_path: Path) -> None:
    """A file that has no picture says so."""
    video = write_clip(tmp_path / "clip.mkv", Clip(), start=0, count=1)
    data = bytearray(video.read_bytes())
    begin = data.index(b"\x1f\x43\xb6\x75")  # the cluster
    data[begin:] = b""
    video.write_bytes(data)
    with pytest.raises((OSError, ValueError)):
        first_frame(video)
