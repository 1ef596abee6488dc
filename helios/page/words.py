"""What a page says about itself, and what is said about its errors."""

import re
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from helios.errors import RequestError, SpecError
from helios.job.source import describe
from helios.models.frame_numbers import MAX_FRAME
from helios.models.framerate import FrameRate
from helios.renderers.scene import Count, Pixels

ORIGIN = "https://page.invalid/"
"""What the folder of the job is called in the page. No machine has this name; files are answered by this program."""
NO_SCENE = (
    "it sets no window.heliosScene, which says its frames: "
    "window.heliosScene = {frames: 120, fps: 30, width: 1280, height: 720, draw(frame, seconds) { … }}"
)


class PageScene(BaseModel):
    """What `window.heliosScene` says."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    frames: Count
    """Frames of the whole."""
    start_frame: Annotated[int, Field(strict=True, ge=0, le=MAX_FRAME, alias="startFrame")] = 0
    """The first one's number."""
    fps: FrameRate
    """Frames per second: a number, or a text such as `"30000/1001"`."""
    width: Pixels
    """Of the window, in CSS pixels."""
    height: Pixels
    """Of the window, in CSS pixels."""


class PageError(RequestError):
    """A page threw an error, or did not get what it reads."""


def read_scene(said: Any, *, page: str) -> PageScene:
    """Read what a page says.

    Raises:
        PageError: It says nothing.
        SpecError: It says something else; names the field.
    """
    if said is None:
        raise PageError(NO_SCENE)
    try:
        return PageScene.model_validate(said)
    except ValidationError as exc:
        raise SpecError(
            f"window.heliosScene of {page}", describe(exc, of="of a page (see docs/renderers.md)")
        ) from None


def error_words(text: str) -> str:
    """An error of a page in one line: its own words, and where in the page it was thrown."""
    text = re.sub(r"^Page\.\w+: ", "", text.replace(ORIGIN, "")).strip()
    first, *stack = text.splitlines() or [""]
    place = next((found for line in stack if (found := re.search(r"([^\s()]+:\d+:\d+)", line))), None)
    return f"{first} ({place[1]})" if place and place[1] not in first and "<anonymous>" not in place[1] else first
