"""Ask a scene for its frames, by the program that renders it."""

import os
import shutil
import tempfile
from pathlib import Path

from pydantic import ValidationError

from helios.adapter import Stream
from helios.bounded_json import read_json
from helios.errors import CommandError, RequestError, SpecError
from helios.job.source import describe
from helios.models.command_line import split_command
from helios.processes.command import run_command
from helios.processes.command_output import explain_exit
from helios.processes.environment import clean_environment
from helios.processes.own_programs import with_own_program
from helios.renderers.finding import Found
from helios.renderers.scene import Scene
from helios.renderers.source_scene import scene_of_source
from helios.renderers.words import fill, fill_words

MARK = "helios-scene:"
"""What the line of the answer begins with."""
MAX_ANSWER = 1024 * 1024
"""Characters of an answer. A line comes in pieces of 64 KiB, and the first alone has the mark: see `_Answer`."""


class _Answer:
    """Keeps the last line that begins with the mark, out of all that a command prints."""

    def __init__(self) -> None:
        self.text: str | None = None

    def __call__(self, _stream: Stream, line: str) -> None:
        if line.startswith(MARK):
            self.text = line.removeprefix(MARK)


async def ask(
    found: Found, *, input_file: str, options: dict[str, str], folder: Path, images_alone: bool = False
) -> Scene:
    """Ask a scene.

    Args:
        found: The preset.
        input_file: The scene's file, relative to the folder.
        options: Values for the preset's options.
        folder: Where the command runs: the job directory.
        images_alone: Images are wanted, and no video of them.

    Raises:
        RequestError: The program is missing, failed or gave no answer, or the scene says that it can't be rendered.
    """
    asking, preset = found.preset.ask, found.preset
    if asking is None:
        return Scene()
    if asking.command is None:
        return scene_of_source(folder / input_file)
    values = {**preset.options, **options, "input": input_file, "name": Path(input_file).stem}
    words = fill_words(split_command(asking.command), {**values, "folder": str(found.folder)})
    argv = [fill(word, {**values, "folder": str(found.folder)}) for word in words]
    if shutil.which(with_own_program(argv, os.environ.get("PATH"))[0]) is None:
        what_to_do = preset.install or "install it, or put it on PATH"
        raise RequestError(f"{argv[0]} is not there, which is to say what frames {input_file} has; {what_to_do}")
    said = await _said(argv, folder=folder, input_file=input_file, timeout_seconds=asking.timeout_seconds)
    try:
        scene = Scene.model_validate(read_json(said))
    except ValidationError as exc:
        raise SpecError(f"What {argv[0]} says about {input_file}", describe(exc, of="of a scene")) from None
    except ValueError as exc:
        raise RequestError(f"What {argv[0]} says about {input_file} is no JSON: {exc}") from None
    if problems := [*scene.problems, *([] if images_alone else scene.video_problems)]:
        raise RequestError("\n".join([f"{input_file} can't be rendered:", *(f"  {one}" for one in problems)]))
    return scene


async def _said(argv: list[str], *, folder: Path, input_file: str, timeout_seconds: float) -> str:
    answer = _Answer()
    with tempfile.TemporaryDirectory(prefix="helios-ask-") as temporary:
        try:
            ended = await run_command(
                argv,
                env={**clean_environment(), "TMPDIR": temporary},
                cwd=folder,
                timeout_seconds=timeout_seconds,
                on_output=answer,
            )
        except CommandError as exc:
            raise RequestError(f"{input_file} could not be asked for its frames: {exc}") from exc
    if ended.exit_code != 0:
        raise RequestError(f"{input_file} could not be asked for its frames: {explain_exit(argv[0], ended)}")
    if answer.text is None:
        raise RequestError(
            f"{argv[0]} printed no line that begins with {MARK!r} about {input_file}; see docs/renderers.md"
        )
    return answer.text
