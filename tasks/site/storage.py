"""A job's documents and input files in storage, for workers that do not share this machine's disk.

STORAGE/assets/DIGEST                   input files, by content
STORAGE/jobs/JOB/TOKEN/assets.json            which of them this job needs
STORAGE/jobs/JOB/TOKEN/chunk-7/job.json       a job document with one chunk alone: what a worker reads does not
                                              grow with the job
STORAGE/jobs/JOB/TOKEN/chunk-7/attempt-1/     what helios.job.attempts names

JOB is the same for all runs of a job, TOKEN another one each time: what a run that died has left is found.
"""

import json
from pathlib import Path

from helios.adapter import StorageAdapter
from helios.job.assets import upload_assets
from helios.job.attempts import RESULT, STARTED, AttemptRecord
from helios.models.spec import JobSpec, RenderJobChunk
from helios.models.worker import Artifact
from helios.storage.folder import Storage
from tasks.request.prepare import PreparedJob


def job_folder(key: str) -> str:
    """The folder in storage of all runs of a job, by the job's name in records."""
    return f"jobs/{key}"


class StoredJob:
    """One run of a job, as workers elsewhere see it.

    Args:
        job: What is rendered.
        adapter: Its adapter.
        key: The job's name in records, the same for all its runs.
        token: Tells this execution from others.
    """

    def __init__(self, job: PreparedJob, adapter: StorageAdapter, *, key: str, token: str) -> None:
        self._job = job
        self._keep = adapter.keep_objects
        self._storage: Storage = adapter.storage
        self._job_folder = job_folder(key)
        self._folder = f"{self._job_folder}/{token}"
        self._assets_url = job.spec.assets_url
        self._has_document: set[int] = set()

    @property
    def url(self) -> str:
        """The run's folder."""
        return self._storage.url_of(self._folder)

    async def upload(self) -> int:
        """Upload the input files that storage does not have, and the list of them.

        Returns:
            The number of input files.

        Raises:
            RequestError: The storage can't be used.
        """
        if self._job.assets:
            bundle = await upload_assets(self._job.assets, directory=self._job.directory.path, storage=self._storage)
            key = f"{self._folder}/assets.json"
            await self._storage.write(key, bundle.model_dump_json().encode())
            self._assets_url = self._storage.url_of(key)
        return len(self._job.assets)

    async def call_off_earlier(self) -> int:
        """Have workers stop that still render for a run of this job which is gone; return how many.

        Those that have not begun find no job document, and end.
        """
        keys = {key async for key, _ in self._storage.entries(self._job_folder)}
        earlier = {key for key in keys if not key.startswith(f"{self._folder}/")}
        attempts = {key.rpartition("/")[0] for key in earlier if key.endswith(f"/{STARTED}")}
        unfinished = [folder for folder in attempts if f"{folder}/{RESULT}" not in keys]
        for folder in unfinished:
            await AttemptRecord(self._storage, self._storage.url_of(folder)).cancel()
        for key in earlier:
            if key.endswith("/job.json"):
                await self._storage.delete(key)
        return len(unfinished)

    async def document(self, chunk: RenderJobChunk) -> str:
        """The URL of a chunk's own job document, which is written before its first attempt."""
        key = f"{self._folder}/chunk-{chunk.id}/job.json"
        if chunk.id not in self._has_document:
            metadata = self._job.spec.metadata.model_copy(update={"total_frames": chunk.frame_count})
            spec = JobSpec(id=self._job.spec.id, metadata=metadata, chunks=(chunk,), assets_url=self._assets_url)
            await self._storage.write(key, json.dumps(spec.to_document()).encode())
            self._has_document.add(chunk.id)
        return self._storage.url_of(key)

    async def fetch(self, artifact: Artifact, path: Path) -> None:
        """Fetch an output, whole and as its worker described it.

        Raises:
            FileNotFoundError: It is not there.
            WorkerUnavailableError: It arrived damaged.
        """
        await self._storage.download(self._storage.key_of(artifact.url), path, expected=artifact)

    async def clean(self) -> int:
        """Remove what the job's runs left in storage, unless it is to be kept; return the number of objects."""
        return 0 if self._keep else await self._storage.delete_folder(self._job_folder)
