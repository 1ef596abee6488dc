"""Sound is heard when its time stamps say, to the sample."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from numpy.typing import NDArray

from helios.errors import OutputError
from helios.media.chunk_file import ChunkFile
from helios.media.parameters import AudioParameters
from helios.media.sound_order import SoundOrder
from helios.media.stitching import FfmpegStitcher, StitchInput
from helios.models.report import OutputReport
from testbed.video import Clip, accepted, read_numbers, tone, write_clip

RATE = 48_000
FPS = Fraction(30)
Pieces = list[tuple[float, float]]


def write_chunk(path: Path, *, number: int, pieces: Pieces, rate: int = RATE) -> StitchInput:
    """One second of video, and loud sound in each piece `[begin, end)` in seconds."""
    plain = write_clip(path.with_name(f"plain{path.suffix}"), Clip(), start=30 * number, count=30)
    with av.open(str(plain)) as one, av.open(str(path), "w") as two:
        video = two.add_stream_from_template(one.streams.video[0], opaque=True)
        sound = two.add_stream("pcm_s16le", rate=rate, layout="mono") if pieces else None
        for packet in one.demux(video=0):
            if packet.size:
                packet.stream = video
                two.mux(packet)
        for begin, end in pieces:
            assert sound is not None
            samples = tone(0, round((end - begin) * rate), rate=rate)
            frame = AudioFrame.from_ndarray(samples, format="s16", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = rate, round(begin * rate), Fraction(1, rate)
            two.mux(sound.encode(frame))
        if sound is not None:
            two.mux(sound.encode(None))
    return accepted(path, 30, f"chunk {number}")


def loud(path: Path) -> Pieces:
    """Where a file is loud, in seconds, by the time stamps of its sound."""
    with av.open(str(path)) as media:
        level: NDArray[np.float64] = np.zeros(10 * RATE)
        for frame in media.decode(audio=0):
            at = round((frame.pts or 0) * float(frame.time_base or 0) * RATE)
            data = np.abs(frame.to_ndarray()[0].astype(float))
            level[max(at, 0) : at + len(data)] = (data if frame.format.is_planar else data / 32768)[max(-at, 0) :]
    # The tone is never quiet for a millisecond.
    is_loud = np.convolve(level > 0.03, np.ones(96), "same") > 0
    edges = np.flatnonzero(np.diff(np.concatenate([[0], is_loud.astype(int), [0]])))
    return [(begin / RATE, end / RATE) for begin, end in edges.reshape(-1, 2)]


def stitch(inputs: list[StitchInput], output: Path, **options: object) -> OutputReport:
    report = FfmpegStitcher().stitch(inputs, output, fps=FPS, **options)  # type: ignore[arg-type]
    assert read_numbers(output) == list(range(30 * len(inputs)))
    return report


def expect(found: Pieces, wanted: Pieces, *, within: float = 0.025) -> None:
    """AAC smears a sudden start over one of its frames."""
    assert len(found) == len(wanted), (found, wanted)
    assert np.abs(np.array(found) - np.array(wanted)).max() < within, (found, wanted)


@pytest.mark.parametrize("suffix", [".mov", ".mkv"])
def test_sound_that_starts_late(tmp_path: Path, suffix: str) -> None:
    """Sound that begins in the middle of each chunk does so in the video."""
    inputs = [write_chunk(tmp_path / f"c{n}{suffix}", number=n, pieces=[(0.5, 1.0)]) for n in range(3)]
    report = stitch(inputs, tmp_path / "video.mp4")
    expect(loud(tmp_path / "video.mp4"), [(0.5, 1.0), (1.5, 2.0), (2.5, 3.0)])
    assert report.warnings == ()


def test_gaps_and_overlaps(tmp_path: Path) -> None:
    """A gap in the track is silence in its place; of two pieces at one time the first one sounds."""
    first = write_chunk(tmp_path / "c0.mkv", number=0, pieces=[(0, 0.2), (0.6, 0.9)])
    second = write_chunk(tmp_path / "c1.mkv", number=1, pieces=[(0.1, 0.4), (0.3, 0.5), (0.8, 1.0)])
    stitch([first, second], tmp_path / "video.mp4")
    expect(loud(tmp_path / "video.mp4"), [(0, 0.2), (0.6, 0.9), (1.1, 1.5), (1.8, 2.0)])


def test_sound_after_the_end(tmp_path: Path) -> None:
    """Sound that a chunk has after its last frame is cut, and does not move what follows."""
    inputs = [write_chunk(tmp_path / f"c{n}.mov", number=n, pieces=[(0.4, 1.2)]) for n in range(2)]
    report = stitch(inputs, tmp_path / "video.mp4")
    expect(loud(tmp_path / "video.mp4"), [(0.4, 1.0), (1.4, 2.0)])
    assert report.warnings[0] == "chunk 0: its sound is 0.200 s longer, and was cut"


@pytest.mark.parametrize("silent", [0, 1, 2])
def test_a_chunk_without_sound_is_silent(tmp_path: Path, silent: int) -> None:
    """A chunk whose renderer left the track out, because nothing sounds, is silent; the report says so."""
    sounds: list[Pieces] = [[] if n == silent else [(0, 1)] for n in range(3)]
    inputs = [write_chunk(tmp_path / f"c{n}.mov", number=n, pieces=pieces) for n, pieces in enumerate(sounds)]
    report = stitch(inputs, tmp_path / "video.mp4", sound=AudioParameters("pcm_s16le", RATE, "mono"))
    wanted: list[Pieces] = [[(1, 3)], [(0, 1), (2, 3)], [(0, 2)]]
    expect(loud(tmp_path / "video.mp4"), wanted[silent])
    assert report.warnings == (f"chunk {silent}: it has no sound track, which other chunks have; silence was put in",)


def test_another_format_of_sound_does_not_fit(tmp_path: Path) -> None:
    """Sound of another rate can't be a part of the track."""
    one = write_chunk(tmp_path / "c0.mov", number=0, pieces=[(0, 1)])
    two = write_chunk(tmp_path / "c1.mov", number=1, pieces=[(0, 1)], rate=44_100)
    with pytest.raises(OutputError, match="chunk 1 does not fit chunk 0: sound pcm_s16le, 44100 Hz"):
        stitch([one, two], tmp_path / "video.mp4")


def write_music(path: Path, codec: str, *, start: float, seconds: float) -> Path:
    with av.open(str(path), "w") as output:
        stream = output.add_stream(codec, rate=RATE, layout="mono")
        assert isinstance(stream, AudioStream)
        stream.metadata.update(title="Musik", language="fra")
        frame = AudioFrame.from_ndarray(tone(0, round(seconds * RATE), rate=RATE), format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE, round(start * RATE), Fraction(1, RATE)
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(
    ("name", "codec", "start"),
    [
        ("music.mka", "pcm_s16le", 1.5),
        ("music.mka", "libopus", 1.5),
        ("music.m4a", "aac", 1.5),
        ("music.m4a", "aac", 0),
        ("music.mp3", "libmp3lame", 0),
        ("music.wav", "pcm_s16le", 0),
    ],
)
def test_a_sound_file_begins_when_it_says(tmp_path: Path, name: str, codec: str, start: float) -> None:
    """A file whose sound starts late is silent until then; the run-in of its encoder is no sound."""
    inputs = [write_chunk(tmp_path / f"c{n}.mov", number=n, pieces=[]) for n in range(3)]
    music = write_music(tmp_path / name, codec, start=start, seconds=1.2)
    stitch(inputs, tmp_path / "video.mp4", order=SoundOrder(music))
    expect(loud(tmp_path / "video.mp4"), [(start, start + 1.2)], within=0.04)
    with ChunkFile(tmp_path / "video.mp4", fps=FPS, frames=90) as video:
        assert video.said.audio is not None
        if name == "music.mka":
            assert (video.said.audio.title, video.said.audio.language) == ("Musik", "fra")
