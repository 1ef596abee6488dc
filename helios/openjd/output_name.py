"""The names of a step's outputs, in terms of the template's parameters: the template itself does not say them."""

import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from helios.errors import RequestError
from helios.models.image_pattern import IMAGE_CODECS
from helios.openjd.frames import StepFrames
from helios.openjd.kept import Value

_PLACE = re.compile(r"\{\{\s*([^{}]*?)\s*\}\}")


def filled(text: str, values: Mapping[str, str], *, option: str) -> str:
    """Put values of parameters into the places of a text: `{{Param.Width}}x{{Param.Height}}`.

    Args:
        text: The text.
        values: By name, such as `Param.Width`.
        option: Where the text was given, for messages.

    Raises:
        RequestError: There is no such parameter.
    """

    def fill(found: re.Match[str]) -> str:
        name = found[1]
        if name not in values:
            raise RequestError(f"{option} {text!r}: {name!r} is not known here. Known: {', '.join(values)}")
        return values[name]

    return _PLACE.sub(fill, text)


def known_values(parameters: Mapping[str, Value], frames: StepFrames) -> dict[str, str]:
    """The values of parameters by the names that a template gives them, but for the frame's."""
    known = {f"Param.{name}": str(value.value) for name, value in parameters.items()}
    return known | {f"Task.Param.{name}": str(value.value) for name, value in frames.others.items()}


def output_template(pattern: str, values: Mapping[str, str], frames: StepFrames) -> str:
    """The template of the chunks' output names, in the words of `helios.job.planning`.

    Args:
        pattern: With names of parameters, as `{{Param.OutputDir}}/{{Param.OutputPattern}}.png`.
        values: As `known_values`.
        frames: The step's.

    Raises:
        RequestError: A name is not known, or a range of frames stands where each image needs a number.
    """
    frame, option = f"Task.Param.{frames.parameter}", "--output-pattern"
    is_image = PurePosixPath(pattern).suffix.lower() in IMAGE_CODECS
    if is_image and frames.in_chunks and any(found[1] == frame for found in _PLACE.finditer(pattern)):
        raise RequestError(
            f"{option} {pattern!r}: {frame} is a range of frames; write #### for the number of each image"
        )
    place = "%d" if is_image else "{start}-{last}" if frames.in_chunks else "{start}"
    parts: list[str] = []
    end = 0
    for found in _PLACE.finditer(pattern):
        parts.append(literal(pattern[end : found.start()]))
        parts.append(place if found[1] == frame else literal(filled(found[0], {**values, frame: ""}, option=option)))
        end = found.end()
    return "".join([*parts, literal(pattern[end:])])


def images_folder(pattern: str, definitions: Mapping[str, Any]) -> str | None:
    """The job parameter that is the images' folder, where an attempt can have another one.

    That is a PATH parameter which the template calls an output (`dataFlow: OUT`), and in which the images lie.

    Args:
        pattern: As for `output_template`.
        definitions: The library's definitions of job parameters, by name.
    """
    found = _PLACE.match(pattern)
    rest = pattern[found.end() :] if found else ""
    name = found[1].removeprefix("Param.") if found else ""
    flow = getattr(definitions.get(name), "dataFlow", None)
    if flow is None or flow.value != "OUT" or not rest.startswith("/") or "/" in rest[1:]:
        return None
    return name if PurePosixPath(rest).suffix.lower() in IMAGE_CODECS else None


def literal(text: str) -> str:
    """A text as a template of `helios.job.planning` has it."""
    return text.replace("{", "{{").replace("}", "}}")
