"""Which of a template's steps renders the frames, and which one runs once they are there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from helios.errors import RequestError
from helios.openjd.frames import StepFrames, frames_of, is_one_task


@dataclass(frozen=True)
class ChosenSteps:
    """The steps of a job."""

    render: Any
    """The library's step that renders."""
    frames: StepFrames
    after: Any | None
    """The step that runs when all frames are there."""


def choose_steps(steps: Sequence[Any], named: Sequence[str], tasks: Mapping[str, str]) -> ChosenSteps:
    """Choose the steps of a job.

    Args:
        steps: The library's steps, all of the template.
        named: Names of those that are wanted; all of them if there is none.
        tasks: Values of task parameters; see `frames_of`.

    Raises:
        RequestError: A step can be neither the one that renders nor the one after it; names the step.
    """
    wanted = [step for step in steps if not named or step.name in named]
    waited = {other.dependsOn for step in wanted for other in step.dependencies or []}
    first = [step for step in wanted if not _waits_for(step, wanted)]
    if len(first) != 1:
        several = ", ".join(repr(step.name) for step in first)
        raise RequestError(
            f"The steps {several} do not wait for each other. A job has one step that renders frames, and one after "
            f"it: name them (--step {first[0].name!r})"
        )
    render = first[0]
    rest = [step for step in wanted if step is not render]
    frames = frames_of(render, tasks)
    if frames is None:
        _refuse_without_frames(render, is_waited_for=render.name in waited)
    for step in rest:
        if len(rest) > 1 or not is_one_task(step):
            raise RequestError(
                f"Step {step.name!r} is not held by a job document: of the steps after {render.name!r} there is one, "
                f"with one task. Name the steps to take (--step {render.name!r}), and run the others by themselves"
            )
    assert frames is not None  # noqa: S101  refused above
    return ChosenSteps(render, frames, rest[0] if rest else None)


def _waits_for(step: Any, wanted: Sequence[Any]) -> bool:
    names = {other.name for other in wanted}
    return any(other.dependsOn in names for other in step.dependencies or [])


def _refuse_without_frames(step: Any, *, is_waited_for: bool) -> None:
    name = step.name
    what = "name the step that renders (--step), and run this one before" if is_waited_for else "name another (--step)"
    raise RequestError(
        f"Step {name!r} has no task parameter of type INT or CHUNK[INT] that counts frames, so it can't be cut into "
        f"chunks; give it a parameterSpace with a range such as 1-100, or {what}"
    )
