"""`helios-openjd-chunk`: the command of a chunk of a template, and of the step after the frames."""

import argparse
import sys
from pathlib import Path
from typing import Any

from helios.errors import ExpectedError
from helios.openjd.kept import KeptTemplate, read_kept
from helios.openjd.library import libraries
from helios.openjd.session import run_tasks
from helios.openjd.template import parameter_value, reopen_job


def parser() -> argparse.ArgumentParser:
    """The program's options."""
    words = argparse.ArgumentParser(prog="helios-openjd-chunk", description=__doc__)
    words.add_argument("file", type=Path, help="the file that `helios-job openjd` wrote beside the job document")
    words.add_argument("first", type=int, nargs="?", help="first frame")
    words.add_argument("last", type=int, nargs="?", help="last frame")
    words.add_argument("output", type=Path, nargs="?", help="pattern of the images, in the folder where they go")
    words.add_argument("--step", help="run this step, which has one task, instead of frames")
    return words


def carry_out(words: argparse.Namespace) -> None:
    """Run what the words say.

    Raises:
        ExpectedError: It failed, or can't be done here.
    """
    kept, base = read_kept(words.file), Path.cwd()
    folder = None if words.output is None else base / words.output.parent
    job = reopen_job(kept, base=base, images_folder=folder)
    if words.step is not None:
        step = job.step(words.step)
        tasks = list(libraries().model.StepParameterSpaceIterator(space=step.parameterSpace))
    else:
        step = job.step(kept.step)
        tasks = frame_tasks(kept, words.first, words.last, base=base)
    run_tasks(job, step, tasks)


def frame_tasks(kept: KeptTemplate, first: int, last: int, *, base: Path) -> list[dict[str, Any]]:
    """The tasks that render frames: one for each, or one for all where the template takes ranges."""
    model = libraries().model
    kind = model.ParameterValueType("CHUNK[INT]" if kept.in_chunks else "INT")
    frames = [f"{first}-{last}"] if kept.in_chunks else [str(frame) for frame in range(first, last + 1)]
    others = {name: parameter_value(value, base=base) for name, value in kept.others.items()}
    return [{**others, kept.frame: model.ParameterValue(type=kind, value=frame)} for frame in frames]


def main() -> None:
    """Run the tasks; exit with 1, and one line, if that can't be done."""
    words = parser().parse_args()
    if words.step is None and words.last is None:
        parser().error("give the first and the last frame, or --step")
    try:
        carry_out(words)
    except (ExpectedError, OSError) as exc:
        sys.exit(f"helios-openjd-chunk: {exc}")


if __name__ == "__main__":
    main()
