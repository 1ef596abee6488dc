"""What stays of a chunk's pictures: bounded, whatever the chunk's length. Workers send it, and records keep it."""

from enum import StrEnum
from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, Field, ValidationError

from helios.models.base import WireModel
from helios.models.sound import ChunkSound

Index = Annotated[int, Field(ge=0)]
Levels = Annotated[float, Field(ge=0, allow_inf_nan=False)]
"""A difference or a brightness, in levels: 0 to 255, as an 8-bit picture has them, with fractions."""
Fingerprint = Annotated[str, Field(pattern="^[A-Za-z0-9+/]{256}$")]
"""A picture: 192 bytes in base64, as `helios.media.fingerprints.pack` writes it."""


Bands = Annotated[tuple[Levels, ...], Field(min_length=10, max_length=10)]


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
    third: Levels | None = None
    """The third largest: the largest, if there are two cuts. Empty for fewer than six, and from earlier versions."""
    usual: Levels | None = None
    """The mean without the two largest and the two smallest; empty likewise."""


class Uneven(_Tolerant):
    """Places where motion is not even: frames that are missing, doubled or exchanged make such."""

    dips: Index = 0
    """Frames that differ hardly from the frame before, while those around move on."""
    doubles: Index = 0
    """Frames that are two steps from the frame before, in the direction of the motion around."""
    turns: Index = 0
    """Frames that go back by a step, between steps forward."""
    loose: Index = 0
    """All such frames, also those around which motion is not steady."""
    frame: Index = 0
    """The first frame of these, counted from 0 in the chunk."""


class Held(_Tolerant):
    """A row of blocks that stands still while other rows move, and then catches up."""

    row: Index
    """Counted from 0, from above."""
    start: Index
    """The first still frame, counted from 0 in the chunk."""
    frames: Annotated[int, Field(ge=1)]
    """How many."""
    is_clear: bool = False
    """Whether the row neither is so still otherwise, nor moves so far as when it catches up."""


class Rough(_Tolerant):
    """How far motion is from being smooth: third differences of blocks over four frames, halved.

    Motion with a steady acceleration has none. Where a block changes by some levels from one frame to the next, and
    stays changed, it is that many levels.
    """

    bands: Bands
    """The largest of each band, the root of the mean square over its blocks. The bands are the rows of blocks of luma,
    all of luma, and all of chroma."""
    usual: Bands
    """The seventh largest of each band: the largest, if there are two cuts."""
    blocks: Fingerprint
    """The largest of each block, of luma and of chroma, without its sign."""
    frame: Index
    """The frame at which a block changes most suddenly, counted from 0 in the chunk."""
    change: Fingerprint
    """The change of each block there, 32,768 added."""


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
    spark: Flash | None = None
    """The frame of which a block stands out most from the same block of both its neighbours."""
    # What follows is missing in what earlier versions kept.
    uneven: Uneven | None = None
    """Where motion is not even; empty for fewer than four frames."""
    held: Held | None = None
    """The longest stretch in which a row of blocks stands still alone."""
    rough: Rough | None = None
    """How far motion is from being smooth; empty for fewer than four frames."""
    sound: ChunkSound | None = None
    """What stays of its sound, if it has uncompressed sound."""


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
    """Frames stand still amid motion, in one chunk alone."""
    FLASH = "flash"
    """One frame is unlike those before and after it, in one chunk alone."""
    STUTTER = "stutter"
    """Frames are missing, doubled or exchanged, in one chunk alone."""
    STRIP = "strip"
    """A part of the picture's height stands still for some frames, in one chunk alone."""
    FOREIGN = "foreign"
    """A chunk goes on neither from the chunk before nor to the chunk after."""
    PART = "part"
    """A part of the picture changes at both ends of a chunk, or inside and at its end."""
    SPARK = "spark"
    """A part of one frame is unlike those before and after it, in one chunk alone."""
    SOUND = "sound"
    """A chunk's sound goes on neither from the chunk before nor to the chunk after."""
    SILENCE = "silence"
    """A chunk's sound begins or ends with silence, from one sample to the next, where it meets another chunk."""
    COPY = "copy"
    """Chunks hold the same pictures, packet by packet, for different frames. Found at every level of verification."""
    SOUND_LENGTH = "sound-length"
    """A chunk's sound is shorter or longer than its pictures."""
    SOURCE = "source"
    """Frames of an encode look like the source's picture before or after their own."""


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
