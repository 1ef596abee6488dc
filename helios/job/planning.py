"""Cut a range of frames into chunks and write the job document for them."""

import hashlib
import json
import re
import shlex
from collections.abc import Mapping, Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Any

from helios.bounded_json import MAX_DIGITS
from helios.errors import RequestError
from helios.job.source import validate_job_spec
from helios.models.command_line import split_command
from helios.models.command_template import Value, chunk_values, fill, fill_some, placeholders_in
from helios.models.frame_numbers import MAX_CHUNKS
from helios.models.framerate import parse_frame_rate
from helios.models.image_pattern import image_pattern
from helios.models.outputs import KNOWN, OTHER_IMAGES
from helios.models.spec import JobSpec

_CUT = re.compile(r"\d{1,9}", re.ASCII)
_OF_RANGES = {"start", "count", "end", "last", "output"}
"""Names that can be filled for a part of a chunk."""


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


def split_at(cuts: str, *, frames: int, start_frame: int = 0) -> list[int]:
    """Cut `frames` where a list says so.

    Args:
        cuts: The first frame of each chunk, in order, apart by commas or white space: "0, 240, 517". The first chunk
            begins with the first frame, whether the list names it or not.
        frames: Frames of the job, which the list does not name the end of.
        start_frame: The job's first frame; the list counts as the job does.

    Raises:
        RequestError: Something in the list is no frame of the job, or not after the one before it.
    """
    end = start_frame + frames
    starts = [start_frame]
    for number, word in enumerate(re.split(r"[\s,]+", cuts.strip(" \t\r\n,"))):
        frame = int(word) if _CUT.fullmatch(word) else -1
        if not start_frame <= frame < end:
            raise RequestError(f"The cut {word[:40]!r} is not a frame of the job; expected {start_frame} to {end - 1}")
        if number and frame <= starts[-1]:
            raise RequestError(
                f"The cut {frame} does not come after {starts[-1]}; write each first frame once, in order"
            )
        if frame > starts[-1]:
            starts.append(frame)
    if len(starts) > MAX_CHUNKS:
        raise RequestError(f"{len(starts)} chunks; expected at most {MAX_CHUNKS}: leave cuts out")
    return [after - before for before, after in pairwise([*starts, end])]


def plan_job(
    sizes: list[int],
    *,
    fps: str,
    width: int,
    height: int,
    command: str,
    output_pattern: str,
    start_frame: int = 0,
    preroll: int = 0,
    job_id: str | None = None,
    names: Mapping[str, str] = MappingProxyType({}),
    parts: Sequence[tuple[int, int]] = (),
    lengths: Mapping[str, Any] | None = None,
) -> JobSpec:
    """Write a job of consecutive chunks from templates.

    Args:
        sizes: Frames of each chunk.
        fps: Frames per second: "30", "29.97", "30000/1001".
        width: Pixels.
        height: Pixels.
        command: Template of each chunk's command, quoted as for a shell; see `command_template.PLACEHOLDERS`. A value
            fills its place in a word, whatever characters it has. `{{` and `}}` are braces.
        output_pattern: Template of each chunk's output file, `{index:04d}` for one. A pattern of images, such as
            `shot_####.exr`, may be the same for all chunks.
        start_frame: First frame of the job.
        preroll: Frames that a command renders before its chunk, as a simulation needs to arrive at its state; fewer
            where the chunk begins less than that after frame 0.
        job_id: The job's name, by which later runs reuse its accepted chunks; None for none.
        names: Further names that templates may use, the same in each chunk.
        parts: The first and the last part of each chunk, for `{first_part}` and `{last_part}`; none where a renderer
            has no parts.
        lengths: How long chunks are, as a document's `template` says it: then the document has a template in place of
            chunks, and `sizes` say how many frames there are.

    Raises:
        SpecError: The outcome is not a sound job.
        RequestError: A template names an unknown placeholder, or the rate is none.
    """
    try:
        rate = parse_frame_rate(as_number(fps))
    except ValueError as exc:
        raise RequestError(f"{fps[:40]!r} is no frame rate; expected {exc}") from None
    try:
        words = split_command(command)
    except ValueError as exc:
        raise RequestError(f"The command {command!r} can't be split into words: {exc}") from None
    total = sum(sizes)
    metadata = {"totalFrames": total, "fps": as_number(fps), "width": width, "height": height, "duration": 1.0}
    if lengths is not None:
        named = {"command": shlex.join(fill_some(word, names) for word in words) if names else command,
                 "outputFile": fill_some(output_pattern, names)}  # fmt: skip
        template = {**named, "startFrame": start_frame, "preroll": preroll, **lengths}
        return _sound({"metadata": metadata, "template": template, "id": job_id})
    chunks = _planned(sizes, words, rate, start_frame=start_frame, preroll=preroll, output_pattern=output_pattern,
                      names=names, parts=parts)  # fmt: skip
    if len(chunks) > 1 and chunks[0]["outputFile"] == chunks[1]["outputFile"] and not _is_sequence(output_pattern):
        raise RequestError(_one_file_for_all(output_pattern))
    document = {"metadata": metadata, "chunks": chunks, "id": job_id}
    of_ranges = shlex.join(fill_some(word, names) for word in words) if names else command
    if _is_sequence(output_pattern) and _takes_ranges(of_ranges):
        document["rangeCommand"] = of_ranges
    return _sound(document)


def _planned(
    sizes: Sequence[int],
    words: Sequence[str],
    rate: Fraction,
    *,
    start_frame: int,
    preroll: int,
    output_pattern: str,
    names: Mapping[str, str],
    parts: Sequence[tuple[int, int]],
) -> list[dict[str, Any]]:
    """The chunks of a document; arguments as `plan_job`."""
    frame, chunks = start_frame, []
    for index, count in enumerate(sizes):
        values: dict[str, Value] = dict(names)
        values |= chunk_values(frame, count, rate=rate, index=index, preroll=preroll)
        if parts:
            values["first_part"], values["last_part"] = parts[index]
        output = _fill(output_pattern, values)
        values["output"] = output
        argv = [_fill(word, values) for word in words]
        chunks.append({
            "id": index, "startFrame": frame, "frameCount": count, "outputFile": output, "command": shlex.join(argv),
        })  # fmt: skip
        frame += count
    return chunks


def _sound(document: Mapping[str, Any]) -> JobSpec:
    """Validate a document, and write its duration.

    Raises:
        SpecError: It is not sound.
    """
    spec = validate_job_spec(document, source="plan")
    duration = float(spec.metadata.total_frames / spec.metadata.fps)
    return spec.model_copy(update={"metadata": spec.metadata.model_copy(update={"duration": duration})})


def _one_file_for_all(output_pattern: str) -> str:
    """Say what is wrong with a template that gives every chunk the same file, which is no sequence."""
    file, named = PurePosixPath(output_pattern), f"The output pattern {output_pattern!r}"
    try:
        images = image_pattern(output_pattern)
    except ValueError as exc:
        return f"{named} can't name images; expected {exc}"
    if images is not None:
        example = file.with_name(f"{file.stem}_####{file.suffix}")
        return f"{named} gives every image the same file; put its frame's number in it: {example}"
    if file.suffix.lower() in OTHER_IMAGES:
        return f"{named} is of images that are not verified here; expected one of {KNOWN}, or a video"
    example = file.with_name(f"{file.stem}-{{index:04d}}{file.suffix}")
    return f"{named} gives every chunk the same file; put the chunk's number in it: {example}"


def _is_sequence(output_pattern: str) -> bool:
    """Whether a template names images with their frames' numbers."""
    try:
        found = image_pattern(output_pattern)
    except ValueError:
        return False  # refused with the document
    return found is not None and found.digits is not None


def _takes_ranges(command: str) -> bool:
    """Whether a template's command can render a part of a chunk's frames."""
    names = set(placeholders_in(command))
    return "start" in names and bool(names & {"count", "end", "last"}) and names <= _OF_RANGES


def content_id(spec: JobSpec) -> str:
    """A job's name that is made of its document: the same plan is the same job."""
    return "plan-" + hashlib.sha256(json.dumps(spec.to_document(), sort_keys=True).encode()).hexdigest()[:12]


def as_number(fps: str) -> float | int | str:
    """A rate as JSON would have it, so that "29.97" means what 29.97 means."""
    try:
        if len(fps) > MAX_DIGITS:
            return fps  # refused with the document
        return int(fps) if fps.strip().isdigit() else float(fps)
    except ValueError:
        return fps


def _fill(template: str, values: Mapping[str, Value]) -> str:
    try:
        return fill(template, values)
    except ValueError as exc:
        raise RequestError(str(exc)) from None
