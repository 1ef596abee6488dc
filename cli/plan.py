"""`helios-job plan`: write a job document from a command template."""

import json
import re
from pathlib import Path

import click

from cli.say import say
from helios.errors import RequestError
from helios.job.planning import content_id, plan_job, split_at, split_by_size, split_evenly
from helios.models.command_template import PLACEHOLDERS
from helios.models.spec import MAX_CHUNKS, MAX_FRAME
from helios.regular_file import open_regular

MAX_LIST_BYTES = 16 * MAX_CHUNKS
"""Of a file of cuts, more than as many numbers as there may be chunks take."""
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
@click.option("--cuts", metavar="FRAMES", help="First frame of each chunk: 0,240,517, or a file that lists them.")
@click.option("--command", required=True, metavar="TEMPLATE", help=f"Command of a chunk, with {KNOWN}.")
@click.option("--output-pattern", required=True, metavar="P", help="Output file of a chunk: "
              "chunk-{index:03d}.mp4; or the images of all: frames/shot_####.exr.")  # fmt: skip
@click.option("--start-frame", default=0, show_default=True, type=click.IntRange(0, MAX_FRAME), help="First frame.")
@click.option("--preroll", default=0, type=click.IntRange(0, MAX_FRAME), help="Frames that a command renders before "
              "its chunk and does not write: {preroll}, and the first of them {preroll_start}.")  # fmt: skip
@click.option("--id", "job_id", metavar="NAME", help="The job's name: later runs reuse its chunks; '' for none. "
              "[default: made of the content]")  # fmt: skip
@click.option("-o", "--out", "out", metavar="FILE", help="Where to write the document; standard output if not given.")
def plan(
    frames: int,
    fps: str,
    size: str,
    chunks: int | None,
    chunk_frames: int | None,
    cuts: str | None,
    command: str,
    output_pattern: str,
    start_frame: int,
    preroll: int,
    job_id: str | None,
    out: str | None,
) -> None:
    """Cut a range of frames into chunks and write the job document for them.

    {end} is one past a chunk's last frame, {last} the last frame itself; {start_time} and {end_time} are the seconds
    from frame 0 to {start} and {end}.
    """
    if [chunks, chunk_frames, cuts].count(None) != 2:
        raise click.UsageError("Give one of --chunks, --chunk-frames and --cuts.")
    if not (found := re.fullmatch(r"(\d{1,9})[x×](\d{1,9})", size)):
        raise click.BadParameter(f"{size!r}; expected width x height in pixels, such as 1280x720", param_hint="--size")
    if cuts is not None:
        sizes = split_at(_listed(cuts), frames=frames, start_frame=start_frame)
    else:
        sizes = split_evenly(frames, chunks=chunks) if chunks else split_by_size(frames, chunk_frames=chunk_frames or 0)
    spec = plan_job(
        sizes,
        fps=fps,
        width=int(found[1]),
        height=int(found[2]),
        command=command,
        output_pattern=output_pattern,
        start_frame=start_frame,
        preroll=preroll,
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


def _listed(cuts: str) -> str:
    """The list itself, or the text of the file that has it."""
    if re.fullmatch(r"[\d\s,]*", cuts):
        return cuts
    try:
        with open_regular(cuts) as file:
            return file.read(MAX_LIST_BYTES).decode(errors="replace")
    except (OSError, ValueError) as exc:
        reason = getattr(exc, "strerror", None) or exc
        raise RequestError(
            f"--cuts {cuts}: no list of frames such as 0,240,517, and no file of one ({reason})"
        ) from None
