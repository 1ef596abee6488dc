"""An encoded chunk is held against its source."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import av.logging
import pytest

from helios.encode.analysis import analyse
from helios.encode.chunk import Range, encode_chunk
from helios.encode.plan import Frames, ranges
from helios.encode.quality import Chosen, compared, quality_of
from helios.encode.recipe import Recipe
from helios.errors import OutputError
from helios.media.verify import verify_output
from testbed.encodes import Film, write_film

X264 = Recipe("x264", preset="ultrafast", crf="28", threads=1)
FILM = Film(frames=40, size=(160, 96), scene_frames=100)


def _parts(source: Path, sizes: list[int], *, run_in: bool = False) -> list[Range]:
    return ranges(Frames(analyse(source, with_scenes=False)), sizes, run_in=run_in)


def test_the_score_is_that_of_the_filter(tmp_path: Path) -> None:
    """The score is what FFmpeg's filter itself says of the whole of both files: (4 Y + U + V) / 6."""
    source = write_film(tmp_path / "film.mkv", replace(FILM, fps=Fraction(25)))  # times that both containers count
    (part,) = _parts(source, [40])
    encode_chunk(source, tmp_path / "chunk.mp4", part=part, recipe=X264)
    found = compared(source, tmp_path / "chunk.mp4", part=part, recipe=X264)
    said = _xpsnr_of_the_filter(source, tmp_path / "chunk.mp4")
    assert found.xpsnr == pytest.approx((4 * said["y"] + said["u"] + said["v"]) / 6, abs=0.01)
    assert 25 < found.xpsnr < 60


def _xpsnr_of_the_filter(one: Path, other: Path) -> dict[str, float]:
    """What the filter says at its end about two files that it reads itself."""
    graph = av.filter.Graph()
    sources = [graph.add("movie", str(path)) for path in (one, other)]
    meter, sink = graph.add("xpsnr"), graph.add("buffersink")
    for number, node in enumerate(sources):
        node.link_to(meter, 0, number)
    meter.link_to(sink)
    graph.configure()
    before = av.logging.get_level()
    av.logging.set_level(av.logging.INFO)
    try:
        with av.logging.Capture() as told:
            while True:
                try:
                    graph.pull()
                except (av.error.EOFError, av.error.BlockingIOError):
                    break
            del sink, meter, sources, graph
    finally:
        av.logging.set_level(before)
    words = "".join(message for _, _, message in told).split()
    return {name: float(words[words.index(f"{name}:") + 1]) for name in "yuv"}


def test_a_lossless_chunk(tmp_path: Path) -> None:
    """The same pictures have the highest score; filters and transparency are no hindrance."""
    source = write_film(tmp_path / "film.mkv", FILM)
    (part,) = _parts(source, [40], run_in=True)
    for recipe in (
        Recipe("ffv1", vf="scale=80:-2"),
        Recipe("ffv1", pix_fmt="bgra"),
        Recipe("ffv1", pix_fmt="gray10le"),
    ):
        encode_chunk(source, tmp_path / "chunk.mkv", part=part, recipe=recipe)
        assert compared(source, tmp_path / "chunk.mkv", part=part, recipe=recipe).xpsnr == 100


@pytest.mark.parametrize("shift", [-1, 1])
def test_a_chunk_that_is_shifted(tmp_path: Path, shift: int) -> None:
    """A chunk that shows the pictures before or after its own is refused."""
    source = write_film(tmp_path / "film.mkv", FILM)
    _, part, _ = _parts(source, [10, 20, 10])
    _, shifted, _ = _parts(source, [10 + shift, 20, 10 - shift])
    encode_chunk(source, tmp_path / "chunk.mp4", part=shifted, recipe=X264)
    with pytest.raises(OutputError, match=f"is shifted: .* {'before' if shift < 0 else 'after'} their own"):
        quality_of(source, tmp_path / "chunk.mp4", part=part, chosen=Chosen(X264))


def test_another_picture(tmp_path: Path) -> None:
    """A chunk of another scene is refused, and so is one of another length."""
    source = write_film(tmp_path / "film.mkv", replace(FILM, scene_frames=20))
    one, other, _ = _parts(source, [18, 18, 4])
    encode_chunk(source, tmp_path / "chunk.mp4", part=other, recipe=X264)
    with pytest.raises(OutputError, match="shows another picture than its source at frame"):
        quality_of(source, tmp_path / "chunk.mp4", part=one, chosen=Chosen(X264))
    with pytest.raises(OutputError, match="has not as many pictures as its source"):
        quality_of(source, tmp_path / "chunk.mp4", part=replace(other, frames=10, last=None), chosen=Chosen(X264))


def test_a_frame_that_looks_like_its_neighbour(tmp_path: Path) -> None:
    """One frame that repeats the one before it is named."""
    source = write_film(tmp_path / "film.mkv", FILM)
    (part,) = _parts(source, [40])
    repeated = tmp_path / "repeated.mkv"
    with av.open(str(source)) as file, av.open(str(repeated), "w") as output:
        video = output.add_stream("ffv1", rate=30)
        video.width, video.height, video.pix_fmt = 160, 96, "yuv420p"
        before = None
        for number, frame in enumerate(file.decode(video=0)):
            shown = before if number == 12 and before is not None else frame.to_ndarray()
            picture = av.VideoFrame.from_ndarray(shown, format="yuv420p")
            picture.pts, picture.time_base = number, 1 / part.rate
            output.mux(video.encode(picture))
            before = frame.to_ndarray()
        output.mux(video.encode(None))
    quality = quality_of(source, repeated, part=part, chosen=Chosen(Recipe("ffv1")))
    assert (quality.unlike_frames, quality.unlike_frame, quality.looks_like) == (1, 12, 11)


def test_what_svt_av1_writes_at_its_smallest_quantisers(tmp_path: Path) -> None:
    """A chunk that SVT-AV1 wrote so that no decoder takes it is refused by verification, and by the comparison."""
    source, broken = write_film(tmp_path / "film.mkv", FILM), Recipe("svt-av1", preset="12", crf="1")
    (part,) = _parts(source, [40])
    encode_chunk(source, tmp_path / "chunk.mp4", part=part, recipe=broken)
    with pytest.raises(OutputError, match="chunk.mp4"):
        verify_output(tmp_path / "chunk.mp4", frames=40, fps=part.rate, width=160, height=96)
    with pytest.raises(OutputError, match="can't be decoded at frame"):
        compared(source, tmp_path / "chunk.mp4", part=part, recipe=broken)
