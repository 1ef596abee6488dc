"""The site of workers that share this machine's disk: commands write where the outputs lie."""

import os
import posixpath
from collections.abc import Callable, Mapping
from pathlib import Path

from helios.adapter import WorkerAdapter
from helios.errors import RequestError
from helios.job.directory import JobDirectory
from helios.models.image_pattern import ImagePattern
from helios.models.images import DeliveredImages
from helios.models.range_command import words_for
from helios.models.spec import JobSpec, RenderJobChunk
from helios.models.verification import VerifyLevel
from helios.models.worker import WorkerJob, WorkerResult
from helios.processes.reader import prepare_readers
from helios.storage.folder import Storage
from helios.storage.stores import StorageSettings
from tasks.site.requirements import gpus_of, heed_requirements, most_at_once
from tasks.site.site import Attempt, Order, Tell


class LocalSite:
    """This machine's disk; see `tasks.site.site.Site`.

    Args:
        adapter: Runs the commands.
        spec: The job document.
        directory: The job directory.
        source: Path or URL of the job document; None when it was given as an object.
    """

    def __init__(self, adapter: WorkerAdapter, *, spec: JobSpec, directory: JobDirectory, source: str | None) -> None:
        self.merge_adapter = adapter
        """Runs the job's own merge command too: the outputs are where it runs."""
        self._spec = spec
        self._directory = directory
        self._source = source

    @property
    def concurrency(self) -> int:
        """What the GPUs take that the adapter hands out; else the number of this machine's CPUs."""
        pool = gpus_of(self.merge_adapter)
        return (os.cpu_count() or 1) if pool is None else most_at_once(pool, self._spec)

    def slots(self, *, has_deadline: bool) -> int:
        """As `concurrency`, also for a deadline: more chunks than this machine has CPUs end no sooner."""
        return self.concurrency

    def storage_at(self, url: str) -> Storage:
        """A folder in storage, with the rights of the environment."""
        return Storage(StorageSettings(url=url))

    async def open(
        self, key: str, token: str, *, tell: Tell, on_upload: Callable[[], None], known: Mapping[str, tuple[str, int]]
    ) -> None:
        """Start what is going to verify outputs; the disk is ready."""
        prepare_readers()
        heed_requirements(self.merge_adapter, self._spec, tell)

    async def order(self, attempt: Attempt) -> Order:
        """Let the command write into the attempt's own file, or, where it names none, into the output itself."""
        argv, place = _give_own_file(self._spec, attempt)
        job = WorkerJob(
            command=argv[0],
            args=tuple(argv[1:]),
            cwd=str(self._directory.base),
            job_dir=str(self._directory.path),
            timeout_seconds=attempt.timeout_seconds,
            stall_seconds=attempt.stall_seconds,
            output_file=str(place),
            job_url=None if self._spec.grows else self._source,  # which has no such chunk
            chunk_index=attempt.position,
            chunk_id=attempt.chunk.id,
            attempt=attempt.number,
            avoid_worker=attempt.avoid_worker,
            requires=self._spec.required_by(attempt.chunk),
            log_rules=self._spec.log_rules,
        )
        return Order(job, place)

    @property
    def hedge(self) -> float:
        """None: what a command writes beside its output, two of them would write at the same time, in one folder."""
        return 0.0

    def is_repeatable(self, chunk: RenderJobChunk) -> bool:
        """Whether the command writes where it is told to."""
        return _names_output(chunk)

    def check_repeatable(self, chunk: RenderJobChunk) -> None:
        """Make sure that the command writes where it is told to; else it would replace the accepted output."""
        if not self.is_repeatable(chunk):
            raise RequestError(
                f"Chunk {chunk.id} can't be audited: its command does not name its output {chunk.output_file!r} as a "
                "word of its own, so that a second render would replace the first. Let the command take the output's "
                "name as an argument, or leave the audit out (--audit)"
            )

    async def collect(self, ended: WorkerResult, place: Path) -> VerifyLevel:
        """Do nothing: the command wrote the output here, and nothing has decoded it."""
        return VerifyLevel.CONTAINER

    async def fetch_images(
        self, left_at: str, folder: Path, images: ImagePattern, *, delivered: DeliveredImages | None = None
    ) -> None:
        """Do nothing: images that an earlier run has left elsewhere can't be had from here."""

    async def close(self) -> None:
        """Do nothing: nothing was opened."""

    async def clean(self, key: str, *, always: bool = False) -> int:
        """Do nothing: there are outputs alone."""
        return 0


def _give_own_file(spec: JobSpec, attempt: Attempt) -> tuple[list[str], Path]:
    """Give the attempt a file of its own, by putting its path where the command names the output.

    A command that does not name its output as a word of its own writes to the output itself; then the attempt is the
    only one of its chunk, and the caller makes way for it.
    """
    chunk = attempt.chunk
    if chunk.images is not None:
        return _give_own_folder(spec, chunk.images, attempt)
    words = chunk.argv
    if not _names_output(chunk):
        return list(words), attempt.output
    named = Path(chunk.output_file).with_name(attempt.private.name).as_posix()
    if chunk.output_file.startswith("./"):
        named = f"./{named}"
    return [words[0], *(named if word == chunk.output_file else word for word in words[1:])], attempt.private


def _give_own_folder(spec: JobSpec, images: ImagePattern, attempt: Attempt) -> tuple[list[str], Path]:
    """Give the attempt a folder of its own, by putting it before the images' names where the command names them.

    A command that does not name them as a word of their own writes them in their places.
    """
    chunk, part = attempt.chunk, attempt.part
    words = chunk.argv
    if part is not None and spec.range_command is not None:
        words = words_for(chunk.output_file, spec.range_command, start=part[0], count=part[1])
    if images.spellings.isdisjoint(words[1:]):
        return list(words), attempt.output.parent
    own = [f"{images.folder}{attempt.private.name}/{posixpath.basename(word)}" if word in images.spellings else word
           for word in words[1:]]  # fmt: skip
    return [words[0], *own], attempt.private


def _names_output(chunk: RenderJobChunk) -> bool:
    """Whether a chunk's command names its output as a word of its own."""
    words = chunk.argv[1:]
    return chunk.output_file in words if chunk.images is None else not chunk.images.spellings.isdisjoint(words)
