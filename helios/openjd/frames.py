"""Which task parameter of a step counts frames, and which frames there are."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from helios.errors import RequestError
from helios.models.frame_numbers import MAX_FRAME
from helios.openjd.kept import Value
from helios.openjd.library import libraries

MAX_TASKS = 1_000_000
"""Tasks of a step that are looked through."""
_COUNTS = {"INT": False, "CHUNK[INT]": True}
"""Types that can count frames, and whether a value is a range."""


@dataclass(frozen=True)
class StepFrames:
    """The frames of a step."""

    parameter: str
    """Name of the task parameter that counts them."""
    start: int
    count: int
    in_chunks: bool
    """Whether a task renders a range."""
    per_task: int
    """Frames of a task, as the template has it; 1 where a task is a frame."""
    others: Mapping[str, Value]
    """The other task parameters, each of which has one value."""
    is_adaptive: bool
    """Whether the template has the length of chunks follow their time."""


def frames_of(step: Any, chosen: Mapping[str, str]) -> StepFrames | None:
    """The frames of a step; None where no task parameter can count frames.

    Args:
        step: The library's step.
        chosen: Values of task parameters, of which the step has several, by name.

    Raises:
        RequestError: Several parameters vary, or the frames are not one after the other.
    """
    values = _values_of(step, chosen)
    kinds = {name: _kind(step, name) for name in values}
    varying = [name for name, found in values.items() if len(found) > 1]
    countable = [name for name in varying or values if kinds[name] in _COUNTS]
    if len(varying) > 1:
        _refuse_several(step, {name: values[name] for name in varying}, countable)
    if len(countable) != 1:
        return None
    name = countable[0]
    definition = step.parameterSpace.taskParameterDefinitions[name]
    chunks = getattr(definition, "chunks", None)
    start, count = _consecutive(step, name, values[name])
    return StepFrames(
        parameter=name,
        start=start,
        count=count,
        in_chunks=_COUNTS[kinds[name]],
        per_task=int(chunks.defaultTaskCount) if chunks else 1,
        others={other: Value(type=kinds[other], value=found[0]) for other, found in values.items() if other != name},
        is_adaptive=bool(chunks and int(chunks.targetRuntimeSeconds or 0)),
    )


def is_one_task(step: Any) -> bool:
    """Whether a step has one task alone."""
    return len(libraries().model.StepParameterSpaceIterator(space=step.parameterSpace)) == 1


def _values_of(step: Any, chosen: Mapping[str, str]) -> dict[str, list[str]]:
    """The values of each task parameter, in the order of the tasks; of chunks the single frames."""
    if step.parameterSpace is None:
        return {}
    tasks = libraries().model.StepParameterSpaceIterator(space=step.parameterSpace, chunks_task_count_override=1)
    if len(tasks) > MAX_TASKS:
        raise RequestError(f"Step {step.name!r} has {len(tasks)} tasks; expected at most {MAX_TASKS}")
    if unknown := sorted(chosen.keys() - tasks.names):
        raise RequestError(f"--task {unknown[0]}: step {step.name!r} has {', '.join(sorted(tasks.names))}")
    found: dict[str, dict[str, None]] = {name: {} for name in tasks.names}
    for task in tasks:
        if all(str(task[name].value) == value for name, value in chosen.items()):
            for name, value in task.items():
                found[name][str(value.value)] = None
    if not all(found.values()):
        wanted = ", ".join(f"{name}={value}" for name, value in chosen.items())
        raise RequestError(f"--task: step {step.name!r} has no task with {wanted}")
    return {name: list(values) for name, values in found.items()}


def _kind(step: Any, name: str) -> str:
    return str(step.parameterSpace.taskParameterDefinitions[name].type.value)


def _refuse_several(step: Any, varying: Mapping[str, list[str]], countable: list[str]) -> None:
    shown = "; ".join(
        f"{name} ({', '.join(found[:4])}{', …' if len(found) > 4 else ''})" for name, found in varying.items()
    )
    other = next(name for name in varying if [name] != countable)
    raise RequestError(
        f"Step {step.name!r} has tasks for several parameters: {shown}. A job is one sequence of frames: choose a "
        f"value of each of the others, such as --task {other}={varying[other][0]}"
    )


def _consecutive(step: Any, name: str, values: list[str]) -> tuple[int, int]:
    frames = sorted(int(value.partition("-")[0] or value) for value in values)
    gap = next(((before, after) for before, after in pairwise(frames) if after != before + 1), None)
    if gap is not None:
        raise RequestError(
            f"Step {step.name!r}: the frames of {name} have a gap between {gap[0]} and {gap[1]}; expected frames one "
            "after the other, such as 1-100. Make a job of each range"
        )
    if not 0 <= frames[0] <= frames[-1] <= MAX_FRAME:
        raise RequestError(f"Step {step.name!r}: frames {frames[0]} to {frames[-1]}; expected 0 to {MAX_FRAME}")
    return frames[0], len(frames)
