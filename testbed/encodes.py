"""Sources to encode, and an encode from the first look to the joined video, without Prefect."""

import hashlib
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate
from pathlib import Path
from typing import Any

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from helios.encode.chunk import encode_chunk
from helios.encode.cutting import Cutting
from helios.encode.priority import same_priority
from helios.encode.program import parser, range_of
from helios.encode.recipe import Recipe
from helios.job.source import validate_job_spec
from helios.media.sound_order import CHUNKS_OWN
from helios.media.source_file import FromSource
from helios.media.stitching import FfmpegStitcher
from helios.models.report import OutputReport
from helios.models.spec import JobSpec
from tasks.request.encode import EncodeOrder, plan_of
from tasks.request.source_order import wanted_sound
from testbed.video import accepted, paint, tone

LOSSLESS = Recipe(codec="ffv1")


@dataclass(frozen=True)
class Film:
    """How a source looks: numbered frames, in scenes that differ in their colors."""

    fps: Fraction = Fraction(30)
    frames: int = 60
    steps: Sequence[int] | None = None
    """Ticks of 1/90000 s from each frame to the next, for a source without a constant rate."""
    codec: str = "libx264"
    options: tuple[tuple[str, str], ...] = (
        ("x264-params", "keyint=16:bframes=3:open-gop=1:scenecut=0:log-level=error"),
    )
    pixel_format: str = "yuv420p"
    size: tuple[int, int] = (64, 64)
    scene_frames: int = 25
    """Frames of a scene."""
    start: Fraction = Fraction(0)
    """Seconds at which the first frame is shown."""
    sound: tuple[str, ...] = ()
    """Codecs of sound tracks: each a sine of 440 Hz that begins with the first frame."""
    color: tuple[int, int, int, int] = (0, 2, 2, 2)
    """Range, primaries, transfer and matrix."""
    tags: tuple[tuple[str, str], ...] = ()
    chapters: tuple[tuple[float, str], ...] = ()
    """Where each begins, in seconds, and its title."""


def picture(film: Film, number: int) -> VideoFrame:
    """A numbered frame, in its scene's color."""
    pixels = paint(number, width=film.size[0], height=film.size[1])
    pixels[..., 1 + number // film.scene_frames % 2] //= 2 + number // film.scene_frames % 3
    return VideoFrame.from_ndarray(pixels, format="rgb24")


def write_film(path: Path, film: Film, **container: Any) -> Path:
    """Write a source; its extension chooses the container."""
    tick = Fraction(1, 90_000) if film.steps is not None else 1 / film.fps
    stamps = [0, *accumulate(film.steps)] if film.steps is not None else range(film.frames + 1)
    begin = round(film.start / tick)
    with same_priority(), av.open(str(path), "w", **container) as output:
        output.metadata.update(dict(film.tags))
        video = output.add_stream(film.codec, rate=film.fps, options=dict(film.options))
        assert isinstance(video, VideoStream)
        (video.width, video.height), video.pix_fmt = film.size, film.pixel_format
        context = video.codec_context
        context.time_base, context.thread_count = tick, 1
        context.color_range, context.color_primaries, context.color_trc, context.colorspace = film.color
        tracks = [_sound_track(output, codec) for codec in film.sound]
        _write_chapters(output, film)
        for number in range(film.frames):
            frame = picture(film, number)
            frame.pts, frame.time_base = begin + stamps[number], tick
            output.mux(video.encode(frame))
        output.mux(video.encode(None))
        for track in tracks:
            samples = tone(0, round(stamps[film.frames] * tick * 48_000), rate=48_000)
            audio = AudioFrame.from_ndarray(samples, format="s16", layout="mono")
            audio.sample_rate, audio.pts = 48_000, round(film.start * 48_000)
            output.mux(track.encode(audio))
            output.mux(track.encode(None))
    return path


def _sound_track(output: av.container.OutputContainer, codec: str) -> AudioStream:
    track = output.add_stream(codec, rate=48_000, layout="mono")
    assert isinstance(track, AudioStream)
    track.metadata["language"] = "deu"
    return track


def _write_chapters(output: av.container.OutputContainer, film: Film) -> None:
    starts = [start for start, _ in film.chapters]
    if starts:
        end = float(film.frames / film.fps)
        output.set_chapters([
            {"id": number, "start": round(start * 1000), "end": round(until * 1000), "time_base": Fraction(1, 1000),
             "metadata": {"title": title}}
            for number, ((start, title), until) in enumerate(zip(film.chapters, [*starts[1:], end], strict=True), 1)
        ])  # fmt: skip


def encode(
    source: Path,
    output: Path,
    *,
    recipe: Recipe = LOSSLESS,
    cut: str = "scenes",
    shortest: float | None = 0.3,
    longest: float | None = None,
    fps: Fraction | None = None,
    sound: str = "copy",
) -> tuple[JobSpec, OutputReport, list[str]]:
    """Plan an encode, encode each chunk as its command says, and join them.

    Returns:
        The job, the report of the video, and the table of what goes where.
    """
    folder = output.parent / f"{output.name}.encode"
    lines: list[str] = []
    order = EncodeOrder(
        source=source, output=output, recipe=recipe, cutting=Cutting(cut, shortest, longest), fps=fps, sound=sound,
        job_dir=folder,
    )  # fmt: skip
    spec = validate_job_spec(plan_of(order, tell=lines.append), source="test")
    inputs = []
    for chunk in spec.ordered_chunks:
        words = parser().parse_args(shlex.split(chunk.command)[1:])
        encode_chunk(
            folder / words.source, folder / words.output, part=range_of(words), recipe=Recipe.from_words(vars(words))
        )
        inputs.append(accepted(folder / words.output, chunk.frame_count, f"chunk {chunk.id}"))
    asked = wanted_sound(CHUNKS_OWN, spec)
    from_source = FromSource(spec.source, folder / spec.source.file) if spec.source else None
    report = FfmpegStitcher().stitch(
        inputs, output, fps=spec.metadata.fps, source=from_source,
        order=asked if asked.file is None else type(asked)(**{**vars(asked), "file": source}),
    )  # fmt: skip
    return spec, report, lines


def decoded(path: Path) -> list[tuple[Fraction, str]]:
    """Each frame of a video: its time in seconds, counted from the first one, and a digest of its picture."""
    with av.open(str(path)) as video:
        tick = video.streams.video[0].time_base or Fraction(1)
        found = []
        for frame in video.decode(video=0):
            planes = frame.reformat(format="yuv444p").to_ndarray()
            found.append(((frame.pts or 0) * tick, hashlib.sha256(planes.tobytes()).hexdigest()))
    return [(time - found[0][0], digest) for time, digest in found]
