"""The accepted images of a chunk, as they stand in records: a size and a digest for each, and no more."""

from typing import Annotated

from pydantic import ConfigDict, Field

from helios.models.base import WireModel
from helios.models.verification import VerifyLevel

Known = tuple[Annotated[int, Field(ge=0)], Annotated[str, Field(pattern="^[0-9a-f]{64}$")]]
"""The size of an image in bytes, and its SHA-256 in hexadecimal."""


class ImageKind(WireModel):
    """What the images of one sequence must agree in."""

    format: str
    """PNG, JPEG, TIFF, EXR, DPX, WebP, BMP."""
    depth: str
    """Of each color: `8 bits`, `16-bit float`."""

    def differences(self, other: "ImageKind") -> str:
        """Name what differs: `depth 16 bits instead of 8 bits`."""
        pairs = {"format": (self.format, other.format), "depth": (self.depth, other.depth)}
        return ", ".join(f"{name} {mine} instead of {its}" for name, (mine, its) in pairs.items() if mine != its)


class AcceptedImages(WireModel):
    """All images of a chunk."""

    kind: ImageKind
    """What they are."""
    first: Annotated[int, Field(ge=0)]
    """The frame of the first one."""
    digests: tuple[Known, ...]
    """Of each image, in the order of their frames."""

    @property
    def known(self) -> dict[int, Known]:
        """By frame."""
        return dict(enumerate(self.digests, start=self.first))


class DeliveredImages(WireModel):
    """Images that a worker elsewhere has rendered, verified, and put into storage."""

    model_config = ConfigDict(extra="ignore")

    prefix: str
    """The URL of each, up to its frame's number."""
    suffix: str
    """What follows the number: the extension."""
    kind: ImageKind | None = None
    """What they are; None where none is whole."""
    known: dict[int, Known] = Field(default_factory=dict)
    """Size and digest of each, by frame."""


class PartialImages(WireModel):
    """The record of a chunk that is not whole: some of its images are accepted, and its command may be running."""

    chunk_id: int
    """The chunk's id."""
    run_id: str
    """The flow run."""
    inputs: str | None = None
    """Digest of what the images were rendered from; as in the record of a whole chunk."""
    input_list: str | None = None
    """Likewise."""
    verified: VerifyLevel = VerifyLevel.CONTAINER
    """How thoroughly the accepted images were verified."""
    kind: ImageKind | None = None
    """What they are; None as long as there are none."""
    known: dict[int, Known] = Field(default_factory=dict)
    """The accepted images, by frame."""
    folder: str | None = None
    """Where a command writes, or was writing, further images: a folder beside the sequence, by its name. None where it
    wrote them in their places."""
    left_at: str | None = None
    """Where a worker elsewhere puts them: the folder of its attempt, by its key in storage. None for one that shares
    this machine's disk."""
    left_by: str | None = None
    """The place of that worker, where the request names several."""
    asked: tuple[int, int] | None = None
    """The frames that the command was asked for: the first one, and their number. None where no command runs."""

    def at_rest(self, **changes: object) -> "PartialImages":
        """The record where no command runs any more, with changes."""
        return self.model_copy(update={**changes, "folder": None, "left_at": None, "left_by": None, "asked": None})
