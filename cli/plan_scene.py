"""What `helios-job plan` does about a scene: where it lies, and what it says about itself."""

import asyncio
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from cli.say import say
from helios.errors import RequestError
from helios.job.planning import plan_job
from helios.models.framerate import write_frame_rate
from helios.models.image_pattern import image_pattern
from helios.models.spec import JobSpec
from helios.renderers.asking import ask
from helios.renderers.finding import Found, find_preset
from helios.renderers.scene import Said, Scene
from helios.renderers.source_scene import scene_of_source


@dataclass(frozen=True)
class SceneOrder:
    """A scene, and the renderer that it is for."""

    found: Found
    """The preset."""
    input_file: str
    """The scene's file, relative to the folder."""
    options: dict[str, str]
    """Options that were set."""
    folder: Path
    """The folder of the document, which becomes the job directory."""

    def writes_images(self, output_pattern: str | None) -> bool:
        """Whether chunks write images: by the pattern that a person names, else by the preset's."""
        try:
            return image_pattern(output_pattern or self.found.preset.output) is not None
        except ValueError:  # planning says why it is none
            return False


def scene_order(
    renderer: str | None, input_file: str | None, settings: Sequence[str], *, document: str | None
) -> SceneOrder | None:
    """Find the renderer, and the scene beside the document.

    Args:
        renderer: The preset's name; None for none.
        input_file: The scene's file.
        settings: Options of the preset, each as NAME=VALUE.
        document: Where the document is written; None for the working directory.

    Raises:
        RequestError: There is no such renderer, option or file.
    """
    if renderer is None:
        if input_file is not None:
            raise click.UsageError(f"Name the renderer of {input_file} (--with).")
        if settings:
            raise click.UsageError("--set is for options of a renderer: name it (--with).")
        return None
    if input_file is None:
        raise click.UsageError(f"Name the file that {renderer} is to render.")
    found = find_preset(renderer)
    folder = Path(document).absolute().parent if document else Path.cwd()
    return SceneOrder(found, _beside(input_file, folder), _options(settings, found), folder)


def known_scene(order: SceneOrder | None, said: Said, *, source: str | None, images_alone: bool = False) -> Scene:
    """What a video, or the scene itself, says about frames, rate and size; tells people.

    Args:
        order: The scene to ask; None where no renderer was named.
        said: What a person says, with which a scene can be asked.
        source: A video that is read instead.
        images_alone: Images are wanted, and no video of them.

    Raises:
        RequestError: It can't be read, asked, or rendered.
    """
    if source is not None:
        scene, name = scene_of_source(Path(source).expanduser()), source
    elif order is not None:
        scene, name = _asked(order, said, images_alone=images_alone), order.input_file
    else:
        return Scene()
    if scene.in_words:
        say(f"{name}: {scene.in_words}", err=True)
    for warning in scene.warnings:
        say(f"Warning: {warning}", err=True)
    return scene


def _asked(order: SceneOrder, said: Said, *, images_alone: bool) -> Scene:
    known = {name: value for name, value in said.values.items() if name in order.found.preset.options}
    options = {**known, **order.options}
    return asyncio.run(
        ask(
            order.found,
            input_file=order.input_file,
            options=options,
            folder=order.folder,
            images_alone=images_alone,
        )
    )


def plan_without(
    scene: Scene,
    sizes: list[int],
    *,
    command: str | None,
    output_pattern: str | None,
    preroll: int,
    lengths: Mapping[str, Any] | None,
) -> JobSpec:
    """Write the job of a command that no preset knows; arguments as `plan_job`.

    Raises:
        RequestError: As `plan_job`.
    """
    if command is None or output_pattern is None:
        raise click.UsageError("Give --command and --output-pattern, or name a renderer (--with).")
    rate, width, height = scene.pictures()
    return plan_job(
        sizes,
        fps=str(write_frame_rate(rate)),
        width=width,
        height=height,
        command=command,
        output_pattern=output_pattern,
        start_frame=scene.start_frame,
        preroll=preroll,
        lengths=lengths,
    )


def _beside(input_file: str, folder: Path) -> str:
    """The scene's path from the document's folder, in which its commands run."""
    path = Path(input_file).expanduser()
    if not path.is_file():
        raise RequestError(f"{input_file} is not a file; expected the scene to render")
    relative = os.path.relpath(path.absolute(), folder)
    if relative.startswith(".."):
        raise RequestError(
            f"{input_file} lies outside of the document's folder {folder}, in which commands run; write the document "
            f"beside it (-o {path.with_name('job.json')})"
        )
    return Path(relative).as_posix()


def _options(settings: Sequence[str], found: Found) -> dict[str, str]:
    options = {}
    for setting in settings:
        name, sign, value = setting.partition("=")
        if not sign or name not in found.preset.options:
            known = ", ".join(found.preset.options) or "none"
            raise RequestError(f"--set {setting}: expected NAME=VALUE of an option of {found.name}: {known}")
        options[name] = value
    return options
