"""What a preset says about a renderer, and how its file is read."""

import string
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from helios.errors import Problem, RequestError, SpecError
from helios.job.source import describe
from helios.models.command_line import Command
from helios.models.command_template import PLACEHOLDERS
from helios.models.frame_numbers import SpecRefusedError
from helios.models.log_rules import LogRules
from helios.regular_file import open_regular

MAX_PRESET_BYTES = 256 * 1024
"""Of a preset's file."""
SCENE_NAMES = ("input", "name", "first_part", "last_part")
"""Names in templates beside those of `helios.job.planning`: the scene's file, its name without folder and extension;
the first and the last of the parts that a chunk has."""
SHOWN_NAMES = ("fps", "width", "height")
"""Names that a chunk's command may use too, and that may be options: a person's word for them is one before the scene
is asked."""
FOLDER = "folder"
"""A name in commands that ask: the folder of the preset's file, which workers don't have."""
OptionName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
"""Of an option that a person sets with `--set`."""


def names_in(template: str) -> list[str]:
    """The names that a template uses, with the `*` of those that stand for several words.

    Raises:
        ValueError: It is no template.
    """
    return [name for _, name, _, _ in string.Formatter().parse(template) if name is not None]


class Ask(BaseModel):
    """How a scene is asked for its frames, rate and size."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    command: Command | None = None
    """Prints a line that begins with `helios-scene:`, and goes on with an object in JSON: `helios.renderers.scene`."""
    source: bool = False
    """The input is a video, whose frames are counted here; no command is needed."""
    timeout_seconds: Annotated[float, Field(gt=0, le=86_400)] = 600.0
    """The command is stopped when it runs longer."""

    @model_validator(mode="after")
    def _check_one(self) -> "Ask":
        if (self.command is None) is not self.source:
            raise ValueError("either `command`, or `source = true` where the input is a video")
        return self


class Preset(BaseModel):
    """A renderer: how it renders a range of frames, and how it says which frames there are."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    description: Annotated[str, Field(min_length=1, max_length=200)]
    """What it renders, in a line."""
    command: Command
    """Template of a chunk's command. A word that is `{*NAME}` becomes the words of the option NAME."""
    output: Annotated[str, Field(min_length=1)] = "{name}-{index:04d}.mp4"
    """Template of a chunk's output file."""
    video: str = "{name}.mp4"
    """Template of the stitched video's name; none when empty."""
    inputs: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    """Templates of glob patterns of the files that commands read, beside those that the scene names. Empty, where the
    scene names none either: all files of the job directory."""
    options: dict[OptionName, str] = Field(default_factory=dict)
    """Names for templates that a person may set (`--set NAME=VALUE`), and what they are by default."""
    ask: Ask | None = None
    """How a scene is asked. Without it, a person says frames, rate and size."""
    log: LogRules | None = None
    """What the command's lines and exit codes mean: the document's `logRules`."""
    install: str = ""
    """What to do where its program is missing."""

    @model_validator(mode="after")
    def _check_names(self) -> "Preset":
        """Refuse names that nothing fills."""
        filled = {*PLACEHOLDERS, *SCENE_NAMES, FOLDER}
        problems = [
            Problem(f"options.{name}", "a name that planning fills", f"another one than {', '.join(sorted(filled))}")
            for name in sorted(filled & set(self.options))
        ]
        once, each = {"input", "name", *self.options}, {*SCENE_NAMES, *SHOWN_NAMES, *PLACEHOLDERS, *self.options}
        problems += _wrong_names("command", self.command, each)
        problems += _wrong_names("output", self.output, each - {"output"})
        problems += _wrong_names("video", self.video, once)
        for number, pattern in enumerate(self.inputs):
            problems += _wrong_names(f"inputs[{number}]", pattern, once)
        if self.ask is not None and self.ask.command is not None:
            problems += _wrong_names("ask.command", self.ask.command, {*once, FOLDER})
        if problems:
            raise SpecRefusedError(tuple(problems))
        return self


def _wrong_names(field: str, template: str, known: set[str]) -> Iterator[Problem]:
    """The names in a template that nothing fills."""
    try:
        names = names_in(template)
    except ValueError as exc:
        yield Problem(field, f"{template[:80]!r} ({exc})", "a template with names in braces; write {{ for a brace")
        return
    for name in names:
        if name.removeprefix("*") not in known:
            yield Problem(field, f"{{{name}}}", f"names out of {', '.join(sorted(known))}")


def read_preset(path: Path) -> Preset:
    """Read a preset's file.

    Raises:
        SpecError: It is none; names the file, the field, what stands there, and what was expected.
    """
    try:
        with open_regular(str(path)) as file:
            data = file.read(MAX_PRESET_BYTES + 1)
        if len(data) > MAX_PRESET_BYTES:
            raise ValueError(f"more than {MAX_PRESET_BYTES} bytes")
        document: Any = tomllib.loads(data.decode())
    except OSError as exc:
        raise RequestError(f"The preset {path} can't be read: {exc.strerror or exc}") from None
    except ValueError as exc:  # also of TOML and of UTF-8
        raise SpecError(str(path), (Problem("", str(exc), "a preset in TOML (see docs/renderers.md)"),)) from None
    try:
        return Preset.model_validate(document)
    except ValidationError as exc:
        raise SpecError(str(path), describe(exc, of="of a preset (see docs/renderers.md)")) from None
