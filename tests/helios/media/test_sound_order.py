"""The sound is written as it is asked for, or refused before anything runs."""

import re
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from numpy.typing import NDArray

from helios.errors import RequestError
from helios.media.chunk_file import ChunkFile
from helios.media.joined_sound import check_sound_file
from helios.media.sound_order import CODECS, SoundCodec, SoundOrder, SoundTracks
from helios.media.stitching import FfmpegStitcher, StitchInput
from helios.models.report import OutputReport
from testbed.video import Clip, accepted, read_numbers, tone, write_clip, write_tone

FPS = Fraction(30)
SUFFIXES = {"mp4": ".mp4", "mov": ".mov", "matroska": ".mkv", "webm": ".webm"}
PRORES = Clip(codec="prores_ks", pixel_format="yuv422p10le")


def make_chunks(folder: Path, clip: Clip, suffix: str, *, count: int = 2) -> list[StitchInput]:
    return [
        accepted(write_clip(folder / f"c{n}{suffix}", clip, start=30 * n, count=30), 30, f"chunk {n}")
        for n in range(count)
    ]


def stitch(parts: list[StitchInput], output: Path, order: SoundOrder) -> OutputReport:
    report = FfmpegStitcher().stitch(parts, output, fps=FPS, order=order)
    assert read_numbers(output) == list(range(30 * len(parts)))
    return report


def codec_of(path: Path) -> str:
    with av.open(str(path)) as media:
        return str(media.streams.audio[0].codec_context.codec.canonical_name)


def samples(path: Path, track: int = 0) -> NDArray[np.int64]:
    """All samples of a track of whole numbers, 32 bits wide."""
    pieces = []
    with av.open(str(path)) as media:
        for frame in media.decode(audio=track):
            wide = frame.to_ndarray()[0].astype(np.int64)
            pieces.append(wide if frame.format.name.startswith("s32") else wide << 16)
    return np.concatenate(pieces)


@pytest.mark.parametrize("codec", [codec for codec in SoundCodec if codec is not SoundCodec.COPY])
@pytest.mark.parametrize("container", CODECS)
def test_every_codec_in_every_container(tmp_path: Path, container: str, codec: SoundCodec) -> None:
    """A codec is written where the table has it, and refused elsewhere with what works."""
    output, order = tmp_path / f"video{SUFFIXES[container]}", SoundOrder(codec=codec)
    clip = Clip(codec="libvpx-vp9" if container == "webm" else "libx264", sample_rate=48_000)
    parts = make_chunks(tmp_path, clip, ".mkv", count=1)
    if codec in CODECS[container]:
        stitch(parts, output, order)
        assert codec_of(output) == {"pcm": "pcm_s16le"}.get(codec, codec.value)
        return
    with pytest.raises(RequestError) as caught:
        stitch(parts, output, order)
    assert f"{output.name} can't have {codec} sound (--audio-codec): {output.suffix} files take " in str(caught.value)
    assert not output.exists()


def test_prores_with_pcm(tmp_path: Path) -> None:
    """ProRes and PCM are delivered in MOV, every sample as it was."""
    clip = Clip(codec="prores_ks", pixel_format="yuv422p10le", sample_rate=48_000)
    stitch(make_chunks(tmp_path, clip, ".mov"), tmp_path / "video.mov", SoundOrder(codec=SoundCodec.PCM))
    found = samples(tmp_path / "video.mov") >> 16
    assert (found == tone(0, 96_000, rate=48_000)[0]).all()


def deep_chunk(path: Path, codec: str, form: str, values: NDArray[np.int32]) -> StitchInput:
    plain = write_clip(path.with_stem("plain"), Clip(), start=0, count=30)
    with av.open(str(plain)) as one, av.open(str(path), "w") as two:
        video = two.add_stream_from_template(one.streams.video[0], opaque=True)
        sound = two.add_stream(codec, rate=48_000, layout="mono")
        assert isinstance(sound, AudioStream)
        sound.codec_context.format = form
        frame = AudioFrame.from_ndarray(values[None], format="s32", layout="mono")
        frame.sample_rate, frame.pts = 48_000, 0
        two.mux(sound.encode(frame))
        two.mux(sound.encode(None))
        for packet in one.demux(video=0):
            if packet.size:
                packet.stream = video
                two.mux(packet)
    return accepted(path, 30, "chunk 0")


@pytest.mark.parametrize(
    ("codec", "form", "suffix", "bits", "written"),
    [
        ("pcm_s24le", "s32", ".mov", 24, "pcm_s24le"),
        ("pcm_s24be", "s32", ".mov", 24, "pcm_s24le"),
        ("pcm_s32le", "s32", ".mov", 32, "pcm_s32le"),
        ("flac", "s32", ".mkv", 24, "pcm_s24le"),
        ("alac", "s32p", ".mov", 24, "pcm_s24le"),
    ],
)
def test_pcm_is_as_deep_as_its_source(
    tmp_path: Path, codec: str, form: str, suffix: str, bits: int, written: str
) -> None:
    """Sound of 24 and 32 bits stays so, and stays what it is, also in FLAC as far as that goes."""
    wide = np.random.default_rng(3).integers(-(2**31), 2**31, 48_000)
    values = (wide >> (32 - bits) << (32 - bits)).astype(np.int32)
    part = deep_chunk(tmp_path / f"c0{suffix}", codec, form, values)
    stitch([part], tmp_path / "video.mov", SoundOrder(codec=SoundCodec.PCM))
    assert codec_of(tmp_path / "video.mov") == written
    assert (samples(tmp_path / "video.mov") == values).all()
    stitch([part], tmp_path / "video.mkv", SoundOrder(codec=SoundCodec.FLAC))
    assert (samples(tmp_path / "video.mkv") >> 8 == values >> 8).all()


def write_tracks(path: Path, codec: str, *, starts: tuple[float, ...] = (0.0, 0.25), seconds: float = 1.5) -> Path:
    """A file with several tracks: each with a start, a language, a title and a mark of its own."""
    with av.open(str(path), "w") as output:
        streams = []
        for number in range(len(starts)):
            stream = output.add_stream(codec, rate=48_000, layout="mono")
            assert isinstance(stream, AudioStream)
            stream.metadata.update(title=f"Track {number}", language=("fra", "jpn")[number])
            stream.disposition = av.stream.Disposition.default if number == 0 else av.stream.Disposition.comment
            streams.append(stream)
        output.start_encoding()
        for stream, start in zip(streams, starts, strict=True):
            sound = tone(0, round(seconds * 48_000), rate=48_000)
            frame = AudioFrame.from_ndarray(sound, format="s16", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = 48_000, round(start * 48_000), Fraction(1, 48_000)
            output.mux([*stream.encode(frame), *stream.encode(None)])
    return path


def heard(path: Path, track: int = 0) -> tuple[float, float]:
    """Where a track begins and ends to be loud, in seconds from the first picture's time."""
    with av.open(str(path)) as media:
        video = media.streams.video[0]
        zero = float((video.start_time or 0) * (video.time_base or 0))
        level: NDArray[np.float64] = np.zeros(10 * 48_000)
        for frame in media.decode(audio=track):
            data = np.abs(frame.to_ndarray()[0].astype(float))
            at = round(((frame.pts or 0) * float(frame.time_base or 0) - zero) * 48_000)
            level[max(at, 0) : at + len(data)] = (data if "flt" in frame.format.name else data / 32768)[max(-at, 0) :]
    loud = np.flatnonzero(level > 0.1)
    return float(loud[0] / 48_000), float(loud[-1] / 48_000)


@pytest.mark.parametrize("codec", [None, SoundCodec.COPY])
@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_every_track_of_a_file(tmp_path: Path, suffix: str, codec: SoundCodec | None) -> None:
    """Every track keeps its start, language, title and mark, encoded again or copied."""
    music = write_tracks(tmp_path / "music.mka", "aac")
    order = SoundOrder(file=music, tracks=SoundTracks.ALL, codec=codec)
    output = tmp_path / f"video{suffix}"
    check_sound_file(order, output)
    report = stitch(make_chunks(tmp_path, Clip(), ".mp4"), output, order)
    with ChunkFile(output, fps=FPS, frames=60, most_sounds=2) as video:
        tags = [{key.lower(): value for key, value in sound.metadata.items()} for sound in video.sounds]
        names = [tag.get("title") or tag.get("name") or tag.get("handler_name") for tag in tags]
        assert [tag["language"] for tag in tags] == ["fra", "jpn"]
        assert names == ["Track 0", "Track 1"]
        assert [bool(sound.disposition & av.stream.Disposition.default) for sound in video.sounds] == [True, False]
        is_marked = bool(video.sounds[1].disposition & av.stream.Disposition.comment)
        assert is_marked != (suffix == ".mov")  # which has no place for it: a warning
    for number, start in enumerate((0.0, 0.25)):
        begin, end = heard(output, number)
        assert abs(begin - start) < 0.003, number
        assert abs(end - (start + 1.5)) < 0.04, number
    said = [r"The sound ends 0\.(4|5)\d\d s before", r"Sound track 2 ends 0\.2\d\d s before"]
    said += ["music.mka has what the .mov file has no place for: mark comment of the sound"] * (suffix == ".mov")
    assert all(re.match(*pair) for pair in zip(said, report.warnings, strict=True)), report.warnings


def test_the_first_track_is_the_default(tmp_path: Path) -> None:
    """Without a word, a video gets the first track of a file."""
    music = write_tracks(tmp_path / "music.mka", "aac")
    stitch(make_chunks(tmp_path, Clip(), ".mp4"), tmp_path / "video.mp4", SoundOrder(file=music))
    with av.open(str(tmp_path / "video.mp4")) as video:
        assert len(video.streams.audio) == 1
        assert video.streams.audio[0].language == "fra"


COPIES = [
    ("music.m4a", "aac", ".mp4"),
    ("music.m4a", "aac", ".mov"),
    ("music.m4a", "aac", ".mkv"),
    ("music.mka", "aac", ".mp4"),
    ("music.mka", "aac", ".mkv"),
    ("music.mka", "libopus", ".mp4"),
    ("music.mka", "libopus", ".webm"),
    ("music.ogg", "libopus", ".mkv"),
    ("music.ogg", "libopus", ".mp4"),
    ("music.mp3", "libmp3lame", ".mp4"),
    ("music.mp3", "libmp3lame", ".mkv"),
    ("music.flac", "flac", ".mp4"),
    ("music.flac", "flac", ".mkv"),
    ("music.mka", "flac", ".mp4"),
    ("music.wav", "pcm_s16le", ".mov"),
    ("music.wav", "pcm_s24le", ".mov"),
    ("music.wav", "pcm_s16le", ".mkv"),
    ("music.mka", "pcm_s16le", ".mov"),
]


def packets(path: Path) -> list[bytes]:
    with av.open(str(path)) as media:
        return [bytes(packet) for packet in media.demux(audio=0) if packet.size]


def late_by(path: Path) -> int:
    """Samples by which the tone in a file is late, or early; the sound begins with the video, and is a sine."""
    pieces = []
    with av.open(str(path)) as media:
        for frame in media.decode(audio=0):
            data = frame.to_ndarray()[0].astype(float)
            pieces.append(
                data if "flt" in frame.format.name else data / 2.0 ** (31 if "32" in frame.format.name else 15)
            )
        start = media.streams.audio[0].start_time
        assert start is not None
    found = np.concatenate(pieces)[:24_000]
    wanted = tone(0, 24_000, rate=48_000)[0] / 32768
    # A period has 109 samples: the rise at the beginning tells the rest.
    errors = [float(np.abs(np.roll(found, -shift)[200:-200] - wanted[200:-200]).sum()) for shift in range(-54, 55)]
    quiet = int(np.flatnonzero(np.abs(found) > 0.2)[0]) - int(np.flatnonzero(np.abs(wanted) > 0.2)[0])
    assert abs(quiet) < 40, quiet
    return int(np.argmin(errors)) - 54


@pytest.mark.parametrize(("name", "codec", "suffix"), COPIES)
def test_packets_are_copied(tmp_path: Path, name: str, codec: str, suffix: str) -> None:
    """Copied packets are those of the file, up to the video's end, and are heard when the file's are, to the sample."""
    music = write_tracks(tmp_path / name, codec, starts=(0.0,), seconds=3)
    order = SoundOrder(file=music, codec=SoundCodec.COPY)
    output = tmp_path / f"video{suffix}"
    check_sound_file(order, output)
    clip = Clip(codec="libvpx-vp9") if suffix == ".webm" else Clip()
    report = stitch(make_chunks(tmp_path, clip, ".webm" if suffix == ".webm" else ".mp4"), output, order)
    copied = packets(output)
    assert b"".join(packets(music)).startswith(b"".join(copied))
    assert late_by(output) == 0
    with av.open(str(output)) as media:
        video, sound = media.streams.video[0], media.streams.audio[0]
        assert (video.start_time or 0) * (video.time_base or 0) == 0
        assert abs((sound.start_time or 0) * (sound.time_base or Fraction(1))) <= Fraction(1, 48_000)
        if sound.duration:
            assert 2 <= float(sound.duration * (sound.time_base or Fraction(1))) < 2.11
    assert not [warning for warning in report.warnings if "ends" in warning]


@pytest.mark.parametrize("codec", [None, SoundCodec.COPY])
def test_a_run_in_that_a_file_does_not_declare(tmp_path: Path, codec: SoundCodec | None) -> None:
    """A raw stream of AAC says nothing of its run-in: it is heard late, and the report says so."""
    music = write_tracks(tmp_path / "music.aac", "aac", starts=(0.0,), seconds=3)
    order = SoundOrder(file=music, codec=codec)
    report = stitch(make_chunks(tmp_path, Clip(), ".mp4"), tmp_path / "video.mp4", order)
    (said,) = report.warnings
    assert said.startswith("The sound of music.aac does not say how much its encoder put in front of it")
    assert heard(tmp_path / "video.mp4")[0] == pytest.approx(1024 / 48_000, abs=0.003)


@pytest.mark.parametrize(
    ("name", "codec", "suffix", "said"),
    [
        ("music.wav", "pcm_s16le", ".mp4", "The sound of the file is pcm_s16le, 48000 Hz, mono, which can't be copied"),
        ("music.m4a", "aac", ".webm", "which can't be copied into video.webm"),
        ("music.ogg", "libopus", ".mov", "which can't be copied into video.mov"),
        ("music.flac", "flac", ".mov", "which can't be copied into video.mov"),
    ],
)
def test_what_can_not_be_copied(tmp_path: Path, name: str, codec: str, suffix: str, said: str) -> None:
    """A container without a place for the packets is refused before anything runs, with what works."""
    music = write_tracks(tmp_path / name, codec, starts=(0.0,))
    with pytest.raises(RequestError) as caught:
        check_sound_file(SoundOrder(file=music, codec=SoundCodec.COPY), tmp_path / f"video{suffix}")
    assert said in str(caught.value)
    assert "--output NAME.mkv" in str(caught.value)


@pytest.mark.parametrize(
    ("order", "said"),
    [
        (SoundOrder(codec=SoundCodec.COPY), "copied from a sound file alone (--audio-codec copy with --audio FILE)"),
        (SoundOrder(tracks=SoundTracks.ALL), "name one (--audio FILE)"),
        (SoundOrder(codec=SoundCodec.OPUS), ".mov files take aac and pcm; opus goes into .mp4, .m4v, .mkv and .webm"),
    ],
)
def test_orders_that_are_refused_unseen(order: SoundOrder, said: str) -> None:
    """What can't work is refused without a look at any file."""
    with pytest.raises(RequestError) as caught:
        order.check(Path("video.mov"))
    assert said in str(caught.value)


def test_a_file_that_is_no_sound(tmp_path: Path) -> None:
    """Files without sound, and sound that no encoder of the container takes, are refused in words."""
    (tmp_path / "text.wav").write_text("no sound")
    silent = write_clip(tmp_path / "silent.mp4", Clip(), start=0, count=3)
    empty = write_tone(tmp_path / "empty.wav", seconds=0.01)
    whole = empty.read_bytes()
    header = whole[: whole.index(b"data") + 4]
    empty.write_bytes(header + bytes(4))
    refused = {tmp_path / "text.wav": "can't be read as sound", silent: "has no sound track", empty: "is empty"}
    for path, said in refused.items():
        for codec in (None, SoundCodec.COPY):
            with pytest.raises(RequestError, match=said):
                check_sound_file(SoundOrder(file=path, codec=codec), tmp_path / "video.mkv")
    check_sound_file(SoundOrder(file=write_tone(tmp_path / "good.wav", seconds=0.01)), tmp_path / "video.mp4")
