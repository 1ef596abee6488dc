"""The file beside a job document that has the template: what a chunk's command reads on its worker."""

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from helios.bounded_json import read_json
from helios.errors import RequestError
from helios.models.base import WireModel
from helios.regular_file import open_regular

MAX_BYTES = 16 * 1024 * 1024
PATHS = frozenset({"PATH", "LIST[PATH]"})
"""Types of parameters whose values are paths."""


class Value(WireModel):
    """The value of a parameter."""

    type: str
    """As the specification calls it: `INT`, `PATH`, …"""
    value: Any
    """Paths are relative to the job directory, if they lie in it."""


class KeptTemplate(WireModel):
    """A template, and what its chunks were told beside it."""

    template: dict[str, Any]
    """As it was read."""
    parameters: dict[str, Value]
    """Of all job parameters."""
    step: str
    """Name of the step that renders frames."""
    frame: str
    """Name of its task parameter that counts them."""
    in_chunks: bool
    """Whether the task parameter holds ranges (`CHUNK[INT]`); else each frame is a task."""
    others: dict[str, Value]
    """Its other task parameters, each of which has one value."""
    folder: str | None = None
    """Name of the job parameter that is the folder of the images: an attempt gives it a folder of its own."""


def read_kept(path: Path) -> KeptTemplate:
    """Read the file.

    Raises:
        RequestError: It is not there, or something else.
    """
    try:
        with open_regular(path) as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise ValueError("it has more than 16 MiB")
        return KeptTemplate.model_validate(read_json(data))
    except OSError as exc:
        raise RequestError(f"{path} can't be read: {exc.strerror}") from None
    except (ValueError, ValidationError) as exc:
        raise RequestError(f"{path} was not written by `helios-job openjd`, or was changed: {exc}") from None
