"""Joining chunks: our stitcher against ffmpeg's concat demuxer, and against copying the bytes; with few open files."""

import asyncio
import os
import resource
import shutil
import tempfile
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from benchmarks.extent import Extent, Join
from benchmarks.measure import Goal, Run, Table, compare
from examples.orrery.__main__ import render_frames
from helios.media.stitching import FfmpegStitcher, StitchInput
from helios.models.worker import Artifact
from helios.storage.digest import hash_file
from testbed.video import Clip, write_clip

OPEN_FILES = 256
"""The smallest limit that systems have: a stitcher must not hold all chunks open."""
OURS, COPY, FFMPEG = "this stitcher", "copying the bytes", "ffmpeg -f concat -c copy"
FPS = 30


def measure(extent: Extent) -> list[Table]:
    """Measure videos of every size, under `ulimit -n 256`."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, limits[1]))
    try:
        return [asyncio.run(_measure(join, runs=extent.runs)) for join in extent.joins]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


async def _measure(join: Join, *, runs: int) -> Table:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        inputs = _make_chunks(join, folder)
        size = sum(part.path.stat().st_size for part in inputs)
        contestants: dict[str, Run] = {OURS: lambda: _ours(inputs, folder), COPY: lambda: _copy(inputs, folder)}
        if has_ffmpeg := shutil.which("ffmpeg") is not None:
            contestants[FFMPEG] = lambda: _ffmpeg(inputs, folder)
        figures = await compare(contestants, runs=runs, settle=_written)
        frames = _count(folder / "ours.mp4")
    assert frames == join.chunks * join.frames
    width, height = join.size
    title = f"{join.chunks} chunks of {join.frames} frames of {width}×{height} H.264, {size / 1e6:.0f} MB"
    table = Table(title=title, figures=figures, reference=FFMPEG if has_ffmpeg else COPY)
    if not has_ffmpeg:
        return table
    ratio = table.ratio(figures[0]) or 0
    goal = Goal(text=f"stitching {title}: at most 1.2 times ffmpeg's concat", value=ratio, most=1.2)
    return table.model_copy(update={"goals": (goal,)})


def _make_chunks(join: Join, folder: Path) -> list[StitchInput]:
    """Encode one chunk and link it under every name: the content of the pictures does not matter here."""
    source = folder / "source.mp4"
    if join.is_noise:
        _write_noise(source, join)
    elif join.size == (1280, 720):
        render_frames(0, join.frames, str(source))
    else:
        write_clip(source, Clip(width=join.size[0], height=join.size[1]), start=0, count=join.frames)
    digest, size = hash_file(source)
    inputs = []
    for index in range(join.chunks):
        path = folder / f"c{index:05d}.mp4"
        path.hardlink_to(source)
        record = Artifact(url=path.as_uri(), bytes=size, sha256=digest)
        inputs.append(StitchInput(path, join.frames, f"chunk {index}", record))
    return inputs


def _write_noise(path: Path, join: Join) -> None:
    """Write frames of noise, which can't be compressed."""
    width, height = join.size
    random = np.random.default_rng(0)
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=FPS, options={"crf": "23", "preset": "ultrafast", "bf": "2"})
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for _ in range(join.frames):
            pixels = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
            output.mux(stream.encode(VideoFrame.from_ndarray(pixels, format="rgb24")))
        output.mux(stream.encode(None))


async def _ours(inputs: list[StitchInput], folder: Path) -> None:
    report = await asyncio.to_thread(FfmpegStitcher().stitch, inputs, folder / "ours.mp4", fps=Fraction(FPS))
    assert report.frames == sum(part.frames for part in inputs)


async def _ffmpeg(inputs: list[StitchInput], folder: Path) -> None:
    (folder / "list.txt").write_text("".join(f"file {part.path.name}\n" for part in inputs))
    words = "-v error -y -f concat -i list.txt -c copy ffmpeg.mp4"
    process = await asyncio.create_subprocess_exec("ffmpeg", *words.split(), cwd=folder)
    assert await process.wait() == 0


async def _copy(inputs: list[StitchInput], folder: Path) -> None:
    with (folder / "copy").open("wb") as target:
        for part in inputs:
            with part.path.open("rb") as source:
                shutil.copyfileobj(source, target)


async def _written() -> None:
    """Write the last run's data to the disk, for which the next run would wait."""
    await asyncio.to_thread(os.sync)


def _count(video: Path) -> int:
    """Count the frames of a finished video, apart from the stitcher."""
    with av.open(str(video)) as container:
        return sum(packet.size > 0 for packet in container.demux(video=0))
