"""The site of workers that do not share this machine's disk: everything goes through artifact storage.

`helios.job.attempts` has the layout of the storage.
"""

import hashlib
import json
import posixpath
import shlex
from collections.abc import Callable, Collection, Mapping
from functools import partial
from pathlib import Path

from adapters import create_adapter
from helios.adapter import (
    BoundedAdapter,
    ConnectedAdapter,
    PlacingAdapter,
    StorageAdapter,
    TellingAdapter,
    WorkerAdapter,
)
from helios.bounded import map_bounded
from helios.errors import OutputError, WorkerUnavailableError
from helios.job.assets import Selection, list_name, select_assets, upload_assets
from helios.job.attempts import RESULT, STARTED, AttemptRecord, attempt_url, image_frame
from helios.job.directory import JobDirectory
from helios.job.source import check_assets_url
from helios.models.image_pattern import ImagePattern
from helios.models.images import DeliveredImages
from helios.models.range_command import words_for
from helios.models.spec import JobSpec, RenderJobChunk
from helios.models.verification import VerifyLevel
from helios.models.worker import Artifact, WorkerJob, WorkerResult
from helios.storage.folder import Storage
from helios.storage.stores import StorageSettings
from helios.storage.urls import split_url
from tasks.site.encode_source import lists_of_blocks, source_name
from tasks.site.requirements import heed_requirements
from tasks.site.site import Attempt, Order, Tell

FETCHES = 8
"""Images that are fetched at a time."""
DEFAULT_HEDGE = 0.05
"""See docs/decisions/hedges-where-attempts-are-apart.md."""
REMOTE_CONCURRENCY = 10
"""Chunks at a time on workers elsewhere: the smallest quota of a new account at Amazon's."""


class StorageSite:
    """Artifact storage; see `tasks.site.site.Site`.

    Args:
        adapter: Runs the commands, and has the storage.
        name: The job's, for people.
        spec: The job document.
        directory: The job directory.
        written: Files that the job writes: never an input.
        apart: The name of the site's folder in that of the run, where the job has other sites.

    Raises:
        RequestError: A pattern of input files finds nothing, or there are too many files.
    """

    def __init__(
        self, adapter: StorageAdapter, *, name: str, spec: JobSpec, directory: JobDirectory, written: Collection[Path],
        apart: str | None = None,
    ) -> None:  # fmt: skip
        self._adapter = adapter
        self._name = name
        self._spec = spec
        if spec.assets_url is not None:
            check_assets_url(spec.assets_url)
        self._directory = directory.path
        self._base = directory.base.relative_to(directory.path).as_posix()
        self._keep = adapter.keep_objects
        self._storage: Storage = adapter.storage
        self._assets_url = spec.assets_url
        self._assets = Selection([], [], [])
        if adapter.assets is not None or spec.assets_url is None:
            self._assets = select_assets(
                directory.path, patterns=adapter.assets, outputs=written, source=source_name(spec, directory)
            )
        self._apart = apart
        self._run_folder = self._folder = ""
        self._has_document: set[str] = set()
        self._ranged: dict[str, str] = {}

    @property
    def concurrency(self) -> int:
        """What the adapter knows of its workers, else a fixed number: they are not this machine's CPUs."""
        return self._adapter.concurrency if isinstance(self._adapter, PlacingAdapter) else REMOTE_CONCURRENCY

    def slots(self, *, has_deadline: bool) -> int:
        """As `concurrency`; for a deadline what the adapter takes at most."""
        adapter = self._adapter
        if not has_deadline or isinstance(adapter, PlacingAdapter) or not isinstance(adapter, BoundedAdapter):
            return self.concurrency
        return adapter.max_in_flight

    @property
    def merge_adapter(self) -> WorkerAdapter:
        """Processes on this machine, where the outputs arrive."""
        return create_adapter("local")[1]

    def storage_at(self, url: str) -> Storage:
        """A folder in storage, with the adapter's rights where it is in the adapter's bucket."""
        shared = split_url(self._storage.url)[0] == split_url(url)[0]
        return self._storage.at(url) if shared else Storage(StorageSettings(url=url))

    async def open(
        self, key: str, token: str, *, tell: Tell, on_upload: Callable[[], None], known: Mapping[str, tuple[str, int]]
    ) -> None:
        """Call off the workers of dead runs, and upload the input files that storage does not have."""
        on_upload()
        if isinstance(self._adapter, TellingAdapter):
            self._adapter.tell(tell)
        if isinstance(self._adapter, ConnectedAdapter):
            await self._adapter.open()
        self._run_folder = f"{_job_folder(key)}/{token}"
        self._folder = self._run_folder if self._apart is None else f"{self._run_folder}/{_folder_name(self._apart)}"
        heed_requirements(self._adapter, self._spec, tell)
        if called_off := await self._call_off_earlier(_job_folder(key)):
            tell(f"{called_off} workers of a stopped run were called off")
        for line in self._assets.left_out:
            tell(line)
        if self._assets.files or self._assets.folders:
            bundle = await upload_assets(self._assets, directory=self._directory, storage=self._storage, known=known)
            self._ranged = await lists_of_blocks(self._spec, bundle, self._directory, self._storage)
            data = bundle.model_dump_json().encode()
            list_key = f"{self._folder}/{list_name(data)}"
            await self._storage.write(list_key, data)
            self._assets_url = self._storage.url_of(list_key)
        url = self._storage.url_of(self._folder)
        tell(f"{len(self._assets.files)} input files are in storage; the run's folder is {url}")

    async def order(self, attempt: Attempt) -> Order:
        """Write the chunk's own job document before its first attempt, and name it."""
        chunk = self._part(attempt)
        words, url = chunk.argv, await self._document(chunk, is_part=chunk is not attempt.chunk)
        job = WorkerJob(
            command=words[0],
            args=words[1:],
            timeout_seconds=attempt.timeout_seconds,
            stall_seconds=attempt.stall_seconds,
            job_url=url,
            chunk_id=attempt.chunk.id,
            attempt=attempt.number,
            verify=attempt.level,
            avoid_worker=attempt.avoid_worker,
            requires=self._spec.required_by(attempt.chunk),
            log_rules=self._spec.log_rules,
            job_name=self._name,
            ranged_inputs=self._ranged,
        )
        left_at = None if chunk.images is None else self._storage.key_of(attempt_url(url, attempt.number))
        return Order(job, attempt.private, left_at)

    @property
    def hedge(self) -> float:
        """A twentieth: every attempt has a workspace of its own, and slow machines are nothing unusual."""
        return DEFAULT_HEDGE

    def is_repeatable(self, chunk: RenderJobChunk) -> bool:
        """Say yes: every attempt has a workspace of its own."""
        return True

    def check_repeatable(self, chunk: RenderJobChunk) -> None:
        """Do nothing: every attempt has a workspace of its own."""

    async def collect(self, ended: WorkerResult, place: Path) -> VerifyLevel:
        """Fetch the output, whole and as its worker described it.

        A worker runtime has verified the output before it put it into storage, and the digest is compared on the way
        here. A worker that does not state a level is not known to have verified anything.
        """
        artifact = ended.artifact
        if artifact is None:
            raise OutputError(
                "the worker answered that it rendered, and named no output in storage: does it keep outputs "
                "to itself? Deploy this project's worker (deploy/)"
            )
        try:
            fetch = self._storage.download if self._keep else self._storage.take
            await fetch(self._storage.key_of(artifact.url), place, expected=artifact)
        except FileNotFoundError:
            raise WorkerUnavailableError(f"The output {artifact.url} is not in storage any more") from None
        return ended.verified or VerifyLevel.CONTAINER

    async def fetch_images(
        self, left_at: str, folder: Path, images: ImagePattern, *, delivered: DeliveredImages | None = None
    ) -> None:
        """Fetch each; see `tasks.site.site.Site`."""
        if delivered is not None and delivered.known:
            await map_bounded(partial(self._fetch_image, folder, images, delivered), list(delivered.known),
                              limit=FETCHES)  # fmt: skip
            return
        # Of two executions of an attempt, the image that was put there last.
        entries = sorted([entry async for entry in self._storage.entries(left_at)], key=lambda entry: entry.modified)
        found = {frame: entry for entry in entries if (frame := image_frame(entry.key)) is not None}

        async def fetch(frame: int) -> None:
            await self._storage.download(found[frame].key, folder / images.name(frame), most=found[frame].bytes)

        await map_bounded(fetch, list(found), limit=FETCHES)

    async def _fetch_image(self, folder: Path, images: ImagePattern, delivered: DeliveredImages, frame: int) -> None:
        (size, sha256), url = delivered.known[frame], f"{delivered.prefix}{frame}{delivered.suffix}"
        fetch = self._storage.download if self._keep else self._storage.take
        try:
            await fetch(self._storage.key_of(url), folder / images.name(frame),
                        expected=Artifact(url=url, bytes=size, sha256=sha256))  # fmt: skip
        except FileNotFoundError:
            raise WorkerUnavailableError(f"The image {url} is not in storage any more") from None

    async def close(self) -> None:
        """Close the adapter's connections."""
        if isinstance(self._adapter, ConnectedAdapter):
            await self._adapter.aclose()

    async def clean(self, key: str, *, always: bool = False) -> int:
        """Remove the folder of the job's runs, unless its objects are to be kept."""
        return 0 if self._keep and not always else await self._storage.delete_folder(_job_folder(key))

    async def _call_off_earlier(self, folder: str) -> int:
        """Have workers stop that still render for a dead run of this job; return how many.

        Workers that have not begun find no job document, and end.
        """
        keys = {entry.key async for entry in self._storage.entries(folder)}
        earlier = {key for key in keys if not key.startswith(f"{self._run_folder}/")}
        attempts = {key.rpartition("/")[0] for key in earlier if key.endswith(f"/{STARTED}")}
        unfinished = [attempt for attempt in attempts if f"{attempt}/{RESULT}" not in keys]
        for attempt in unfinished:
            await AttemptRecord(self._storage, self._storage.url_of(attempt)).cancel()
        # Without its document, a worker that is called off removes what it has put into storage: images are wanted.
        kept = {f"{key.rpartition('/attempt-')[0]}/job.json" for key in earlier if image_frame(key) is not None}
        for key in earlier - kept:
            if key.endswith("/job.json"):
                await self._storage.delete(key)
        return len(unfinished)

    def _place(self, chunk: RenderJobChunk) -> dict[str, str]:
        """What of a chunk differs on a worker, whose commands run in the job directory itself, never in a folder."""
        if self._base == ".":
            return {}
        words = ["sh", "-c", 'mkdir -p "$0" && cd "$0" && exec "$@"', self._base, *chunk.argv]
        output = posixpath.normpath(posixpath.join(self._base, chunk.output_file))
        return {"command": shlex.join(words), "output_file": output}

    def _part(self, attempt: Attempt) -> RenderJobChunk:
        """The chunk, or the part of its images that is wanted, as a chunk with the command for it."""
        chunk = attempt.chunk
        if attempt.part is None or self._spec.range_command is None:
            return chunk
        start, count = attempt.part
        words = words_for(chunk.output_file, self._spec.range_command, start=start, count=count)
        return chunk.model_copy(update={"start_frame": start, "frame_count": count, "command": shlex.join(words)})

    async def _document(self, chunk: RenderJobChunk, *, is_part: bool) -> str:
        """The URL of a chunk's own job document, or of that of a part."""
        part = f"/part-{chunk.start_frame}-{chunk.frame_count}" if is_part else ""
        key = f"{self._folder}/chunk-{chunk.id}{part}/job.json"
        if key not in self._has_document:
            metadata = self._spec.metadata.model_copy(update={"total_frames": chunk.frame_count})
            # A worker of an earlier version would refuse these fields.
            own = chunk.model_copy(update={"inputs": None, "requires": None, **self._place(chunk)})
            spec = JobSpec(id=self._spec.id, metadata=metadata, chunks=(own,), assets_url=self._assets_url)
            await self._storage.write(key, json.dumps(spec.to_document()).encode())
            self._has_document.add(key)
        return self._storage.url_of(key)


def _folder_name(name: str) -> str:
    """A name as one folder's, whatever characters it has."""
    return f"place-{hashlib.sha256(name.encode()).hexdigest()[:12]}"


def _job_folder(key: str) -> str:
    """The folder in storage of all runs of a job, by the job's name in records."""
    return f"jobs/{key}"
