"""The contract of a site: where chunks are rendered, as the flow sees it. A third kind of site is one more class.

    prepare_job ─► site_of(adapter) ─► Site
    flow        ─► open() once a run, clean() at its end
    a chunk     ─► order() gives the adapter's job and the file in which the output arrives ─► collect()

A site knows neither Prefect nor the flow.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from helios.adapter import WorkerAdapter
from helios.models.image_pattern import ImagePattern
from helios.models.images import DeliveredImages
from helios.models.spec import RenderJobChunk
from helios.models.verification import DEFAULT_LEVEL, VerifyLevel
from helios.models.worker import WorkerJob, WorkerResult
from helios.storage.folder import Storage

Tell = Callable[[str], None]
"""Takes a line for the run's log."""


@dataclass(frozen=True)
class Attempt:
    """One attempt of a chunk, as it is given to a site."""

    chunk: RenderJobChunk
    """The chunk."""
    position: int
    """Where it stands in the job document, counted from 0."""
    number: int
    """Counts the chunk's attempts, from 1."""
    output: Path
    """The file that the output will be once it is accepted; of images the pattern of their names."""
    private: Path
    """A file beside it that no other attempt of any job uses; of images a folder."""
    timeout_seconds: float | None = None
    """The command is stopped when it runs longer."""
    stall_seconds: float | None = None
    """The command is stopped after this many seconds without a sign of life."""
    level: VerifyLevel = DEFAULT_LEVEL
    """How thoroughly a worker that verifies its output does so."""
    avoid_worker: str | None = None
    """The worker that should not run it, where the adapter can choose."""
    part: tuple[int, int] | None = None
    """The first frame and the number of frames, where not all of the chunk's images are wanted."""


@dataclass(frozen=True)
class Order:
    """What is asked of the adapter."""

    job: WorkerJob
    """The command, in the adapter's terms."""
    place: Path
    """The file in which the output arrives on this machine: the attempt's private file, or the output itself. Of images
    the folder: the attempt's private one, or that of the sequence."""
    left_at: str | None = None
    """Where a worker puts images that does not share this machine's disk: for `fetch_images`."""


class Site(Protocol):
    """Where one job's chunks are rendered."""

    def slots(self, *, has_deadline: bool) -> int:
        """Chunks rendered at a time at most, where the request names no number.

        Args:
            has_deadline: Whether a deadline decides how many: then as many as the adapter takes, not `concurrency`.
        """
        ...

    @property
    def merge_adapter(self) -> WorkerAdapter:
        """Runs the job's own merge command, where the request names no adapter for it."""
        ...

    def storage_at(self, url: str) -> Storage:
        """A folder in artifact storage, with this site's rights where it has some there."""
        ...

    async def open(
        self, key: str, token: str, *, tell: Tell, on_upload: Callable[[], None], known: Mapping[str, tuple[str, int]]
    ) -> None:
        """Make ready for one run.

        Args:
            key: The job's name in records, the same for all its runs.
            token: Tells this execution from others.
            tell: Takes a line for the run's log, now and until the site is closed.
            on_upload: Called first, where something may have to be sent to the site.
            known: Digests and sizes of input files that were hashed already, by their names.

        Raises:
            RequestError: The site can't be used.
        """
        ...

    async def order(self, attempt: Attempt) -> Order:
        """Say what the adapter is to do for an attempt, and where the output arrives."""
        ...

    @property
    def hedge(self) -> float:
        """What second attempts of slow chunks may cost, as a share of the others' time, where nobody names a share."""
        ...

    def is_repeatable(self, chunk: RenderJobChunk) -> bool:
        """Whether two attempts of a chunk do not write to the same file."""
        ...

    def check_repeatable(self, chunk: RenderJobChunk) -> None:
        """Make sure that a chunk can be rendered again while its accepted output stays where it is.

        Raises:
            RequestError: It can't.
        """
        ...

    async def collect(self, ended: WorkerResult, place: Path) -> VerifyLevel:
        """Bring the output of an attempt that ended well to `place`.

        Returns:
            The level at which these very bytes were verified where the output was rendered: at this level, and below,
            they are not verified again.

        Raises:
            OutputError: The worker left no output.
            WorkerUnavailableError: The output is gone, or arrived damaged.
        """
        ...

    async def fetch_images(
        self, left_at: str, folder: Path, images: ImagePattern, *, delivered: DeliveredImages | None = None
    ) -> None:
        """Bring the images of an attempt to a folder on this machine.

        Args:
            left_at: As in the order.
            folder: Where they are to lie, under their own names.
            images: Their names.
            delivered: Those that the worker has named, whose digests are compared. None for whatever is there of an
                attempt that failed, or that was not waited for.

        Raises:
            WorkerUnavailableError: One is gone, or arrived damaged.
        """
        ...

    async def close(self) -> None:
        """Give up what `open` took hold of; also where it failed, or was not called."""
        ...

    async def clean(self, key: str, *, always: bool = False) -> int:
        """Remove what a job's runs left at the site beside its outputs on this machine.

        Args:
            key: The job's name in records.
            always: Also where the adapter's configuration keeps it.

        Returns:
            The number of objects removed.
        """
        ...
