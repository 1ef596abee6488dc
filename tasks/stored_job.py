"""A job's documents and input files in storage, for workers that do not share this machine's disk.

STORAGE/assets/DIGEST                   input files, by content
STORAGE/jobs/RUN/assets.json            which of them this job needs
STORAGE/jobs/RUN/chunk-7/job.json       a job document with one chunk alone: what a worker reads does not
                                        grow with the job
STORAGE/jobs/RUN/chunk-7/attempt-1/     what helios.attempts names
"""

import json
from pathlib import Path

from helios.adapter import StorageAdapter
from helios.assets import upload_assets
from helios.models.spec import JobSpec, RenderJobChunk
from helios.models.worker import Artifact
from helios.storage import Storage
from tasks.prepared_job import PreparedJob


class StoredJob:
    """One run of a job, as workers elsewhere see it.

    Args:
        job: What is rendered.
        adapter: Its adapter.
        run_id: The flow run's id.
    """

    def __init__(self, job: PreparedJob, adapter: StorageAdapter, *, run_id: str) -> None:
        self._job = job
        self._keep = adapter.keep_objects
        self._storage: Storage = adapter.storage
        self._folder = f"jobs/{run_id}"
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
        """Remove what the run left in storage, unless it is to be kept; return the number of objects."""
        return 0 if self._keep else await self._storage.delete_folder(self._folder)
