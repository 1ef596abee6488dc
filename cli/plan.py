"""`helios-job plan`: write a job document from a command template, or for a renderer by its name."""

import json
import re
from fractions import Fraction
from pathlib import Path

import click

from cli.plan_lengths import Lengths
from cli.plan_scene import known_scene, plan_without, scene_order
from cli.say import say
from helios.errors import RequestError
from helios.job.planning import as_number, content_id
from helios.job.source import validate_job_spec
from helios.models.command_template import PLACEHOLDERS
from helios.models.frame_numbers import MAX_CHUNKS, MAX_FRAME, MAX_SECONDS
from helios.models.framerate import parse_frame_rate
from helios.models.spec import JobSpec
from helios.renderers.plan import plan_with
from helios.renderers.scene import Said

KNOWN = ", ".join(f"{{{name}}}" for name in PLACEHOLDERS)


@click.command(
    epilog="""Example: helios-job plan --with blender scene.blend -o job.json

    Example: helios-job plan --frames 300 --fps 30 --size 1280x720 --chunks 10
    --command 'python -m examples.orrery frames {start} {count} {output}'
    --output-pattern 'chunk-{index:02d}.mp4' -o job.json"""
)
@click.argument("input_file", metavar="[INPUT]", required=False)
@click.option("--with", "renderer", metavar="NAME", help="The renderer of INPUT: blender, manim, page, remotion, "
              "ffmpeg, python, node, your own (~/.config/helios-job/renderers), or a preset's file.")  # fmt: skip
@click.option("--set", "settings", metavar="NAME=VALUE", multiple=True, help="An option of the renderer; repeatable.")
@click.option("--source", metavar="FILE", help="A video that has the frames, rate and size.")
@click.option("--frames", type=click.IntRange(1, MAX_FRAME), help="Frames of the whole video.")
@click.option("--fps", help='Frames per second: 30, 29.97, "30000/1001".')
@click.option("--size", metavar="WxH", help="Pixels, such as 1280x720.")
@click.option("--chunks", type=click.IntRange(1, MAX_CHUNKS), help="Number of chunks, of even length.")
@click.option("--chunk-frames", type=click.IntRange(1, MAX_FRAME), help="Frames of each chunk; the last has the rest.")
@click.option("--cuts", metavar="FRAMES", help="First frame of each chunk: 0,240,517, or a file that lists them; with "
              "--emit-template, of each scene.")  # fmt: skip
@click.option("--emit-template", is_flag=True, help="Write a template in place of chunks (with --target-seconds or "
              "--chunk-frames).")  # fmt: skip
@click.option("--target-seconds", metavar="N", type=click.FloatRange(0, MAX_SECONDS, min_open=True), help="Have the "
              "run cut chunks that take so long, start-up included.")  # fmt: skip
@click.option("--shortest", type=click.IntRange(1, MAX_FRAME), help="Fewest frames of a chunk of a template.")
@click.option("--longest", type=click.IntRange(1, MAX_FRAME), help="Most frames of a chunk of a template.")
@click.option("--command", metavar="TEMPLATE", help=f"Command of a chunk, with {KNOWN}.")
@click.option("--output-pattern", metavar="P", help="Output file of a chunk: "
              "chunk-{index:03d}.mp4; or the images of all: frames/shot_####.exr.")  # fmt: skip
@click.option("--no-video", is_flag=True, help="Images are the result: no video is made of them.")
@click.option("--start-frame", type=click.IntRange(0, MAX_FRAME), help="First frame. [default: 0, or the scene's]")
@click.option("--preroll", default=0, type=click.IntRange(0, MAX_FRAME), help="Frames that a command renders before "
              "its chunk and does not write: {preroll}, and the first of them {preroll_start}.")  # fmt: skip
@click.option("--id", "job_id", metavar="NAME", help="The job's name: later runs reuse its chunks; '' for none. "
              "[default: made of the content]")  # fmt: skip
@click.option("-o", "--out", "out", metavar="FILE", help="Where to write the document; standard output if not given.")
def plan(
    input_file: str | None,
    renderer: str | None,
    settings: tuple[str, ...],
    source: str | None,
    frames: int | None,
    fps: str | None,
    size: str | None,
    chunks: int | None,
    chunk_frames: int | None,
    cuts: str | None,
    emit_template: bool,
    target_seconds: float | None,
    shortest: int | None,
    longest: int | None,
    command: str | None,
    output_pattern: str | None,
    no_video: bool,
    start_frame: int | None,
    preroll: int,
    job_id: str | None,
    out: str | None,
) -> None:
    """Cut a range of frames into chunks and write the job document for them.

    With a renderer, INPUT itself is asked for frames, rate and size; --source reads them from a video. What you say
    wins.

    {end} is one past a chunk's last frame, {last} the last frame itself; {start_time} and {end_time} are the seconds
    from frame 0 to {start} and to {end}.
    """
    wanted = Lengths(chunks, chunk_frames, cuts, emit_template, target_seconds, shortest, longest)
    wanted.check(has_usual=renderer is not None)
    said = Said(frames=frames, start_frame=start_frame, fps=_rate(fps), size=_pixels(size))
    order = scene_order(renderer, input_file, settings, document=out)
    is_images = no_video and (order is None or order.writes_images(output_pattern))
    scene = known_scene(order, said, source=source, images_alone=is_images).told(said)
    if (missing := scene.missing) is not None:
        or_name = "" if renderer else ", or name a video (--source) or a renderer that asks (--with)"
        raise click.UsageError(f"Give {missing}{or_name}.")
    sizes, lengths = wanted.of(scene)
    if order is None:
        spec = plan_without(
            scene, sizes, command=command, output_pattern=output_pattern, preroll=preroll, lengths=lengths
        )
    else:
        spec = plan_with(
            order.found.preset,
            scene,
            sizes,
            input_file=order.input_file,
            options=order.options,
            command=command,
            output_pattern=output_pattern,
            preroll=preroll,
            no_video=no_video,
            lengths=lengths,
        )
    name = content_id(spec) if job_id is None else job_id
    _write(validate_job_spec({**spec.to_document(), "id": name}, source="plan"), out)


def _write(spec: JobSpec, out: str | None) -> None:
    text = json.dumps(spec.to_document(), indent=2, ensure_ascii=False) + "\n"
    if out is None:
        say(text.rstrip())
        return
    try:
        Path(out).write_text(text, encoding="utf-8")
    except OSError as exc:
        raise RequestError(f"{out} can't be written: {exc.strerror}; name another file (-o)") from None


def _rate(fps: str | None) -> Fraction | None:
    try:
        return None if fps is None else parse_frame_rate(as_number(fps))
    except ValueError as exc:
        raise RequestError(f"{fps[:40] if fps else fps!r} is no frame rate; expected {exc}") from None


def _pixels(size: str | None) -> tuple[int, int] | None:
    if size is None:
        return None
    if not (found := re.fullmatch(r"(\d{1,9})[x×](\d{1,9})", size)):
        raise click.BadParameter(f"{size!r}; expected width x height in pixels, such as 1280x720", param_hint="--size")
    return int(found[1]), int(found[2])
