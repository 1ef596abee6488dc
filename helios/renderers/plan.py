"""From a preset and a scene to the job document."""

import shlex
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise
from pathlib import PurePosixPath
from typing import Any

from helios.errors import RequestError
from helios.job.planning import plan_job, split_evenly
from helios.job.source import validate_job_spec
from helios.models.command_line import split_command
from helios.models.framerate import write_frame_rate
from helios.models.spec import JobSpec
from helios.renderers.preset import Preset
from helios.renderers.scene import Scene
from helios.renderers.words import fill, fill_words

USUAL_CHUNKS = 20
"""Where nobody says how many."""


def usual_sizes(scene: Scene) -> list[int]:
    """Frames of each chunk, where nobody says how many."""
    frames = scene.frames or 1
    return split_evenly(frames, chunks=min(USUAL_CHUNKS, frames))


def whole_parts(sizes: Sequence[int], parts: Sequence[int]) -> list[tuple[int, int, int]]:
    """Chunks of whole parts, whose cuts lie nearest to those asked for.

    Returns:
        Of each chunk its frames, its first part and its last one, counted from 0.
    """
    ends = [0, *accumulate(parts)]
    cuts = {0, len(parts)}
    for cut in list(accumulate(sizes))[:-1]:
        after = bisect_left(ends, cut)
        cuts.add(after if ends[after] - cut < cut - ends[after - 1] else after - 1)
    between = pairwise(sorted(cuts))
    return [(ends[end] - ends[start], start, end - 1) for start, end in between]


def plan_with(
    preset: Preset,
    scene: Scene,
    sizes: Sequence[int],
    *,
    input_file: str,
    options: Mapping[str, str],
    command: str | None = None,
    output_pattern: str | None = None,
    preroll: int = 0,
    job_id: str | None = None,
    no_video: bool = False,
    lengths: Mapping[str, Any] | None = None,
) -> JobSpec:
    """Write the job that renders a scene.

    Args:
        preset: The renderer.
        scene: What is known of the scene: frames, rate and size are.
        sizes: Frames of each chunk; moved to whole parts where the scene has parts.
        input_file: The scene's file, relative to the job directory.
        options: Values that a person sets.
        command: Instead of the preset's.
        output_pattern: Instead of the preset's.
        preroll: As `plan_job` has it.
        job_id: The job's name; None for none.
        no_video: The document names no video.
        lengths: As `plan_job` has them.

    Raises:
        RequestError: The scene has parts, which no template takes.
        RequestError: A template can't be filled, or the outcome is not a sound job.
    """
    if lengths is not None and scene.parts:
        raise RequestError(
            "The scene has parts, which are rendered whole: chunks can't be cut from a template; leave it out "
            "(--emit-template)"
        )
    fps, width, height = scene.pictures()
    values = {
        **preset.options,
        **scene.values,
        **options,
        "input": input_file,
        "name": PurePosixPath(input_file).stem,
        "fps": str(write_frame_rate(fps)),
        "width": str(width),
        "height": str(height),
    }
    chunks = whole_parts(sizes, scene.parts) if scene.parts else [(size, 0, 0) for size in sizes]
    spec = plan_job(
        [size for size, _, _ in chunks],
        fps=values["fps"],
        width=width,
        height=height,
        command=shlex.join(fill_words(split_command(command or preset.command), values)),
        output_pattern=output_pattern or preset.output,
        start_frame=scene.start_frame,
        preroll=preroll,
        job_id=job_id,
        names=values,
        parts=[(first, last) for _, first, last in chunks],
        lengths=lengths,
    )
    patterns = [fill(pattern, values) for pattern in preset.inputs]
    inputs = list(dict.fromkeys([*patterns, *scene.inputs]))
    further: dict[str, Any] = {"inputs": inputs, "outputFile": "" if no_video else fill(preset.video, values)}
    if preset.log is not None:
        further["logRules"] = preset.log.model_dump(exclude_defaults=True)
    document = {**spec.to_document(), **{name: value for name, value in further.items() if value}}
    return validate_job_spec(document, source="plan")
