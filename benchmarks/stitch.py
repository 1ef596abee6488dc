"""Joining 200 chunks of 720p: our stitcher against ffmpeg's concat demuxer, and against copying the bytes."""

import asyncio
import shutil
import tempfile
from fractions import Fraction
from pathlib import Path

from benchmarks.measure import compare, table
from examples.orrery.__main__ import render_frames
from helios.stitching import FfmpegStitcher, StitchInput

CHUNKS, FRAMES = 200, 30


async def measure(*, runs: int = 5) -> str:
    """200 chunks of 30 frames of 720p H.264 with B-frames."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        inputs = _make_chunks(folder)
        size = sum(part.path.stat().st_size for part in inputs)
        contestants = {
            "this stitcher": lambda: _ours(inputs, folder),
            "copying the bytes": lambda: _copy(inputs, folder),
        }
        if shutil.which("ffmpeg"):
            contestants["ffmpeg -f concat -c copy"] = lambda: _ffmpeg(inputs, folder)
        figures = await compare(contestants, runs=runs)
    return table(f"Stitching {CHUNKS} chunks of {FRAMES} frames of 720p H.264, {size / 1e6:.0f} MB", figures)


def _make_chunks(folder: Path) -> list[StitchInput]:
    """Encode one chunk and link it under every name: what is in the pictures does not matter here."""
    source = folder / "source.mp4"
    render_frames(0, FRAMES, str(source))
    inputs = []
    for index in range(CHUNKS):
        path = folder / f"c{index:03d}.mp4"
        path.hardlink_to(source)
        inputs.append(StitchInput(path, FRAMES, f"chunk {index}"))
    return inputs


async def _ours(inputs: list[StitchInput], folder: Path) -> None:
    report = await asyncio.to_thread(FfmpegStitcher().stitch, inputs, folder / "ours.mp4", fps=Fraction(30))
    assert report.frames == CHUNKS * FRAMES


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
