"""What stays of a chunk's pictures: bounded, whatever the chunk's length. Workers send it, and records keep it."""

from enum import StrEnum
from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, Field, ValidationError

from helios.models.base import WireModel

Index = Annotated[int, Field(ge=0)]
Levels = Annotated[float, Field(ge=0, allow_inf_nan=False)]
"""A difference or a brightness, in levels: 0 to 255, as an 8-bit picture has them, with fractions."""
Fingerprint = Annotated[str, Field(pattern="^[A-Za-z0-9+/]{256}$")]
"""A picture: 192 bytes in base64, as `helios.media.fingerprints.pack` writes it."""


class _Tolerant(WireModel):
    model_config = ConfigDict(extra="ignore")


class Stretch(_Tolerant):
    """Consecutive frames of one kind."""

    start: Index = 0
    """The first, counted from 0 in the chunk."""
    frames: Index = 0
    """How many; 0 where there are none."""
    entry: Levels | None = None
    """The step into it; empty where it begins with the chunk."""
    exit: Levels | None = None
    """The step out of it; empty where it ends with the chunk."""
    before: Levels | None = None
    """The step before `entry`; empty where there is none in the chunk."""
    after: Levels | None = None
    """The step after `exit`; empty where there is none in the chunk."""


class Flash(_Tolerant):
    """A frame that differs from both its neighbours more than they differ from each other."""

    frame: Index
    """Counted from 0 in the chunk."""
    height: Levels
    """The smaller of its two differences from its neighbours."""
    gap: Levels
    """The difference of its neighbours from each other."""


class Steps(_Tolerant):
    """The differences of a chunk's frames from the frames before them; a chunk of one frame has none."""

    smallest: Levels
    """The smallest."""
    largest: Levels
    """The largest."""
    mean: Levels
    """The mean."""
    shift: Levels
    """The largest change of the mean luma, up or down."""
    colour_shift: Levels
    """The largest change of the mean of a chroma plane."""


class ChunkPictures(_Tolerant):
    """A chunk's first and last fingerprints, and statistics of all of them."""

    first: Annotated[tuple[Fingerprint, ...], Field(min_length=1, max_length=8)]
    """Of its first frames."""
    last: Annotated[tuple[Fingerprint, ...], Field(min_length=1, max_length=8)]
    """Of its last frames, in the order shown; the same as `first` in a short chunk."""
    steps: Steps | None = None
    """How much frames differ from the ones before; empty for one frame."""
    # By a factory: a default value would be built, and with it the validator, as this is imported.
    frozen: Annotated[Stretch, Field(default_factory=Stretch)]
    """The longest stretch of frames that are like the frame before."""
    black: Annotated[Stretch, Field(default_factory=Stretch)]
    """The longest stretch of black frames."""
    plain: Annotated[Stretch, Field(default_factory=Stretch)]
    """The longest stretch of frames of one colour that is not black."""
    flash: Flash | None = None
    """The frame that stands out most from both its neighbours."""


def known_pictures(value: Any) -> ChunkPictures | None:
    """What a counterpart kept of a chunk's pictures; None for what can't be read here."""
    try:
        return None if value is None else ChunkPictures.model_validate(value)
    except ValidationError:
        return None


KnownPictures = Annotated[ChunkPictures | None, BeforeValidator(known_pictures)]
"""What a counterpart of another version kept of a chunk's pictures; what can't be read here counts as none."""


class PictureFault(StrEnum):
    """What is wrong with pictures, or may be. Never renamed: reports have them."""

    REPEAT = "repeat"
    """A chunk begins with the frame before it."""
    RESTART = "restart"
    """A chunk shows the frames of an earlier one."""
    JUMP = "jump"
    """Brightness or colour jump at a seam."""
    BLACK = "black"
    """Frames are black, in one chunk alone."""
    PLAIN = "plain"
    """Frames are of one colour, in one chunk alone."""
    FROZEN = "frozen"
    """Frames stand still and then jump, in one chunk alone."""
    FLASH = "flash"
    """One frame is unlike those before and after it, in one chunk alone."""


class PictureFinding(WireModel):
    """Something wrong, or suspicious, in a job's pictures."""

    kind: PictureFault
    """What."""
    is_certain: bool = False
    """Whether it fails its chunk; else it is a warning."""
    chunk_id: int
    """The chunk."""
    frame: int
    """The frame that shows it, as the composition counts."""
    other_chunk_id: int
    """The chunk of the frame to compare it with; may be the same."""
    other_frame: int
    """The frame to compare it with."""
    message: str
    """For people."""
