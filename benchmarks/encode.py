"""An encode in chunks beside one process: the size at equal quality, and the time beside `xargs` and ffmpeg.

The source is made here: eight scenes of `benchmarks.scenes`, three times as large. All contestants use x264, `medium`;
the chunks' encoders have one thread each, and two run at a time; one process has two threads.
"""

import asyncio
import os
import shlex
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import av
from av.video.stream import VideoStream

from benchmarks.equal_quality import at_quality, in_one, judged, stepped
from benchmarks.extent import Encodes, Extent
from benchmarks.measure import Goal, Run, Table, compare
from benchmarks.meters import ProcessMeter
from benchmarks.real_work import TREE, TREE_SECONDS, VIDEO, WITH_CPU, concatenate, run, until_there
from benchmarks.scenes import KINDS, SCENE_FRAMES, write
from benchmarks.servers import Server, server
from flows.render import render_job
from helios.encode.cutting import Cutting
from helios.encode.recipe import Recipe
from helios.job.source import validate_job_spec
from helios.models import JobSpec
from helios.models.report import JobReport
from tasks.request.encode import EncodeOrder, plan_of
from testbed.jobs import write_job

CRF, AT_ONCE = 23, 2
RECIPE = Recipe("x264", crf=str(CRF), preset="medium", threads=1)
LARGER = 3
KIND = "crowd"
OURS, XARGS = "this flow", "xargs -P over the same chunks, then a concatenation"
ONE, FFMPEG = "one process of our encoder program", "one ffmpeg process"
GOAL = 1.01


def measure(extent: Extent) -> list[Table]:
    """Measure the time, and the size at equal quality."""
    with server() as running:
        return [asyncio.run(_measure(running, runs=extent.runs))]


async def _measure(running: Server, *, runs: int) -> Table:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = _source(folder)
        job_dir = folder / "encode"
        spec = _plan(source, job_dir, cut="scenes")
        whole = _plan(source, folder / "whole", cut=str(sum(SCENE_FRAMES)))
        job = write_job(job_dir, spec.to_document())
        encodes = Encodes(len(spec.chunks), 0, AT_ONCE)
        contestants: dict[str, Run] = {
            OURS: lambda: until_there(job_dir / "video.mp4", _ours(job)),
            XARGS: lambda: until_there(job_dir / "plain.mp4", _xargs(job_dir, spec, encodes)),
            ONE: lambda: until_there(folder / "whole" / whole.chunks[0].output_file, _one(folder / "whole", whole)),
        }
        if ffmpeg := shutil.which("ffmpeg"):
            contestants[FFMPEG] = lambda: until_there(folder / "f.mp4", _ffmpeg(ffmpeg, folder, source))
        figures = await compare(
            contestants, runs=runs, settle=running.settled,
            settled_meters=[ProcessMeter(TREE, os.getpid(), with_children=True)],
        )  # fmt: skip
        ratio, apart, note = await asyncio.to_thread(_at_equal_quality, source, job_dir / "video.mp4", spec)
    xargs = next(figure for figure in figures if figure.name == XARGS)
    cpu = [sum(figure.ratios(xargs, TREE_SECONDS)) / runs for figure in figures]
    more = ", ".join(f"{one.name} {share:.3f}" for one, share in zip(figures, cpu, strict=True) if one is not xargs)
    title = f"{len(spec.chunks)} scenes, {sum(SCENE_FRAMES)} frames of 720×408, x264 medium, {AT_ONCE} at a time"
    return Table(
        title=title, figures=figures, reference=XARGS, ratio_of=VIDEO, columns=WITH_CPU,
        note=f"{note} CPU time of all processes, in proportion to that of xargs: {more}.",
        goals=(
            Goal(text="size at equal XPSNR, beside one process with the same key frames: at most 1 % more",
                 value=ratio, most=GOAL),
            Goal(text="XPSNR at the same crf, beside one process: at most 1 % less", value=apart, most=GOAL),
        ),
    )  # fmt: skip


def _source(folder: Path) -> Path:
    """Write the source, losslessly."""
    write(folder / "small.mp4", KINDS[KIND])
    source = folder / "source.mkv"
    with av.open(str(folder / "small.mp4")) as small, av.open(str(source), "w") as output:
        like = small.streams.video[0]
        video = output.add_stream("ffv1", rate=24)
        assert isinstance(video, VideoStream)
        video.width, video.height, video.pix_fmt = LARGER * like.width, LARGER * like.height, "yuv420p"
        for frame in small.decode(video=0):
            larger = frame.reformat(LARGER * like.width, LARGER * like.height, interpolation="BICUBIC")
            larger.pict_type = 0
            output.mux(video.encode(larger))
        output.mux(video.encode(None))
    return source


def _plan(source: Path, job_dir: Path, *, cut: str) -> JobSpec:
    is_whole = cut != "scenes"
    recipe = replace(RECIPE, threads=AT_ONCE) if is_whole else RECIPE
    bounds = (None, None) if is_whole else (0.5, 20.0)
    order = EncodeOrder(
        source=source, output=Path("video.mp4"), recipe=recipe, cutting=Cutting(cut, *bounds), fps=None, sound="none",
        job_dir=job_dir,
    )  # fmt: skip
    return validate_job_spec(plan_of(order, tell=lambda _: None), source="bench")


async def _ours(job: Path) -> None:
    # Without the fresh start later rounds would reuse what the first one has encoded.
    report = await render_job(str(job), concurrency=AT_ONCE, output_file="video.mp4", fresh=True, overwrite=True)
    assert isinstance(report, JobReport)


async def _xargs(folder: Path, spec: JobSpec, encodes: Encodes) -> None:
    commands = "\0".join(chunk.command for chunk in spec.chunks)
    words = ["xargs", "-0", "-P", str(encodes.at_once), "-I", "{}", "sh", "-c", "{} >/dev/null"]
    await run(folder, *words, data=commands)
    await concatenate(folder, spec)


async def _one(folder: Path, whole: JobSpec) -> None:
    await run(folder, "sh", "-c", f"{whole.chunks[0].command} >/dev/null")


async def _ffmpeg(ffmpeg: str, folder: Path, source: Path) -> None:
    words = f"-v error -y -i {shlex.quote(str(source))} -c:v libx264 -preset medium -crf {CRF} -threads {AT_ONCE} f.mp4"
    await run(folder, ffmpeg, *shlex.split(words))


def _at_equal_quality(source: Path, ours: Path, spec: JobSpec) -> tuple[float, float, str]:
    """The size of an encode in chunks in proportion to that of one process at the same XPSNR; that of the qualities."""
    starts = {chunk.start_frame for chunk in spec.chunks}
    size, quality = judged(source, [ours])
    whole = [judged(source, [in_one(source, starts, each)]) for each in stepped(RECIPE)]
    same, (plain, beside) = at_quality(whole, quality), whole[len(whole) // 2]
    note = (
        f"In chunks: {size:,} bytes of packets at XPSNR {quality:.3f} dB; in one process with the same key frames and "
        f"crf {CRF}: {plain:,} bytes at {beside:.3f} dB, and {same:,.0f} bytes at the same XPSNR."
    )
    return size / same, beside / quality, note
