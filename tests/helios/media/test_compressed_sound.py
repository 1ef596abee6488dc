"""Compressed sound of chunks is joined to the sample: measured against the sound that was encoded."""

from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from numpy.typing import NDArray

from helios.errors import OutputError
from helios.media import chunks_sound
from helios.media.sound_order import SoundCodec, SoundOrder
from helios.media.stitching import FfmpegStitcher, StitchInput
from helios.models.report import OutputReport
from testbed.video import Clip, accepted, damage, read_numbers, write_clip

FPS = Fraction(30_000, 1001)
SIZES = (30, 31, 17, 22)
"""Frames of each chunk: no seam is where a packet ends."""
ROUGH = f"The sound of chunk 1 (and of 2 more) {chunks_sound.ROUGH}"
FLAC = SoundOrder(codec=SoundCodec.FLAC)
Samples = NDArray[np.float64]


@dataclass(frozen=True)
class Kind:
    """How chunks are encoded."""

    codec: str = "aac"
    suffix: str = ".mp4"
    rate: int = 48_000
    overlap: int = 0
    """Samples of the neighbours' sound at both ends of each chunk; negative for silence there."""
    picture_delay: int = 0
    """Milliseconds by which the pictures begin later than the sound."""
    hides_run_in: bool = False
    """Whether Matroska's CodecDelay is missing."""
    cut: int = 0
    """Samples that are missing at the end of each chunk; negative for more than there should be."""


def music(count: int, rate: int) -> Samples:
    """Noise below 8 kHz, and a tone that rises through all of it: every sample is unlike those beside it."""
    noise = np.random.default_rng(7).standard_normal(count + 63)
    shape = np.sinc((np.arange(64) - 31.5) / 3) * np.hanning(64)
    time = np.arange(count) / rate
    found: Samples = 0.05 * np.convolve(noise, shape, "valid") + 0.2 * np.sin(2 * np.pi * (200 + 400 * time) * time)
    return found


def make_chunks(folder: Path, kind: Kind, *, sizes: tuple[int, ...] = SIZES) -> tuple[Samples, list[StitchInput]]:
    """The sound of a whole video, and its chunks, each encoded by itself."""
    ends = [round(sum(sizes[: n + 1]) * kind.rate / FPS) for n in range(len(sizes))]
    whole = music(ends[-1], kind.rate)
    room = max(kind.overlap, 0)
    padded = np.concatenate([np.zeros(room), whole, np.zeros(room + max(-kind.cut, 0))])
    parts = []
    for number, (begin, end) in enumerate(zip([0, *ends], ends, strict=False)):
        own = padded[begin + room - kind.overlap : end + room + kind.overlap - kind.cut]
        path = write_chunk(
            folder / f"c{number}{kind.suffix}", kind, own, first=sum(sizes[:number]), count=sizes[number]
        )
        parts.append(accepted(path, sizes[number], f"chunk {number}"))
    return whole, parts


def write_chunk(path: Path, kind: Kind, sound: Samples, *, first: int, count: int) -> Path:
    codec = "libvpx-vp9" if kind.suffix == ".webm" else "libx264"
    plain = write_clip(path.with_stem(f"{path.stem}-plain"), Clip(fps=FPS, codec=codec), start=first, count=count)
    with av.open(str(plain)) as one, av.open(str(path), "w") as two:
        video = two.add_stream_from_template(one.streams.video[0], opaque=True)
        stream = two.add_stream(kind.codec, rate=kind.rate, layout="mono")
        assert isinstance(stream, AudioStream)
        stream.bit_rate = 192_000
        frame = AudioFrame.from_ndarray((sound * 32767).astype(np.int16)[None], format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = kind.rate, -kind.overlap, Fraction(1, kind.rate)
        two.mux(stream.encode(frame))
        two.mux(stream.encode(None))
        for packet in one.demux(video=0):
            if packet.size and packet.pts is not None:
                packet.stream = video
                delay = round(Fraction(kind.picture_delay, 1000) / packet.time_base)
                packet.pts = packet.pts + delay
                packet.dts = None if packet.dts is None else packet.dts + delay
                two.mux(packet)
    if kind.hides_run_in:
        data = bytearray(path.read_bytes())
        at = data.index(b"\x56\xaa")
        data[at : at + 3] = bytes([0xEC, 0x80 | (data[at + 2] & 0x7F) + 1, 0])  # CodecDelay becomes Void
        path.write_bytes(data)
    return path


def join(parts: list[StitchInput], output: Path, order: SoundOrder = FLAC) -> OutputReport:
    report = FfmpegStitcher().stitch(parts, output, fps=FPS, order=order)
    assert read_numbers(output) == list(range(sum(part.frames for part in parts)))
    return report


def decoded(path: Path) -> Samples:
    """All that a player hears."""
    pieces = []
    with av.open(str(path)) as media:
        for frame in media.decode(audio=0):
            data = frame.to_ndarray()[0].astype(float)
            pieces.append(data / {"fltp": 1, "s16": 2**15, "s32": 2**31}[frame.format.name])
    return np.concatenate(pieces)


def lag(wanted: Samples, found: Samples) -> int:
    """By how many samples the second is late."""
    spectrum = np.fft.rfft(found, 2 * len(found)) * np.conj(np.fft.rfft(wanted, 2 * len(wanted)))
    best = int(np.argmax(np.fft.irfft(spectrum)))
    return best if best < len(found) else best - 2 * len(found)


def expect_exact(
    wanted: Samples, found: Samples, *, rate: int, sizes: tuple[int, ...] = SIZES, is_smooth: bool = True
) -> None:
    """Hold a joined sound against the original: as a whole and at every seam, in time and, if asked for, in noise."""
    assert lag(wanted, found[: len(wanted)]) == 0
    noise = np.abs(found[: len(wanted)] - wanted)
    seams = [round(sum(sizes[:n]) * rate / FPS) for n in range(1, len(sizes))]
    away = np.ones(len(wanted), bool)
    away[:2048] = away[-2048:] = False
    for seam in seams:
        near = slice(seam - 1024, seam + 1024)
        assert lag(wanted[near], found[near]) == 0, seam
        away[near] = False
    for seam in seams if is_smooth else ():
        assert noise[seam - 256 : seam + 256].max() <= 1.5 * noise[away].max(), seam


EXACT = {
    "AAC in MP4": Kind(),
    "AAC in MOV": Kind(suffix=".mov"),
    "AAC in MOV at 44.1 kHz": Kind(suffix=".mov", rate=44_100),
    "AAC in Matroska": Kind(suffix=".mkv"),
    "AAC in Matroska as FFmpeg 5 writes it": Kind(suffix=".mkv", picture_delay=21, hides_run_in=True),
    "AAC with an overlap": Kind(overlap=4_800),
    "AAC with an overlap of whole packets": Kind(overlap=4_096, suffix=".mov"),
    "Opus in MP4": Kind("libopus"),
    "Opus in Matroska": Kind("libopus", ".mkv"),
    "Opus in Matroska as FFmpeg 5 writes it": Kind("libopus", ".mkv", picture_delay=7),
    "Opus in WebM": Kind("libopus", ".webm"),
    "Opus in WebM without a CodecDelay": Kind("libopus", ".webm", hides_run_in=True),
    "Opus with an overlap": Kind("libopus", overlap=4_800),
    "MP3 in MP4": Kind("libmp3lame"),
    "FLAC in Matroska": Kind("flac", ".mkv"),
    "ALAC in MOV": Kind("alac", ".mov"),
}


@pytest.mark.parametrize("name", EXACT)
def test_compressed_sound_is_joined_to_the_sample(tmp_path: Path, name: str) -> None:
    """What is decoded of the chunks is as long as the original, nowhere early or late, and no seam is heard.

    Encoders of AAC and MP3 make noise where sound begins or ends at once. With an overlap that is outside of the chunk;
    else the report says so.
    """
    kind = EXACT[name]
    whole, parts = make_chunks(tmp_path, kind)
    report = join(parts, tmp_path / "video.mkv")
    found = decoded(tmp_path / "video.mkv")
    assert len(found) == len(whole)
    is_smooth = kind.overlap > 0 or kind.codec not in {"aac", "libmp3lame"}
    expect_exact(whole, found, rate=kind.rate, is_smooth=is_smooth)
    assert report.audio_codec == "flac"
    assert list(report.warnings) == ([] if is_smooth else [ROUGH])
    if kind.codec in {"flac", "alac"}:
        assert (found * 32768 == (whole * 32767).astype(np.int16)).all()


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm"])
@pytest.mark.parametrize("rate", [48_000, 44_100])
def test_encoded_once_more(tmp_path: Path, suffix: str, rate: int) -> None:
    """Encoded for the whole video, the sound of AAC in chunks is where the original is."""
    sizes = (30, 31, 17)
    whole, parts = make_chunks(tmp_path, Kind(rate=rate, overlap=4_800), sizes=sizes)
    if suffix == ".webm":
        whole, parts = make_chunks(tmp_path, Kind("libopus", ".webm"), sizes=sizes)
        rate = 48_000
    report = join(parts, tmp_path / f"video{suffix}", SoundOrder())
    found = decoded(tmp_path / f"video{suffix}")
    assert len(whole) <= len(found) < len(whole) + 1024  # the last packet of AAC is padded
    expect_exact(whole, found, rate=rate, sizes=sizes)
    assert (report.audio_codec, report.warnings) == ("opus" if suffix == ".webm" else "aac", ())


def test_a_run_in_that_is_not_declared_is_told(tmp_path: Path) -> None:
    """Where nothing says how long the encoder's run-in is, the report says what is heard, once for all chunks."""
    whole, parts = make_chunks(tmp_path, Kind(suffix=".mkv", hides_run_in=True))
    report = join(parts, tmp_path / "video.mkv")
    assert len(decoded(tmp_path / "video.mkv")) == len(whole)
    (said,) = [warning for warning in report.warnings if "longer" not in warning]
    assert said.startswith("The sound of chunk 0 (and of 3 more) does not say how much its encoder put in front")
    assert "MP4 or MOV with edit lists" in said


def test_an_overlap_in_milliseconds_is_told(tmp_path: Path) -> None:
    """Matroska can't say to the sample how far sound reaches over a seam; the report says so."""
    _, parts = make_chunks(tmp_path, Kind(suffix=".mkv", overlap=4_815))
    report = join(parts, tmp_path / "video.mkv")
    (said,) = report.warnings
    assert "Matroska says when to the millisecond alone" in said


@pytest.mark.parametrize(
    ("cut", "said"), [(4_800, "0.100 s shorter; silence"), (-4_800, "0.100 s longer, and was cut")]
)
def test_sound_of_another_length_is_told(tmp_path: Path, cut: int, said: str) -> None:
    """Sound that is shorter or longer than its pictures by more than a packet is named, and moves nothing."""
    whole, parts = make_chunks(tmp_path, Kind(cut=cut))
    report = join(parts, tmp_path / "video.mkv")
    found = decoded(tmp_path / "video.mkv")
    assert len(found) == len(whole)
    assert lag(whole, found) == 0
    assert len(report.warnings) == len(parts) + 1
    assert all(said in warning for warning in report.warnings if warning != ROUGH), report.warnings


def test_a_chunk_without_sound_among_chunks_with_aac(tmp_path: Path) -> None:
    """A chunk without a sound track is silent, exactly as long as its pictures."""
    whole, parts = make_chunks(tmp_path, Kind())
    parts[1] = accepted(tmp_path / "c1-plain.mp4", SIZES[1], "chunk 1")
    report = join(parts, tmp_path / "video.mkv")
    found = decoded(tmp_path / "video.mkv")
    begin, end = (round(sum(SIZES[:n]) * 48_000 / FPS) for n in (1, 2))
    assert not found[begin:end].any()
    assert lag(whole[end:], found[end:]) == 0
    assert report.warnings[0] == "chunk 1: it has no sound track, which other chunks have; silence was put in"
    assert len(report.warnings) == 2


def test_sound_that_begins_late(tmp_path: Path) -> None:
    """A gap in front of a chunk's AAC is silence, as exactly as MP4 has it: to the millisecond."""
    whole, parts = make_chunks(tmp_path, Kind(overlap=-4_801))
    report = join(parts, tmp_path / "video.mkv")
    found = decoded(tmp_path / "video.mkv")
    assert not found[: 4_801 - 1_024 - 48].any()
    seams = [round(sum(SIZES[:n]) * 48_000 / FPS) for n in range(5)]
    for begin, end in pairwise(seams):
        inside = slice(begin + 4_801, end - 4_801)
        assert abs(lag(whole[inside], found[inside])) <= 48
    assert all("shorter" in warning for warning in report.warnings if warning != ROUGH), report.warnings


def test_damaged_sound(tmp_path: Path) -> None:
    """Sound that can't be decoded is the chunk's fault, and named."""
    _, parts = make_chunks(tmp_path, Kind("flac", ".mkv"))
    damage(parts[2].path, 1, sound=True)
    parts[2] = accepted(parts[2].path, parts[2].frames, parts[2].name)
    with pytest.raises(OutputError, match=r"c2.mkv is damaged: its sound at 0.\d+ s can't be decoded"):
        join(parts, tmp_path / "video.mkv")


SBR_DELAY = 481
"""Samples of AAC's core by which the decoder of HE-AAC is late (ISO 14496-3, subpart 4: its filter bank); encoders
count it in the run-in that they state."""


def as_he_aac(plain: Path, path: Path, *, is_implicit: bool) -> Path:
    """Copy a file whose AAC has half the rate as HE-AAC without a note above it: each packet says that there is SBR.

    Explicitly, its header says the doubled rate as well; implicitly, only a decoder finds out.
    """
    with av.open(str(plain)) as one, av.open(str(path), "w") as two:
        streams = [two.add_stream_from_template(stream, opaque=True) for stream in one.streams]
        sound = next(stream for stream in streams if isinstance(stream, AudioStream))
        # AudioSpecificConfig: AAC LC, 24 kHz, mono; and SBR, 24 kHz, mono, 48 kHz, AAC LC.
        sound.codec_context.extradata = bytes.fromhex("1308" if is_implicit else "2b098800")
        for packet in one.demux():
            if packet.size == 0:
                continue
            if packet.stream.type == "audio":
                assert packet.pts is not None
                bits = f"{int.from_bytes(bytes(packet)):b}".zfill(8 * packet.size)
                end = bits.rindex("111")  # the end of the packet's elements; before it goes a fill element with SBR
                bits = f"{bits[:end]}110" + "0010" + "1101" + 12 * "0" + "111"
                bits += "0" * (-len(bits) % 8)
                new: av.Packet[AudioStream] = av.Packet(int(bits, 2).to_bytes(len(bits) // 8))  # type: ignore[assignment]
                new.pts = new.dts = packet.pts - SBR_DELAY
                new.duration, new.time_base, new.is_keyframe = packet.duration, packet.time_base, True
                new.stream = sound
                two.mux(new)
            else:
                packet.stream = streams[packet.stream_index]
                two.mux(packet)
    return path


@pytest.mark.parametrize("is_implicit", [False, True])
@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
def test_he_aac(tmp_path: Path, suffix: str, is_implicit: bool) -> None:
    """Sound whose rate doubles when it is decoded, as its header or its packets say, is joined to the sample."""
    kind = Kind(suffix=suffix, rate=24_000, cut=-2_048)
    whole, parts = make_chunks(tmp_path, kind)
    for number, part in enumerate(parts):
        path = as_he_aac(part.path, tmp_path / f"he{number}{suffix}", is_implicit=is_implicit)
        parts[number] = accepted(path, part.frames, part.name)
    join(parts, tmp_path / "video.mkv")
    with av.open(str(tmp_path / "video.mkv")) as video:
        assert video.streams.audio[0].codec_context.sample_rate == 48_000
    found = decoded(tmp_path / "video.mkv")  # left and right in turn: mono HE-AAC may become stereo at any packet
    assert len(found) == 4 * len(whole)
    expect_exact(whole, found[::4], rate=24_000, is_smooth=False)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_he_aac_is_copied_to_its_place(tmp_path: Path, suffix: str) -> None:
    """The run-in of a sound file in HE-AAC is as long in the video's container."""
    whole, (part,) = make_chunks(tmp_path, Kind(rate=24_000, cut=-2_048), sizes=(60,))
    music_file = as_he_aac(part.path, tmp_path / "he.mp4", is_implicit=False)
    picture = accepted(write_clip(tmp_path / "c.mp4", Clip(fps=FPS), start=0, count=60), 60, "chunk 0")
    output = tmp_path / f"video{suffix}"
    join([picture], output, SoundOrder(file=music_file, codec=SoundCodec.COPY))
    found = decoded(output)[::2]
    assert lag(whole, found[: len(whole)]) == 0
