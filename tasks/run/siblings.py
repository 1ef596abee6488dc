"""What the accepted outputs of a job have in common, so that they can be joined: the first ones decide."""

from helios.errors import MisfitError
from helios.media.animation_kinds import joined_name
from helios.media.containers import check_container
from helios.media.parameters import AudioParameters
from helios.media.verify import VerifiedOutput
from helios.models.images import ImageKind
from tasks.request.prepare import PreparedJob


class Siblings:
    """The first accepted outputs of one run, with which all others are compared.

    Args:
        job: The job.
    """

    def __init__(self, job: PreparedJob) -> None:
        self._job = job
        self.is_rehearsal_due = False
        """Whether no chunk of the kind accepted has been tried in the wanted video."""
        self._first_accepted: tuple[str, VerifiedOutput] | None = None
        self._first_with_sound: tuple[str, VerifiedOutput] | None = None
        self._first_images: tuple[str, ImageKind] | None = None

    def check_fits(self, name: str, verified: VerifiedOutput) -> None:
        """Compare a verified output with the first accepted ones, and the first output with the wanted video.

        Raises:
            OutputError: It can't be joined with its siblings.
            RequestError: No chunk of this kind can be joined into the wanted video.
        """
        for known in (self._first_accepted, self._first_with_sound):
            if known is not None:
                verified.check_sibling(known[1], name=name, other_name=known[0])
        is_first, is_loud = self._first_accepted is None, verified.audio and self._first_with_sound is None
        if self._job.output is not None and is_first:
            check_container(joined_name(self._job.output), verified.video.codec)
        if is_first:
            self._first_accepted = (name, verified)
        if is_loud:
            self._first_with_sound = (name, verified)
        if is_first or is_loud:
            self.is_rehearsal_due = self._job.output is not None

    def check_images_fit(self, name: str, kind: ImageKind) -> None:
        """Compare the images of a chunk with those of the first accepted one.

        Raises:
            MisfitError: They are of another kind.
        """
        if self._first_images is None:
            self._first_images = name, kind
        first, known = self._first_images
        if kind != known:
            raise MisfitError(f"{name} does not fit {first}: {kind.differences(known)}; expected images of one kind")

    @property
    def image_kind(self) -> ImageKind | None:
        """What the accepted images are; None as long as no chunk is whole."""
        return self._first_images[1] if self._first_images else None

    @property
    def sound(self) -> AudioParameters | None:
        """Format of the accepted chunks' sound; None as long as none has any."""
        return self._first_with_sound[1].audio if self._first_with_sound else None
