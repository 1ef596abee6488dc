"""Pictures of real videos."""

import io
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.frame import VideoFrame

from helios.media.stills import contact_sheet, side_by_side, still
from testbed.moving_pictures import HEIGHT, WIDTH, Look, write_pictures
from testbed.video import Clip, read_numbers, write_clip


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
