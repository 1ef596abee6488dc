"""Write the job document of an encode: a chunk for each range of pictures, each with its own command."""

from __future__ import annotations

import hashlib
import json
import shlex
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from helios.encode.analysis import Analysis
from helios.encode.chunk import Range, encode_chunk
from helios.encode.filters import RUN_IN
from helios.encode.recipe import Recipe
from helios.encode.sampling import Sampling
from helios.errors import RequestError
from helios.job.source import validate_job_spec
from helios.models.framerate import write_frame_rate
from helios.models.spec import JobSpec

PROGRAM = "helios-encode-chunk"
"""Installed with this package; `helios.processes.own_programs` finds it where its folder is not on PATH."""
REVISION = "encode-2"
"""Of how pictures are encoded: another one has chunks encoded again."""
TRIAL_FRAMES = 3
SAMPLE_FRAMES = 48
"""Of a chunk, from its middle, on which quantisers are tried: two seconds of a film."""


@dataclass(frozen=True)
class Frames:
    """The frames of the video, and the source's pictures that they show."""

    analysis: Analysis
    """Of the source."""
    fps: Fraction | None = None
    """The rate that the source is brought to; None for the source's own times."""

    @property
    def rate(self) -> Fraction:
        """Frames per second that chunks state."""
        return self.fps or self.analysis.nominal

    @property
    def sampling(self) -> Sampling | None:
        """How the source is brought to another rate; None where each picture is a frame."""
        if self.fps is None or self.fps == self.analysis.rate:
            return None
        return Sampling(self.fps, self.analysis.times[0], self.analysis.tick)

    def shown(self) -> Sequence[int]:
        """For each frame, the number of the picture that it shows."""
        sampling = self.sampling
        if sampling is None:
            return range(self.analysis.frames)
        return sampling.plan(self.analysis.times, end=self.analysis.end)

    def of_pictures(self, numbers: Sequence[int]) -> list[int]:
        """The frames at which pictures are first shown."""
        sampling = self.sampling
        if sampling is None:
            return list(numbers)
        return [sampling.frame_of(self.analysis.times[number]) for number in numbers]


def ranges(frames: Frames, sizes: Sequence[int], *, run_in: bool, lead_in: int = 0) -> list[Range]:
    """What each chunk has.

    Args:
        frames: Of the video.
        sizes: Frames of each chunk.
        run_in: Whether filters see pictures before the chunk.
        lead_in: Pictures that the encoder is given before each chunk but the first, which begins as any video does.
    """
    shown, times, sampling = frames.shown(), frames.analysis.times, frames.sampling
    found, start = [], 0
    for size in sizes:
        first, last = shown[start], shown[start + size - 1]
        found.append(
            Range(
                first=times[first],
                frames=size,
                rate=frames.rate,
                last=times[last],
                run_in=times[max(first - RUN_IN, 0)] if run_in else None,
                sampling=(sampling.origin, start) if sampling else None,
                lead_in=lead_in if start else 0,
            )
        )
        start += size
    return found


def try_recipe(source: Path, frames: Frames, recipe: Recipe) -> tuple[int, int]:
    """Encode the first frames, and throw them away.

    Returns:
        Width and height of the encoded pictures.

    Raises:
        RequestError: The recipe can't be used for this source.
    """
    size = min(TRIAL_FRAMES, len(frames.shown()))
    part = replace(ranges(frames, [size], run_in=recipe.looks_around)[0], lead_in=recipe.how.lead_in)
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder, f"trial{recipe.how.suffix}")
        try:
            encode_chunk(source, output, part=part, recipe=recipe, is_trial=True)
            with av.open(str(output)) as trial:
                context = trial.streams.video[0].codec_context
                return context.width, context.height
        except (av.FFmpegError, OSError) as exc:
            raise RequestError(f"{recipe.codec} can't encode {source.name}: {exc.strerror or exc}") from None


def plan_encode(
    path: str,
    frames: Frames,
    sizes: Sequence[int],
    *,
    recipe: Recipe,
    size: tuple[int, int],
    compares: bool = False,
    **fields: Any,
) -> JobSpec:
    """Write the job.

    Args:
        path: The source's path in the job directory.
        frames: Of the video.
        sizes: Frames of each chunk.
        recipe: How pictures are encoded.
        size: Width and height of the video.
        compares: Whether each chunk is held against its source.
        fields: Further fields of the document.
    """
    chunks, start, compare = [], 0, ["--compare"] if compares else []
    digits = max(len(str(len(sizes) - 1)), 4)
    parts = ranges(frames, sizes, run_in=recipe.looks_around, lead_in=recipe.how.lead_in)
    samples = sample_words(frames, sizes) if recipe.target is not None else [[] for _ in sizes]
    for index, (part, sample) in enumerate(zip(parts, samples, strict=True)):
        output = f"chunks/{index:0{digits}d}{recipe.how.suffix}"
        chunks.append({
            "id": index, "startFrame": start, "frameCount": part.frames, "outputFile": output,
            "command": shlex.join([PROGRAM, path, output, *_words(part), *sample, *compare, *recipe.words()]),
        })  # fmt: skip
        start += part.frames
    metadata = {
        "totalFrames": start, "fps": write_frame_rate(frames.rate), "width": size[0], "height": size[1],
        "duration": float(start / frames.rate),
    }  # fmt: skip
    document = {
        "metadata": metadata, "chunks": chunks, "inputs": [path], "revision": f"{REVISION}, av {av.__version__}",
        **{name: value for name, value in fields.items() if value is not None},
    }  # fmt: skip
    if "id" not in document:
        text = json.dumps(document, sort_keys=True)
        document["id"] = f"encode-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
    return validate_job_spec(document, source="encode")


def sample_words(frames: Frames, sizes: Sequence[int]) -> list[list[str]]:
    """For each chunk, the words that name the frames in its middle, on which quantisers are tried."""
    found, start = [], 0
    for size in sizes:
        count = min(size, SAMPLE_FRAMES)
        before = (size - count) // 2
        cut = [one for one in (start + before, count, len(frames.shown()) - start - before - count) if one]
        part = ranges(frames, cut, run_in=True)[1 if start + before else 0]
        found.append([f"--sample={part.first}:{count}:{part.run_in}:{start + before}"])
        start += size
    return found


def _words(part: Range) -> list[str]:
    found = [f"--first={part.first}", f"--frames={part.frames}", f"--rate={part.rate}", f"--last={part.last}"]
    if part.run_in is not None:
        found.append(f"--run-in={part.run_in}")
    if part.lead_in:
        found.append(f"--lead-in={part.lead_in}")
    if part.sampling is not None:
        found.append(f"--sampling={part.sampling[0]}:{part.sampling[1]}")
    return found
