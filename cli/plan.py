"""`helios-job plan`: write a job document from a command template."""

import json
import re
from pathlib import Path

import click

from cli.say import say
from helios.errors import RequestError
from helios.job.planning import PLACEHOLDERS, content_id, plan_job, split_by_size, split_evenly
from helios.models.spec import MAX_CHUNKS, MAX_FRAME

KNOWN = ", ".join(f"{{{name}}}" for name in PLACEHOLDERS)


@click.command(
    epilog="""Example: helios-job plan --frames 300 --fps 30 --size 1280x720 --chunks 10
    --command 'python -m examples.orrery frames {start} {count} {output}'
    --output-pattern 'chunk-{index:02d}.mp4' -o job.json"""
)
@click.option("--frames", required=True, type=click.IntRange(1, MAX_FRAME), help="Frames of the whole video.")
@click.option("--fps", required=True, help='Frames per second: 30, 29.97, "30000/1001".')
@click.option("--size", required=True, metavar="WxH", help="Pixels, such as 1280x720.")
@click.option("--chunks", type=click.IntRange(1, MAX_CHUNKS), help="Number of chunks, of even length.")
@click.option("--chunk-frames", type=click.IntRange(1, MAX_FRAME), help="Frames of each chunk; the last has the rest.")
@click.option("--command", required=True, metavar="TEMPLATE", help=f"Command of a chunk, with {KNOWN}.")
@click.option("--output-pattern", required=True, metavar="P", help="Output file of a chunk: chunk-{index:03d}.mp4.")
@click.option("--start-frame", default=0, show_default=True, type=click.IntRange(0, MAX_FRAME), help="First frame.")
@click.option("--id", "job_id", metavar="NAME", help="The job's name: later runs reuse its chunks; '' for none. "
              "[default: made of the content]")  # fmt: skip
@click.option("-o", "--out", "out", metavar="FILE", help="Where to write the document; standard output if not given.")
def plan(
    frames: int,
    fps: str,
    size: str,
    chunks: int | None,
    chunk_frames: int | None,
    command: str,
    output_pattern: str,
    start_frame: int,
    job_id: str | None,
    out: str | None,
) -> None:
    """Cut a range of frames into chunks and write the job document for them.

    {end} is one past a chunk's last frame, {last} the last frame itself.
    """
    if (chunks is None) == (chunk_frames is None):
        raise click.UsageError("Give one of --chunks and --chunk-frames.")
    if not (found := re.fullmatch(r"(\d{1,9})[x×](\d{1,9})", size)):
        raise click.BadParameter(f"{size!r}; expected width x height in pixels, such as 1280x720", param_hint="--size")
    sizes = split_evenly(frames, chunks=chunks) if chunks else split_by_size(frames, chunk_frames=chunk_frames or 0)
    spec = plan_job(
        sizes,
        fps=fps,
        width=int(found[1]),
        height=int(found[2]),
        command=command,
        output_pattern=output_pattern,
        start_frame=start_frame,
        job_id=job_id,
    )
    if job_id is None:
        spec = spec.model_copy(update={"id": content_id(spec)})
    text = json.dumps(spec.to_document(), indent=2, ensure_ascii=False) + "\n"
    if out is None:
        say(text.rstrip())
        return
    try:
        Path(out).write_text(text, encoding="utf-8")
    except OSError as exc:
        raise RequestError(f"{out} can't be written: {exc.strerror}; name another file (-o)") from None
