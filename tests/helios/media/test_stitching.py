"""Joining chunks: every frame once, in order, at its time; sound exact to the sample; the whole video or none."""

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from helios.errors import OutputError, RequestError, WorkerUnavailableError
from helios.media import stitching
from helios.media.chunk_file import ChunkFile
from helios.media.containers import check_container
from helios.media.sound_order import SoundOrder
from helios.media.stitching import FfmpegStitcher, StitchInput
from helios.models.report import OutputReport
from testbed.video import Clip, accepted, read_frames, read_numbers, read_sound, tone, write_clip, write_tone

SIZES = (7, 10, 1, 12)
H264 = Clip()
HEVC = Clip(codec="libx265", options={"x265-params": "log-level=error"})
VP9 = Clip(codec="libvpx-vp9", options={"deadline": "realtime"})
AV1 = Clip(codec="libsvtav1", options={"preset": "10"})
PRORES = Clip(codec="prores_ks", pixel_format="yuv422p10le")
RATES = [Fraction(24000, 1001), 24, 25, Fraction(30000, 1001), 30, 50, 60]


def chunks(folder: Path, clip: Clip, *, suffix: str = ".mp4", sizes: tuple[int, ...] = SIZES) -> list[StitchInput]:
    inputs, frame = [], 0
    for index, count in enumerate(sizes):
        path = write_clip(folder / f"c{index}{suffix}", clip, start=frame, count=count)
        inputs.append(accepted(path, count, f"chunk {index}"))
        frame += count
    return inputs


def stitch(inputs: list[StitchInput], output: Path, clip: Clip, **options: object) -> OutputReport:
    return FfmpegStitcher().stitch(inputs, output, fps=clip.fps, **options)  # type: ignore[arg-type]


def is_exact(path: Path, fps: Fraction, *, frames: int) -> bool:
    """Whether every frame is there once, in order, at its time; Matroska keeps times in whole milliseconds."""
    coarse = Fraction(1, 2000) if path.suffix in {".mkv", ".webm"} else 0
    found = read_frames(path)
    times = all(abs(time - index / fps) <= coarse for index, (_, time) in enumerate(found))
    return times and [number for number, _ in found] == list(range(frames))


@pytest.mark.parametrize("fps", RATES)
@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_exact_at_every_rate(tmp_path: Path, fps: Fraction, suffix: str) -> None:
    """Chunks with B-frames, one of them a single frame, become one stream without a rounded time."""
    clip = replace(H264, fps=Fraction(fps))
    report = stitch(chunks(tmp_path, clip), tmp_path / f"video{suffix}", clip)
    assert is_exact(tmp_path / f"video{suffix}", clip.fps, frames=30)
    assert (report.frames, report.duration_seconds) == (30, float(30 / clip.fps))


@pytest.mark.parametrize(
    ("clip", "chunk_suffix", "suffix"),
    [
        (H264, ".mkv", ".mp4"),
        (H264, ".mov", ".m4v"),
        (HEVC, ".mp4", ".mp4"),
        (HEVC, ".mkv", ".mov"),
        (HEVC, ".mp4", ".mkv"),
        (VP9, ".webm", ".webm"),
        (VP9, ".webm", ".mp4"),
        (VP9, ".mp4", ".mkv"),
        (AV1, ".mp4", ".mp4"),
        (AV1, ".webm", ".webm"),
        (AV1, ".mp4", ".mkv"),
        (PRORES, ".mov", ".mov"),
        (PRORES, ".mov", ".mkv"),
    ],
    ids=lambda value: value.codec if isinstance(value, Clip) else value,
)
@pytest.mark.parametrize("fps", [Fraction(30000, 1001), Fraction(60)], ids=["29.97", "60"])
def test_exact_in_every_codec(tmp_path: Path, clip: Clip, chunk_suffix: str, suffix: str, fps: Fraction) -> None:
    """Chunks of one codec become one exact stream in every container that takes the codec."""
    clip = replace(clip, fps=fps)
    stitch(chunks(tmp_path, clip, suffix=chunk_suffix), tmp_path / f"video{suffix}", clip)
    assert is_exact(tmp_path / f"video{suffix}", fps, frames=30)


def test_the_video_is_not_encoded_again(tmp_path: Path) -> None:
    """The joined file's video packets are the chunks' packets, byte for byte."""

    def packets(path: Path) -> list[bytes]:
        with av.open(str(path)) as file:
            return [bytes(packet) for packet in file.demux(video=0) if packet.size]

    inputs = chunks(tmp_path, H264)
    stitch(inputs, tmp_path / "video.mp4", H264)
    assert packets(tmp_path / "video.mp4") == [packet for part in inputs for packet in packets(part.path)]


def off_by(sound: np.ndarray, rate: int = 48000) -> float:
    """The largest difference from the tone, away from its ends; AAC codes a pure tone to within 0.07."""
    return float(np.abs(sound - tone(0, len(sound), rate=rate)[0] / 32768)[2000:-4000].max())


@pytest.mark.parametrize("fps", [Fraction(30), Fraction(30000, 1001), Fraction(24000, 1001)])
@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_pcm_sound_of_chunks_is_joined_to_the_sample(tmp_path: Path, fps: Fraction, suffix: str) -> None:
    """A tone that runs over all chunks has no click where they meet, and no drift at uneven rates."""
    clip = replace(H264, fps=fps, sample_rate=48000)
    inputs = chunks(tmp_path, clip, suffix=".mov", sizes=(30, 31, 17, 22))
    report = stitch(inputs, tmp_path / f"video{suffix}", clip)
    sound = read_sound(tmp_path / f"video{suffix}", rate=48000)
    length = round(100 * 48000 / fps)
    assert length <= len(sound) < length + 1024  # the last AAC frame is padded
    assert off_by(sound[:length]) < 0.07
    assert (report.audio_codec, report.warnings) == ("aac", ())
    assert is_exact(tmp_path / f"video{suffix}", fps, frames=100)


def test_pcm_sound_in_webm(tmp_path: Path) -> None:
    """In WebM the sound becomes Opus, which is exact in length."""
    clip = replace(VP9, sample_rate=48000)
    stitch(chunks(tmp_path, clip, suffix=".mkv", sizes=(30, 31, 17, 22)), tmp_path / "video.webm", clip)
    sound = read_sound(tmp_path / "video.webm", rate=48000)
    assert len(sound) == 160_000
    assert off_by(sound) < 0.02


@pytest.mark.parametrize("rate", [44100, 48000])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_sound_file_becomes_the_one_track(tmp_path: Path, rate: int, suffix: str) -> None:
    """A sound file is laid under the whole video, and cut where the video ends."""
    audio = write_tone(tmp_path / "music.wav", seconds=5, rate=rate)
    report = stitch(chunks(tmp_path, H264, sizes=(30, 30, 30)), tmp_path / f"v{suffix}", H264, order=SoundOrder(audio))
    sound = read_sound(tmp_path / f"v{suffix}", rate=rate)
    assert 3 * rate <= len(sound) < 3 * rate + 1024
    assert off_by(sound[: 3 * rate], rate) < 0.07
    assert (report.audio_codec, report.warnings) == ("aac", ())


def test_a_sound_file_that_is_too_short_is_told(tmp_path: Path) -> None:
    """With a sound file that is too short the video is whole, and the report says by how much the sound is short."""
    audio = write_tone(tmp_path / "music.wav", seconds=0.5)
    report = stitch(chunks(tmp_path, H264), tmp_path / "video.mp4", H264, order=SoundOrder(audio))
    assert report.warnings == ("The sound ends 0.500 s before the video",)
    assert read_numbers(tmp_path / "video.mp4") == list(range(30))


def test_chunk_sound_that_is_too_short_is_filled_and_told(tmp_path: Path) -> None:
    """A chunk's sound that is too short is filled with silence, so that later sound stays in its place."""
    clip = replace(H264, sample_rate=48000)
    inputs = chunks(tmp_path, clip, suffix=".mov", sizes=(30, 30, 30))
    short = write_clip(tmp_path / "sound.mov", clip, start=30, count=10)
    shortened = _with_sound_of(tmp_path / "c1.mov", short, tmp_path / "mixed.mov")
    inputs[1] = StitchInput(shortened, 30, "chunk 1")
    report = stitch(inputs, tmp_path / "video.mp4", clip)
    assert report.warnings == ("chunk 1: its sound is 0.667 s shorter; silence was put in",)
    sound = read_sound(tmp_path / "video.mp4", rate=48000)
    reference = tone(0, len(sound), rate=48000)[0] / 32768
    # The tone begins in mid-swing after the silence, and settles within 100 ms.
    assert np.abs(sound - reference)[2 * 48000 + 4800 : 3 * 48000 - 2000].max() < 0.07
    assert np.abs(sound)[68_000:90_000].max() < 0.01


def _with_sound_of(video: Path, sound: Path, target: Path) -> Path:
    with av.open(str(video)) as one, av.open(str(sound)) as two, av.open(str(target), "w") as out:
        streams: dict[int, Any] = {
            0: out.add_stream_from_template(one.streams.video[0]),
            1: out.add_stream_from_template(two.streams.audio[0]),
        }
        for key, packets in ((0, one.demux(video=0)), (1, two.demux(audio=0))):
            for packet in packets:
                if packet.size:
                    packet.stream = streams[key]
                    out.mux(packet)
    return target


BROKEN = {
    "short": ("has 9 frames; expected exactly 10", H264, 9),
    "long": ("has 11 frames; expected exactly 10", H264, 11),
    "rate": ("does not fit chunk 0: headers", replace(H264, fps=Fraction(25)), 10),
    "size": ("chunk 1 does not fit chunk 0: width 80 instead of 64", replace(H264, width=80), 10),
    "codec": ("codec mpeg4 instead of h264", replace(H264, codec="mpeg4"), 10),
    "headers": ("does not fit chunk 0: ", replace(H264, options={"bf": "0"}), 10),
}


@pytest.mark.parametrize("is_recorded", [True, False])
@pytest.mark.parametrize("kind", BROKEN)
def test_a_chunk_that_does_not_fit_leaves_no_output(tmp_path: Path, kind: str, is_recorded: bool) -> None:
    """A chunk that does not fit is named, and an earlier file at the output's place stays there."""
    message, clip, count = BROKEN[kind]
    inputs = chunks(tmp_path, H264)
    write_clip(inputs[1].path, clip, start=7, count=count)
    part = inputs[1]
    inputs[1] = accepted(part.path, part.frames, part.name) if is_recorded else replace(part, artifact=None)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "video.mp4").write_text("the last good one")
    with pytest.raises(OutputError, match=message):
        stitch(inputs, tmp_path / "out" / "video.mp4", H264)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["video.mp4"]
    assert (tmp_path / "out" / "video.mp4").read_text() == "the last good one"


def test_a_missing_and_a_truncated_chunk(tmp_path: Path) -> None:
    """A truncated and a missing chunk end the stitch, and the error names the chunk's file."""
    inputs = chunks(tmp_path, H264)
    inputs[2].path.write_bytes(inputs[2].path.read_bytes()[:-200])
    with pytest.raises(OutputError, match=r"c2\.mp4"):
        stitch(inputs, tmp_path / "video.mp4", H264)
    inputs[1].path.unlink()
    with pytest.raises(OutputError, match=r"chunk 1: .*c1\.mp4 was removed"):
        stitch(inputs, tmp_path / "video.mp4", H264)
    assert not (tmp_path / "video.mp4").exists()


def strike_at_the_second(patch: pytest.MonkeyPatch, strike: Callable[[], object]) -> None:
    """Do something when the second chunk is hashed, and not yet copied."""
    strikes: list[Callable[[], object]] = [strike, lambda: None]

    def opened(*args: Any, **words: Any) -> ChunkFile:
        if strikes:
            strikes.pop()()
        return ChunkFile(*args, **words)

    patch.setattr(stitching, "ChunkFile", opened)


def test_a_chunk_that_is_written_to_while_it_is_joined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A chunk that changes after its digest was right ends the stitch without a video; the error names the chunk."""
    inputs = chunks(tmp_path, H264)
    other = write_clip(tmp_path / "other.mp4", H264, start=900, count=SIZES[1])
    strike_at_the_second(monkeypatch, lambda: inputs[1].path.write_bytes(other.read_bytes()))
    with pytest.raises(OutputError, match=r"chunk 1: .*c1\.mp4 was changed since it was accepted"):
        stitch(inputs, tmp_path / "video.mp4", H264)
    assert not (tmp_path / "video.mp4").exists()


def test_a_chunk_whose_path_is_given_to_another_file_while_it_is_joined(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The video has the accepted frames, although a chunk's path is given to another file meanwhile."""
    inputs = chunks(tmp_path, H264)
    other = write_clip(tmp_path / "other.mp4", H264, start=900, count=SIZES[1])
    strike_at_the_second(monkeypatch, lambda: other.replace(inputs[1].path))
    stitch(inputs, tmp_path / "video.mp4", H264)
    assert read_numbers(tmp_path / "video.mp4") == list(range(30))
    with pytest.raises(OutputError, match=r"chunk 1: .*c1\.mp4 was changed since it was accepted"):
        stitch(inputs, tmp_path / "again.mp4", H264)


def test_a_container_without_room_for_the_codec(tmp_path: Path) -> None:
    """A container that has no room for the codec is refused with the containers that have room."""
    with pytest.raises(RequestError, match=r"video.mp4: mp4 has no place for prores video; use one of .mov, .mkv"):
        stitch(chunks(tmp_path, PRORES, suffix=".mov"), tmp_path / "video.mp4", PRORES)
    with pytest.raises(RequestError, match=r"video.mkv: utvideo .* nor into another container .* such as ffv1"):
        check_container(tmp_path / "video.mkv", "utvideo")
    with pytest.raises(RequestError, match=r"video.avi: can't tell the container; use a name that ends in .mp4"):
        stitch(chunks(tmp_path, H264), tmp_path / "video.avi", H264)


@pytest.mark.parametrize("folder", ["it's a folder", "a:b", "line\nbreak", "日本"])
def test_any_folder_and_name(tmp_path: Path, folder: str) -> None:
    """Folders and files may have any name, since paths go to FFmpeg's libraries and not into a list with quotes."""
    (tmp_path / folder).mkdir()
    output = tmp_path / folder / 'the "video" of 50 %.mp4'
    stitch(chunks(tmp_path / folder, H264), output, H264)
    assert read_numbers(output) == list(range(30))


STITCH_PROGRAM = """
import signal, sys, resource
from fractions import Fraction
from pathlib import Path
from helios.errors import WorkerUnavailableError
from helios.models.worker import Artifact
from helios.media.stitching import FfmpegStitcher, StitchInput
if int(sys.argv[1]):
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), int(sys.argv[1])))
inputs = [StitchInput(Path(path), 30, path) for path in sys.argv[3:]]
try:
    FfmpegStitcher().stitch(inputs, Path(sys.argv[2]), fps=Fraction(30))
except WorkerUnavailableError as exc:
    print(exc)
    sys.exit(9)
"""


@pytest.fixture(scope="module")
def large_chunks(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    noisy = Clip(codec="prores_ks", pixel_format="yuv422p10le", width=640, height=480)
    folder = tmp_path_factory.mktemp("large")
    return [str(part.path) for part in chunks(folder, noisy, suffix=".mov", sizes=(30, 30))]


def run_stitch(*words: str | Path, wrapper: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    argv = [*wrapper, sys.executable, "-c", STITCH_PROGRAM, *map(str, words)]
    return subprocess.run(argv, capture_output=True, text=True, timeout=300, check=False)


@pytest.mark.parametrize("limit", [1000, 100_000])
def test_a_file_that_may_not_grow(tmp_path: Path, large_chunks: list[str], limit: int) -> None:
    """When the system limits the file's size, the error says so, and no file is left."""
    assert sum(os.path.getsize(path) for path in large_chunks) > 2 * 100_000
    (tmp_path / "out").mkdir()
    done = run_stitch(str(limit), tmp_path / "out" / "video.mov", *large_chunks)
    assert done.returncode == 9, done.stderr
    assert "can't be written: File too large; make room there" in done.stdout
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.skipif(shutil.which("unshare") is None, reason="needs util-linux's unshare to mount a small disk")
def test_a_full_disk(tmp_path: Path, large_chunks: list[str]) -> None:
    """When a real file system of 96 KB runs full in the middle, the error says so, and no file is left."""
    (tmp_path / "disk").mkdir()
    script = 'mount -t tmpfs -o size=96k none "$0" && "$@"; code=$?; ls -A "$0"; exit $code'
    small_disk = ("unshare", "--mount", "--map-root-user", "sh", "-c", script, str(tmp_path / "disk"))
    probe = subprocess.run([*small_disk, "true"], capture_output=True, check=False)
    if probe.returncode != 0:
        pytest.skip("this machine allows no mounts in a namespace")
    done = run_stitch("0", tmp_path / "disk" / "video.mov", *large_chunks, wrapper=small_disk)
    assert done.returncode == 9, done.stderr
    assert "can't be written: No space left on device; make room there" in done.stdout
    assert len(done.stdout.splitlines()) == 1, "the listing of the disk, which follows, is empty"


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    """An output in a missing folder is refused with the system's reason."""
    with pytest.raises(WorkerUnavailableError, match="can't be written: No such file"):
        stitch(chunks(tmp_path, H264), tmp_path / "nowhere" / "video.mp4", H264)


def test_many_chunks_need_few_files(tmp_path: Path) -> None:
    """Chunks are opened one after the other, so that a low limit of open files is enough for any number of chunks."""
    part = write_clip(tmp_path / "c.mp4", H264, start=0, count=1)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # Twenty more than this process has open, which are many after other tests.
    taken = {int(name) for name in os.listdir("/proc/self/fd")}
    free = [number for number in range(len(taken) + 40) if number not in taken]
    resource.setrlimit(resource.RLIMIT_NOFILE, (free[20], hard))
    try:
        report = stitch([StitchInput(part, 1, "chunk")] * 300, tmp_path / "video.mp4", H264)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert report.frames == 300


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".m4v"])
def test_the_index_is_in_front(tmp_path: Path, suffix: str) -> None:
    """A player that gets the file over a network can begin before it has the whole file."""
    clip = replace(H264, sample_rate=48000)
    stitch(chunks(tmp_path, clip, suffix=".mov"), tmp_path / f"video{suffix}", clip)
    data, boxes, at = (tmp_path / f"video{suffix}").read_bytes(), [], 0
    while at < len(data):
        boxes.append(data[at + 4 : at + 8])
        at += int.from_bytes(data[at : at + 4])
    assert boxes.index(b"moov") < boxes.index(b"mdat")
    assert is_exact(tmp_path / f"video{suffix}", clip.fps, frames=30)


def test_no_drift_over_many_chunks(tmp_path: Path) -> None:
    """After hundreds of chunks at an uneven rate, the last frames and the last sound are at their times."""
    fps, rate, count, size = Fraction(24000, 1001), 8000, 200, 25
    clip = Clip(fps=fps, codec="mpeg4", sample_rate=rate)
    path = write_clip(tmp_path / "c.mov", clip, start=0, count=size)
    silent = write_clip(tmp_path / "s.mov", replace(clip, sample_rate=None), start=0, count=size)
    parts = [StitchInput(silent, size, f"chunk {n}") for n in range(count - 1)]
    parts = [StitchInput(path, size, "first"), *parts[1:], StitchInput(path, size, "last")]
    stitch(parts, tmp_path / "video.mp4", clip)
    with av.open(str(tmp_path / "video.mp4")) as video:
        times = sorted(Fraction(packet.pts or 0) * packet.time_base for packet in video.demux(video=0) if packet.size)
        assert times == [n / fps for n in range(len(times))]
        assert (len(times), video.streams.video[0].average_rate) == (count * size, fps)
    sound = np.abs(read_sound(tmp_path / "video.mp4", rate=rate))
    quiet = sound[int(2 * rate) : round((count - 1) * size / fps * rate) - 400]
    assert quiet.max() < 0.05
    begins = round((count - 1) * size / fps * rate)
    assert sound[begins + 40 : begins + 400].max() > 0.3
