"""Cut a range of frames into chunks and write the job document for them."""

import hashlib
import json
import re
import shlex
import string
from pathlib import PurePosixPath

from helios.bounded_json import MAX_DIGITS
from helios.errors import RequestError
from helios.job.source import validate_job_spec
from helios.models.command_line import split_command
from helios.models.spec import MAX_CHUNKS, JobSpec

PLACEHOLDERS = ("start", "count", "end", "last", "output", "index")
"""The names that a command template may use.

start: first frame. count: number of frames. end: one past the last frame. last: the last frame.
output: the chunk's output file. index: the chunk's number, from 0.
"""

_FORM = re.compile(r"[<>^=+-]?0?\d{0,2}[dx]?")
"""How a value may be written: a width of millions of characters would be made."""


def split_evenly(frames: int, *, chunks: int) -> list[int]:
    """Cut `frames` into `chunks` parts that differ by one frame at most, the longer ones first.

    Raises:
        RequestError: Fewer frames than chunks, or fewer than one of either.
    """
    if not 1 <= chunks <= min(frames, MAX_CHUNKS):
        raise RequestError(f"{chunks} chunks of {frames} frames; expected 1 to {min(max(frames, 1), MAX_CHUNKS)}")
    size, longer = divmod(frames, chunks)
    return [size + 1] * longer + [size] * (chunks - longer)


def split_by_size(frames: int, *, chunk_frames: int) -> list[int]:
    """Cut `frames` into parts of `chunk_frames`; the last one holds the rest.

    Raises:
        RequestError: Fewer than one of either, or too many chunks.
    """
    if chunk_frames < 1 or frames < 1:
        raise RequestError(f"Chunks of {chunk_frames} of {frames} frames; expected at least 1 of each")
    full, rest = divmod(frames, chunk_frames)
    if full + bool(rest) > MAX_CHUNKS:
        raise RequestError(f"{full + bool(rest)} chunks; expected at most {MAX_CHUNKS}: make them longer")
    return [chunk_frames] * full + ([rest] if rest else [])


def plan_job(
    sizes: list[int],
    *,
    fps: str,
    width: int,
    height: int,
    command: str,
    output_pattern: str,
    start_frame: int = 0,
    job_id: str | None = None,
) -> JobSpec:
    """Write a job of consecutive chunks from templates.

    Args:
        sizes: Frames of each chunk.
        fps: Frames per second: "30", "29.97", "30000/1001".
        width: Pixels.
        height: Pixels.
        command: Template of each chunk's command, quoted as for a shell; see `PLACEHOLDERS`. A value
            fills its place in a word, whatever characters it has. `{{` and `}}` are braces.
        output_pattern: Template of each chunk's output file, `{index:04d}` for one.
        start_frame: First frame of the job.
        job_id: The job's name, by which later runs reuse its accepted chunks; None for none.

    Raises:
        SpecError: The outcome is not a sound job.
        RequestError: A template names an unknown placeholder.
    """
    try:
        words = split_command(command)
    except ValueError as exc:
        raise RequestError(f"The command {command!r} can't be split into words: {exc}") from None
    frame, chunks = start_frame, []
    for index, count in enumerate(sizes):
        values: dict[str, int | str] = {
            "start": frame, "count": count, "end": frame + count, "last": frame + count - 1, "index": index,
        }  # fmt: skip
        output = _fill(output_pattern, values)
        values["output"] = output
        argv = [_fill(word, values) for word in words]
        chunks.append({
            "id": index, "startFrame": frame, "frameCount": count, "outputFile": output, "command": shlex.join(argv),
        })  # fmt: skip
        frame += count
    if len(chunks) > 1 and chunks[0]["outputFile"] == chunks[1]["outputFile"]:
        example = PurePosixPath(output_pattern)
        raise RequestError(
            f"The output pattern {output_pattern!r} gives every chunk the same file; "
            f"put the chunk's number in it: {example.with_name(example.stem + '-{index:04d}' + example.suffix)}"
        )
    total = frame - start_frame
    metadata = {"totalFrames": total, "fps": _as_number(fps), "width": width, "height": height, "duration": 1.0}
    document = {"metadata": metadata, "chunks": chunks, "id": job_id}
    spec = validate_job_spec(document, source="plan")
    duration = float(total / spec.metadata.fps)
    return spec.model_copy(update={"metadata": spec.metadata.model_copy(update={"duration": duration})})


def content_id(spec: JobSpec) -> str:
    """A job's name that is made of its document: the same plan is the same job."""
    return "plan-" + hashlib.sha256(json.dumps(spec.to_document(), sort_keys=True).encode()).hexdigest()[:12]


def _as_number(fps: str) -> float | int | str:
    """A rate as JSON would have it, so that "29.97" means what 29.97 means."""
    try:
        if len(fps) > MAX_DIGITS:
            return fps  # refused with the document
        return int(fps) if fps.strip().isdigit() else float(fps)
    except ValueError:
        return fps


def _fill(template: str, values: dict[str, int | str]) -> str:
    known = ", ".join(f"{{{name}}}" for name in PLACEHOLDERS if name in values)
    try:
        fields = [field for field in string.Formatter().parse(template) if field[1] is not None]
        names = [str(name) for _, name, _, _ in fields]
        if wrong := next((form for *_, form, _ in fields if form and not _FORM.fullmatch(form)), None):
            raise ValueError(f"{wrong[:40]!r} is no form of a number; expected one such as 04d")
        if unknown := next((name for name in names if name not in values), None):
            raise RequestError(
                f"{template!r}: {{{unknown}}} is not known here. Known: {known}. Write {{{{ for a brace."
            )
        return template.format_map(values)
    except (ValueError, KeyError, IndexError) as exc:
        raise RequestError(f"{template!r} is not a template ({exc}). Known: {known}. Write {{{{ for a brace.") from None
