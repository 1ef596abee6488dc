"""How thoroughly an output is verified."""

from enum import StrEnum
from typing import Any


class VerifyLevel(StrEnum):
    """How much of an output is looked at; each level includes the ones before it. Never renamed: records have them."""

    CONTAINER = "container"
    """Packets alone: number, times, size, rate, codec parameters. No frame is decoded."""
    DECODE = "decode"
    """Every frame and the sound decode, without concealed damage."""
    PICTURES = "pictures"
    """The pictures are those of one video: chunks neither repeat each other nor jump where they meet."""

    def covers(self, other: "VerifyLevel") -> bool:
        """Whether an output that was verified at this level needs nothing more at another."""
        levels = list(VerifyLevel)
        return levels.index(self) >= levels.index(other)


DEFAULT_LEVEL = VerifyLevel.DECODE
"""Where neither the parameter nor the document names a level."""


def known_level(value: Any) -> VerifyLevel | None:
    """The level that a counterpart names; None for one that is not known here, which is never taken for another."""
    try:
        return VerifyLevel(value)
    except ValueError:
        return None
