"""Time from the command to its first chunk, and from the last chunk to the video and to the command's end."""

import asyncio
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import av
import numpy as np
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from benchmarks.extent import Extent
from benchmarks.measure import WALL, Column, Figure, Goal, Run, Table, compare
from benchmarks.servers import server
from examples.orrery.__main__ import render_frames
from testbed.jobs import write_job

FRAMES = 30
FIRST, VIDEO, END = "to_first_chunk", "to_video", "to_end"
IMPORT, BARE = "Python, importing Prefect's flows", "a bare Prefect flow of one task"
BARE_FLOW = """
import asyncio, subprocess, prefect

@prefect.task
async def one():
    subprocess.run(["sh", "-c", "date +%s%N >>stamps"], check=True)

@prefect.flow
async def bare():
    await one()

asyncio.run(bare())
"""


def measure(extent: Extent) -> list[Table]:
    """Measure the command with a server that runs already, and with a server that the command starts."""
    tables = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_sources(folder, extent.start_chunks)
        job = _job(folder, extent.start_chunks)
        # What decoding costs is measured beside real encodes (real_work): here it would be most of the time.
        command = ["helios-job", "run", str(job), "--output", "video.mp4", "--json", "--verify", "container"]
        with server():
            figures = asyncio.run(
                compare(
                    {
                        "helios-job run": lambda: _command(command, folder),
                        BARE: lambda: _bare(folder),
                        IMPORT: lambda: _import(),
                    },
                    runs=extent.runs,
                )
            )
        title = f"{extent.start_chunks} chunks of {FRAMES} frames of 720p, rendered in no time"
        tables.append(_table(title, "a server is there", figures, first=2))
        with tempfile.TemporaryDirectory() as home:
            embedded: dict[str, Run] = {
                "helios-job run": lambda: _command(command, folder, PREFECT_HOME=home),
                BARE: lambda: _bare(folder, PREFECT_HOME=home),
            }
            # The first run makes the database, for which people do not wait every day.
            asyncio.run(_command(command, folder, PREFECT_HOME=home))
            figures = asyncio.run(compare(embedded, runs=extent.runs))
        tables.append(_table(title, "the command starts a server of its own", figures, first=9))
    return tables


def _table(title: str, about: str, figures: tuple[Figure, ...], *, first: float) -> Table:
    columns = (
        Column(measure=FIRST, heading="s to the first chunk"),
        Column(measure=VIDEO, heading="s from the last chunk to the video"),
        Column(measure=END, heading="s from the last chunk to the command's end"),
        Column(measure=WALL, heading="s in all"),
    )
    ours = figures[0]
    goals = (
        Goal(text=f"{about}: first chunk within {first:g} s", value=ours.median(FIRST), most=first),
        Goal(text=f"{about}: video within 1 s of the last chunk", value=ours.median(VIDEO), most=1),
    )
    title = f"{title}; {about}"
    return Table(title=title, figures=figures, reference=BARE, ratio_of=WALL, columns=columns, goals=goals)


def write_sources(folder: Path, chunks: int) -> None:
    """Write the files that the chunks of `_job` copy: `s0.mp4` and on.

    One film, each time moved a little to the side: chunks with the same pictures would be looked at as copies.
    """
    film = folder / "film.mp4"
    render_frames(0, FRAMES, str(film))
    with av.open(str(film)) as opened:
        pictures = [frame.to_ndarray(format="rgb24") for frame in opened.decode(video=0)]
    for n in range(chunks):
        with av.open(str(folder / f"s{n}.mp4"), "w") as output:
            stream = output.add_stream("libx264", rate=30, options={"crf": "16", "preset": "veryfast", "bf": "2"})
            assert isinstance(stream, VideoStream)
            stream.width, stream.height, stream.pix_fmt = 1280, 720, "yuv420p"
            for pixels in pictures:
                output.mux(stream.encode(VideoFrame.from_ndarray(np.roll(pixels, n, axis=1), format="rgb24")))
            output.mux(stream.encode(None))


def _job(folder: Path, chunks: int) -> Path:
    """Write a job whose chunks note when they ran, and copy a file."""
    return write_job(
        folder,
        {
            "metadata": {
                "totalFrames": chunks * FRAMES, "fps": 30, "width": 1280, "height": 720, "duration": float(chunks),
            },
            "chunks": [
                {
                    "id": n,
                    "startFrame": n * FRAMES,
                    "frameCount": FRAMES,
                    "outputFile": f"c{n}.mp4",
                    "command": shlex.join(["sh", "-c", f'date +%s%N >>stamps; cp s{n}.mp4 "$0"', f"c{n}.mp4"]),
                }
                for n in range(chunks)
            ],
        },
    )  # fmt: skip


async def _command(words: list[str], folder: Path, **environment: str) -> dict[str, float]:
    started, ended, said = await _run(words, folder, environment)
    assert json.loads(said)["state"] == "completed"
    stamps = _stamps(folder)
    # The video is renamed at the end, which changes its inode for the last time.
    video = (folder / "video.mp4").stat().st_ctime
    return {FIRST: stamps[0] - started, VIDEO: video - stamps[-1], END: ended - stamps[-1]}


async def _bare(folder: Path, **environment: str) -> dict[str, float]:
    started, ended, _ = await _run([sys.executable, "-c", BARE_FLOW], folder, environment)
    stamps = _stamps(folder)
    return {FIRST: stamps[0] - started, END: ended - stamps[-1]}


async def _import() -> None:
    await asyncio.to_thread(subprocess.run, [sys.executable, "-c", "from prefect import flow, task"], check=True)


async def _run(words: list[str], folder: Path, environment: dict[str, str]) -> tuple[float, float, str]:
    inherited = dict(os.environ)
    if environment:
        for name in ("PREFECT_API_URL", "PREFECT_API_AUTH_STRING"):
            inherited.pop(name, None)
    started = time.time()
    process = await asyncio.create_subprocess_exec(
        *words, cwd=folder, env={**inherited, **environment}, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    said, _ = await process.communicate()
    ended = time.time()
    assert process.returncode == 0, words
    return started, ended, said.decode()


def _stamps(folder: Path) -> list[float]:
    """When the chunks of the last run ran, in order."""
    path = folder / "stamps"
    found = sorted(int(line) / 1e9 for line in path.read_text().split())
    path.unlink()
    return found
