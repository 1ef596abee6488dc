"""Bounds of the numbers in a document, and the error for parts of it that do not go together."""

from typing import Annotated

from pydantic import Field

from helios.errors import Problem

MAX_CHUNKS = 100_000
"""A job of more chunks is refused: every chunk is a task run in Prefect's database."""
MAX_FRAME = 2**31 - 1
"""Frames are counted up to here: two years at 30 per second. Times in video files are computed from these."""
MAX_SECONDS = 1e9
"""The longest duration that a document may state."""
Count = Annotated[int, Field(strict=True, ge=1, le=MAX_FRAME)]
"""Frames, at least one."""
Index = Annotated[int, Field(strict=True, ge=0, le=MAX_FRAME)]
"""A frame, as the composition counts them."""


class SpecRefusedError(ValueError):
    """Carries the problems that only show when a document's parts are seen together."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        self.problems = problems
        super().__init__("\n".join(map(str, problems)))
