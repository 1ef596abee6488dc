"""Real video for tests: small numbered frames written with FFmpeg's libraries, and read back from pixels."""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from helios.encode.priority import same_priority
from helios.media.accepted_file import StitchInput
from helios.models.worker import Artifact
from helios.storage.digest import hash_file

BITS = 16
"""A frame shows its number as 16 squares, white for 1, in four rows of four."""


@dataclass(frozen=True)
class Clip:
    """How a test's chunks look; the defaults are a small H.264 file with B-frames."""

    fps: Fraction = Fraction(30)
    width: int = 64
    height: int = 64
    codec: str = "libx264"
    pixel_format: str = "yuv420p"
    options: Mapping[str, str] | None = None
    sample_rate: int | None = None
    """Adds sound of this rate in Hz: a sine whose phase continues over the whole job."""
    audio_codec: str = "pcm_s16le"


def paint(number: int, *, width: int, height: int) -> NDArray[np.uint8]:
    """Draw a frame that shows its number; shape (height, width, 3), RGB."""
    bits = np.array([(number >> bit) & 1 for bit in range(BITS)], dtype=np.uint8).reshape(4, 4)
    rows = np.arange(height) * 4 // height
    columns = np.arange(width) * 4 // width
    gray = bits[rows][:, columns] * 255
    return np.repeat(gray[:, :, None], 3, axis=2).astype(np.uint8)


def read_number(frame: VideoFrame) -> int:
    """Read the number back from the middles of the squares."""
    gray = frame.to_ndarray(format="gray")
    height, width = gray.shape
    number = 0
    for bit in range(BITS):
        row, column = divmod(bit, 4)
        if gray[(2 * row + 1) * height // 8, (2 * column + 1) * width // 8] > 127:
            number |= 1 << bit
    return number


def tone(start: int, count: int, *, rate: int) -> NDArray[np.int16]:
    """Samples `[start, start + count)` of a 440 Hz sine at half volume, shape (1, count)."""
    time = np.arange(start, start + count) / rate
    return (np.sin(2 * np.pi * 440 * time) * 16384).astype(np.int16)[None, :]


def write_clip(path: Path, clip: Clip, *, start: int, count: int, zero: int = 0) -> Path:
    """Write frames `[start, start + count)`, numbered so, as one file.

    Args:
        path: The file; its extension chooses the container.
        clip: Size, rate, codec, sound.
        start: First frame's number.
        count: Number of frames.
        zero: Number of the job's first frame, where its sound begins.
    """
    with same_priority(), av.open(str(path), "w") as output:
        video = output.add_stream(clip.codec, rate=clip.fps, options=dict(clip.options or {}))
        assert isinstance(video, VideoStream)
        video.width, video.height, video.pix_fmt = clip.width, clip.height, clip.pixel_format
        video.codec_context.time_base = 1 / clip.fps
        video.codec_context.thread_count = 1
        sound: AudioStream | None = None
        if clip.sample_rate is not None:
            stream = output.add_stream(clip.audio_codec, rate=clip.sample_rate, layout="mono")
            assert isinstance(stream, AudioStream)
            sound = stream
        for index in range(count):
            pixels = paint(start + index, width=clip.width, height=clip.height)
            frame = VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = index, 1 / clip.fps
            output.mux(video.encode(frame))
        for packet in video.encode(None):
            if count == 1:
                packet.dts = packet.pts  # libx265 gives a single frame a decoding time that it never set
            output.mux(packet)
        if sound is not None and clip.sample_rate is not None:
            first = round((start - zero) * clip.sample_rate / clip.fps)
            last = round((start + count - zero) * clip.sample_rate / clip.fps)
            samples = tone(first, last - first, rate=clip.sample_rate)
            audio = AudioFrame.from_ndarray(samples, format="s16", layout="mono")
            audio.sample_rate, audio.pts = clip.sample_rate, 0
            output.mux(sound.encode(audio))
            output.mux(sound.encode(None))
    return path


def damage(path: Path, number: int, *, sound: bool = False) -> int:
    """Overwrite the second half of a packet with zeros; the file keeps its size, its index and its time stamps.

    Args:
        path: A video file.
        number: Number of the packet in the file, counted from 0; negative from the end.
        sound: Damage a packet of the sound track, not of the video.

    Returns:
        The index of its frame in the order shown.
    """
    with av.open(str(path)) as media:
        stream = media.streams.audio[0] if sound else media.streams.video[0]
        packets = [packet for packet in media.demux(stream) if packet.size]
    stamps = sorted(packet.pts or 0 for packet in packets)
    packet, data = packets[number], bytearray(path.read_bytes())
    assert packet.pos is not None
    start = data.index(bytes(packet), packet.pos)  # in Matroska a header comes before the data
    half = packet.size // 2
    data[start + half : start + packet.size] = bytes(packet.size - half)
    path.write_bytes(data)
    return stamps.index(packet.pts or 0)


def write_tone(path: Path, *, seconds: float, rate: int = 48000) -> Path:
    """Write a sound file of a 440 Hz sine."""
    with av.open(str(path), "w") as output:
        stream = output.add_stream("pcm_s16le", rate=rate, layout="mono")
        assert isinstance(stream, AudioStream)
        audio = AudioFrame.from_ndarray(tone(0, round(seconds * rate), rate=rate), format="s16", layout="mono")
        audio.sample_rate, audio.pts = rate, 0
        output.mux(stream.encode(audio))
        output.mux(stream.encode(None))
    return path


def read_frames(path: Path) -> list[tuple[int, Fraction]]:
    """Decode a video: each frame's number, and its time in seconds."""
    with av.open(str(path)) as video:
        tick = video.streams.video[0].time_base or Fraction(1)
        return [(read_number(frame), (frame.pts or 0) * tick) for frame in video.decode(video=0)]


def read_numbers(path: Path) -> list[int]:
    """Decode a video: the number in each frame's pixels, in the order shown."""
    return [number for number, _ in read_frames(path)]


def read_sound(path: Path, *, rate: int) -> NDArray[np.float32]:
    """Decode a file's sound to mono samples at `rate`, shape (n,), each in [-1, 1].

    Samples that the container marks as the encoder's run-in are left out, as a player leaves them out.
    """
    with av.open(str(path)) as media:
        resampler = av.AudioResampler(format="flt", layout="mono", rate=rate)
        pieces: list[NDArray[np.float32]] = []
        for frame in media.decode(audio=0):
            pieces.extend(part.to_ndarray()[0].astype(np.float32) for part in resampler.resample(frame))
        pieces.extend(part.to_ndarray()[0].astype(np.float32) for part in resampler.resample(None))
    return np.concatenate(pieces)


def accepted(path: Path, frames: int, name: str) -> StitchInput:
    """A file as the join gets it: an accepted output, with its size and its digest on record."""
    digest, size = hash_file(path)
    return StitchInput(path, frames, name, Artifact(url=path.absolute().as_uri(), bytes=size, sha256=digest))
