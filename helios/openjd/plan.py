"""From a template, and what it does not say, to a job document and the file beside it."""

import os
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from helios.errors import RequestError
from helios.job.planning import content_id, plan_job, split_evenly
from helios.models.requires import NOTHING
from helios.models.spec import JobSpec
from helios.openjd.frames import StepFrames
from helios.openjd.kept import PATHS, KeptTemplate, Value
from helios.openjd.output_name import filled, images_folder, known_values, literal, output_template
from helios.openjd.requirements import requires_of
from helios.openjd.steps import ChosenSteps, choose_steps
from helios.openjd.template import OpenedJob, in_job_dir, kept_value, named_values, open_job

PROGRAM = "helios-openjd-chunk"
"""The command of chunks: `helios.openjd.program`."""


@dataclass(frozen=True)
class OpenjdOrder:
    """What is asked for."""

    template: Path
    """The template file."""
    parameters: Sequence[str]
    """`Name=Value`."""
    document: Path
    """The job document to write; its folder is the job directory."""
    fps: str
    """Frames per second; may name parameters, as the next two."""
    size: str
    """Width x height in pixels."""
    output_pattern: str | None
    """What the tasks' outputs are called."""
    steps: Sequence[str] = ()
    """The steps to take; all of them if there is none."""
    tasks: Sequence[str] = ()
    """`Name=Value` of task parameters."""
    chunk_frames: int | None = None
    """Frames of a chunk at most; as the template says where it is None."""
    ignored: Sequence[str] = ()
    """Host requirements to leave out."""
    job_id: str | None = None
    """The job's name."""

    @property
    def job_dir(self) -> Path:
        """Where commands run."""
        return Path(os.path.abspath(self.document)).parent

    @property
    def kept(self) -> Path:
        """The file beside the document."""
        return self.document.with_suffix(".openjd.json")


@dataclass(frozen=True)
class PlannedTemplate:
    """What is written."""

    spec: JobSpec
    """The job."""
    kept: KeptTemplate
    """What its commands read."""
    notes: tuple[str, ...]
    """What a person should know of it."""


def plan_template(order: OpenjdOrder) -> PlannedTemplate:
    """Translate a template.

    Raises:
        RequestError: Something in it can't be honoured, or is not known; names it.
        SpecError: The outcome is not a sound job.
    """
    job = open_job(order.template, order.parameters)
    steps = choose_steps(
        job.steps, [job.step(name).name for name in order.steps], named_values(order.tasks, option="--task")
    )
    _refuse_windows(job, steps)
    parameters = {name: kept_value(value, job_dir=order.job_dir) for name, value in job.values.items()}
    pattern = order.output_pattern or _missing_pattern(job)
    kept = _kept(order, job, steps, parameters, pattern)
    spec = _spec(order, kept, steps, pattern)
    return PlannedTemplate(spec, kept, tuple(_notes(order, steps, parameters, kept)))


def _refuse_windows(job: OpenedJob, steps: ChosenSteps) -> None:
    chosen = {step.name for step in (steps.render, steps.after) if step is not None}
    for made, written in zip(job.steps, job.document["steps"], strict=True):
        if made.name in chosen and "cmd" in written:
            raise RequestError(
                f"Step {made.name!r} runs cmd, the shell of Windows, and workers run Linux; write bash or python"
            )


def _kept(
    order: OpenjdOrder, job: OpenedJob, steps: ChosenSteps, parameters: dict[str, Value], pattern: str
) -> KeptTemplate:
    definitions = {one.name: one for one in job.template.parameterDefinitions or []}
    frames = steps.frames
    return KeptTemplate(
        template=job.document,
        parameters=parameters,
        step=steps.render.name,
        frame=frames.parameter,
        in_chunks=frames.in_chunks,
        others={name: in_job_dir(value, order.job_dir) for name, value in frames.others.items()},
        folder=images_folder(pattern, definitions),
    )


def _spec(order: OpenjdOrder, kept: KeptTemplate, steps: ChosenSteps, pattern: str) -> JobSpec:
    frames = steps.frames
    known = known_values(kept.parameters, frames)
    size = filled(order.size, known, option="--size")
    if not (found := re.fullmatch(r"(\d{1,9})[x×](\d{1,9})", size)):
        raise RequestError(f"--size {size!r}: expected width x height in pixels, such as 1280x720")
    words = ["{start}", "{last}"] + (["{output}"] if kept.folder else [])
    spec = plan_job(
        _sizes(frames, order.chunk_frames),
        fps=filled(order.fps, known, option="--fps"),
        width=int(found[1]),
        height=int(found[2]),
        command=" ".join([PROGRAM, shlex.quote(literal(order.kept.name)), *words]),
        output_pattern=output_template(pattern, known, frames),
        start_frame=frames.start,
    )
    if not frames.in_chunks and not spec.is_images and max(chunk.frame_count for chunk in spec.chunks) > 1:
        raise RequestError(
            f"--chunk-frames {order.chunk_frames}: each task of {steps.render.name!r} writes a video of one frame, and "
            "a chunk has one video; leave it out"
        )
    changed: dict[str, Any] = {"merge_command": _merge_command(order, steps)}
    if (requires := requires_of(steps.render, order.ignored)) != NOTHING:
        changed["requires"] = requires
    spec = spec.model_copy(update=changed)
    return spec.model_copy(update={"id": order.job_id or content_id(spec)})


def _merge_command(order: OpenjdOrder, steps: ChosenSteps) -> str | None:
    after = steps.after
    if after is None:
        return None
    if (requires := requires_of(after, order.ignored)) != NOTHING:
        names = [one.name for one in (after.hostRequirements.amounts or []) + (after.hostRequirements.attributes or [])]
        raise RequestError(
            f"Step {after.name!r}, which becomes the merge command, requires {requires.model_dump(mode='json')} of its "
            f"host; a merge command has no requirements. Leave them out with --ignore-requirement {names[0]}"
        )
    return shlex.join([PROGRAM, order.kept.name, "--step", after.name])


def _sizes(frames: StepFrames, chunk_frames: int | None) -> list[int]:
    """Chunks of even length, as the specification cuts them."""
    most = chunk_frames or frames.per_task
    return split_evenly(frames.count, chunks=-(-frames.count // most))


def _notes(order: OpenjdOrder, steps: ChosenSteps, parameters: Mapping[str, Value], kept: KeptTemplate) -> list[str]:
    frames, render = steps.frames, steps.render
    notes = [f"step {render.name}: Task.Param.{frames.parameter} counts the frames"]
    if kept.folder is not None:
        notes.append(f"each attempt has a folder of its own for Param.{kept.folder}")
    if steps.after is not None:
        notes.append(f"step {steps.after.name}: the merge command, which runs unless a video is asked for (--output)")
    if frames.is_adaptive:
        notes.append("targetRuntimeSeconds is not followed: the chunks' lengths stay")
    for name, value in parameters.items():
        outside = [one for one in _paths(value) if one.startswith("/")]
        if outside:
            notes.append(
                f"Param.{name} is {outside[0]}, outside the job directory {order.job_dir}: workers elsewhere don't get "
                "it, and a change of it renders nothing again"
            )
    return notes


def _paths(value: Value) -> list[str]:
    if value.type not in PATHS:
        return []
    return value.value if isinstance(value.value, list) else [value.value]


def _missing_pattern(job: OpenedJob) -> str:
    definitions = job.template.parameterDefinitions or []
    outputs = [one.name for one in definitions if getattr(getattr(one, "dataFlow", None), "value", "") == "OUT"]
    where = f"Its output parameters are {', '.join(outputs)}" if outputs else "It has no output parameter"
    folder = f"{{{{Param.{outputs[0]}}}}}" if outputs else "output"
    raise RequestError(
        f"The template does not say what its tasks write. {where}; name the files by --output-pattern, such as "
        f"'{folder}/image_####.png' for images, or '{folder}/part-{{{{Task.Param.Frame}}}}.mp4'"
    )
