"""What a scene says about itself when it is asked: which frames there are, and how they are shown."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from helios.errors import Problem, RequestError
from helios.models.frame_numbers import MAX_CHUNKS, MAX_FRAME, SpecRefusedError
from helios.models.framerate import FrameRate, write_frame_rate
from helios.renderers.preset import OptionName

Count = Annotated[int, Field(strict=True, ge=1, le=MAX_FRAME)]
Pixels = Annotated[int, Field(strict=True, ge=1, le=65_536)]
Texts = Annotated[tuple[str, ...], Field(max_length=10_000)]


@dataclass(frozen=True)
class Said:
    """What a person says about a scene; None where nothing is said."""

    frames: int | None = None
    """Frames to render."""
    start_frame: int | None = None
    """The first of them."""
    fps: Fraction | None = None
    """Frames per second."""
    size: tuple[int, int] | None = None
    """Width and height in pixels."""

    @property
    def values(self) -> dict[str, str]:
        """What a scene can be asked with: the options `fps`, `width` and `height`."""
        found = {"fps": str(write_frame_rate(self.fps))} if self.fps else {}
        return {**found, **dict(zip(("width", "height"), map(str, self.size or ()), strict=False))}


class Scene(BaseModel):
    """The answer of a scene, or of the person who knows it. What is not said is None."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    frames: Count | None = None
    """Frames of the whole video."""
    start_frame: Annotated[int, Field(strict=True, ge=0, le=MAX_FRAME)] = 0
    """The first of them, as the program counts them."""
    fps: FrameRate | None = None
    """Frames per second, exact."""
    width: Pixels | None = None
    """Pixels."""
    height: Pixels | None = None
    """Pixels."""
    format: Annotated[str, Field(max_length=200)] = ""
    """In what the scene is set to be written, for people."""
    parts: Annotated[tuple[Count, ...], Field(max_length=MAX_CHUNKS)] = ()
    """Frames of the parts that the program can't cut, such as Manim's animations, in order; empty where it can begin
    with any frame."""
    inputs: Texts = ()
    """Files that the scene reads, relative to the working directory."""
    values: dict[OptionName, str] = Field(default_factory=dict)
    """Options that the scene knows better than the preset."""
    problems: Texts = ()
    """Why it can't be rendered."""
    video_problems: Texts = ()
    """Why it can't become a video, though images can be rendered."""
    warnings: Texts = ()
    """What a person should know before it is rendered."""

    @model_validator(mode="after")
    def _check_parts(self) -> Self:
        if self.parts and sum(self.parts) != self.frames:
            found = f"parts of {sum(self.parts)} frames together"
            raise SpecRefusedError((Problem("parts", found, f"{self.frames}, the number of `frames`"),))
        return self

    def told(self, said: Said) -> "Scene":
        """The scene with what a person says about it, who knows better.

        Raises:
            RequestError: There is no frame left from the first one on.
        """
        frames, start = said.frames, said.start_frame
        if frames is None and start is not None and self.frames is not None:
            frames = self.start_frame + self.frames - start
            if frames < 1:
                last = self.start_frame + self.frames - 1
                raise RequestError(f"--start-frame {start}: expected at most {last}, the scene's last frame")
        width, height = said.size or (None, None)
        told = {"frames": frames, "start_frame": start, "fps": said.fps, "width": width, "height": height}
        changed: dict[str, object] = {name: value for name, value in told.items() if value is not None}
        if {"frames", "start_frame"} & changed.keys():
            changed["parts"] = ()  # they are parts of the whole
        return self.model_copy(update=changed)

    @property
    def missing(self) -> str | None:
        """The options by which a person says what the scene does not; None where all is known."""
        wanted = {"--frames": self.frames, "--fps": self.fps, "--size": self.width and self.height}
        return " and ".join(name for name, value in wanted.items() if value is None) or None

    def pictures(self) -> tuple[Fraction, int, int]:
        """Rate, width and height.

        Raises:
            RequestError: Not all of it is known.
        """
        if self.fps is None or self.width is None or self.height is None:
            raise RequestError(f"Not known of the pictures: {self.missing}; give that")
        return self.fps, self.width, self.height

    @property
    def in_words(self) -> str:
        """`48 frames from 1, 24 fps, 320×180, PNG`."""
        start = f" from {self.start_frame}" if self.start_frame else ""
        rate = write_frame_rate(self.fps) if self.fps else ""
        words = [f"{self.frames} frames{start}" if self.frames else "", f"{rate} fps" if rate else ""]
        words += [f"{self.width}×{self.height}" if self.width else "", self.format]
        words += [f"{len(self.parts)} parts" if self.parts else ""]
        return ", ".join(filter(None, words))
