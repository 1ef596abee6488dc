"""What earlier runs of a job accepted: Prefect's persisted results of its chunks' tasks are the record.

RESULT STORAGE/helios-render/JOB/document                 the job document that the outputs were rendered from
RESULT STORAGE/helios-render/JOB/chunk-7-FINGERPRINT      the result of chunk 7's task: a `ChunkResult`

JOB is the document's id; for one without, the flow run's, so that such a job shares nothing with another run.
Result storage is Prefect's: a local folder (PREFECT_LOCAL_STORAGE_PATH), or a block
(PREFECT_DEFAULT_RESULT_STORAGE_BLOCK=s3-bucket/NAME).
"""

import hashlib
import json
import re
from typing import Any

from prefect.results import ResultStore
from pydantic import ValidationError
from pydantic.alias_generators import to_camel

from helios.errors import RequestError
from helios.models.report import ChunkResult
from helios.models.spec import JobSpec, RenderJobChunk
from tasks.prefect_api.log import RunLogger
from tasks.request.prepare import PreparedJob

FOLDER = "helios-render"
SHOWN_CHANGES = 5
"""How many differences between two documents an error names."""
SHOWN_CHARACTERS = 60
SHOWN_BEFORE = 20


def job_key(spec: JobSpec, run_id: str) -> str:
    """What a job is called in records: the same for all its runs, and fit for a file's name."""
    name = spec.id or f"run {run_id}"
    readable = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40].rstrip("-") or "job"
    return f"{readable}-{hashlib.sha256(name.encode()).hexdigest()[:12]}"


def chunk_key(spec: JobSpec, job: str, chunk: RenderJobChunk) -> str:
    """Where the result of a chunk's task is kept; another place for another command, other frames or pictures.

    Args:
        spec: The job document.
        job: `job_key`.
        chunk: One of the document's.
    """
    metadata = spec.metadata
    pictures = [str(metadata.fps), metadata.width, metadata.height, spec.assets_url]
    order = [chunk.command, chunk.start_frame, chunk.frame_count, chunk.output_file]
    fingerprint = hashlib.sha256(json.dumps([*pictures, *order]).encode()).hexdigest()[:16]
    return f"{FOLDER}/{job}/chunk-{chunk.id}-{fingerprint}"


class AcceptedChunks:
    """A job's records.

    Args:
        job: The job.
        key: `job_key`.
        run_id: The flow run that wants to go on with it.
        store: Prefect's result storage.
        only_own: Take what this very run accepted (before it was stopped, and retried), and nothing of other runs.
        logger: For what is ignored.
    """

    def __init__(
        self,
        job: PreparedJob,
        *,
        key: str,
        run_id: str,
        store: ResultStore,
        only_own: bool = False,
        logger: RunLogger,
    ) -> None:
        self._key = key
        self._job = job
        self._run_id = run_id
        self._store = store.model_copy(update={"metadata_storage": None})  # as Prefect does for tasks
        self._only_own = only_own
        self._logger = logger
        self._has_records = False

    async def open(self) -> None:
        """Compare the job document with the one that earlier runs had, and keep it for later ones.

        Raises:
            RequestError: It is another one; says what changed. Or the record can't be written.
        """
        key = f"{FOLDER}/{self._key}/document"
        # One that is torn is ignored; the chunks' own records stand for themselves.
        self._has_records, before = await self._read(key, dict)
        document = self._job.spec.to_document()
        if before is not None and not self._only_own:
            self._refuse_changes(before)
        if before != document:
            try:
                await self._store.awrite(document, key=key)
            except Exception as exc:  # whatever a storage block of any kind raises
                raise RequestError(
                    f"Prefect's result storage can't be written, so that the job could not be resumed: {exc}\n"
                    "  Mend it, or name another one (PREFECT_LOCAL_STORAGE_PATH, PREFECT_DEFAULT_RESULT_STORAGE_BLOCK)"
                ) from exc

    async def find(self, chunk: RenderJobChunk) -> ChunkResult | None:
        """What is on record of a chunk; None where nothing is that this run may take."""
        if not self._has_records:
            return None
        found: ChunkResult | None
        _, found = await self._read(chunk_key(self._job.spec, self._key, chunk), ChunkResult)
        if found is None or (self._only_own and found.run_id != self._run_id):
            return None
        if found.chunk_id != chunk.id:
            self._logger.warning("The record of chunk %d is another chunk's, and is ignored", chunk.id)
            return None
        return found

    async def _read(self, key: str, kind: type[Any]) -> tuple[bool, Any]:
        """Whether there is a record; and what it says, if that can be read."""
        try:
            record = (await self._store.aread(key)).result
        except Exception as exc:  # noqa: BLE001  whatever a torn record, or one of somebody else's, makes of a reader
            if _is_absent(exc):
                return False, None
            reason = str(exc).partition("\n")[0] or type(exc).__name__
            self._logger.warning("The record %s can't be read, and is ignored: %s", key, reason)
            return True, None
        if not isinstance(record, kind):
            self._logger.warning("The record %s is none of this program's, and is ignored", key)
            return True, None
        return True, record

    def _refuse_changes(self, document: dict[str, Any]) -> None:
        try:
            before = JobSpec.model_validate(document)
        except ValidationError:
            self._logger.warning("The document on record of job %s is none, and is ignored", self._job.name)
            return
        if changes := list_changes(before, self._job.spec):
            more = len(changes) - SHOWN_CHANGES
            lines = changes[:SHOWN_CHANGES] + ([f"… and {more} more"] if more > 0 else [])
            raise RequestError(
                "\n  ".join([
                    f"The job {self._job.name!r} was begun with another document. What changed since:",
                    *lines,
                    "Give the changed job an id of its own, or have it rendered afresh (--fresh; parameter fresh)",
                ])
            )  # fmt: skip


def list_changes(before: JobSpec, now: JobSpec) -> list[str]:
    """Say in what the frames of two documents may differ, each difference with its path in the document."""
    changes = [
        f"metadata.{to_camel(name)}: {_became(old, new)}"
        for name in ("total_frames", "fps", "width", "height")
        if (old := getattr(before.metadata, name)) != (new := getattr(now.metadata, name))
    ]
    if before.assets_url != now.assets_url:
        changes.append(f"assetsUrl: {_became(before.assets_url, now.assets_url)}")
    if len(before.chunks) != len(now.chunks):
        changes.append(f"chunks: {_became(len(before.chunks), len(now.chunks))}")
    for position, (old_chunk, new_chunk) in enumerate(zip(before.chunks, now.chunks, strict=False)):
        changes += [
            f"chunks[{position}].{to_camel(name)}: {_became(old, new)}"
            for name in RenderJobChunk.model_fields
            if (old := getattr(old_chunk, name)) != (new := getattr(new_chunk, name))
        ]
    return changes


def _became(old: object, new: object) -> str:
    """Two values side by side; of long texts, the part where they begin to differ."""
    if not isinstance(old, str) or not isinstance(new, str):
        return f"{old} became {new}"
    same = next((index for index, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
    start = max(same - SHOWN_BEFORE, 0)
    return f"{_piece(old, start)} became {_piece(new, start)}"


def _piece(text: str, start: int) -> str:
    piece = text[start : start + SHOWN_CHARACTERS]
    return repr(f"{'…' if start else ''}{piece}{'…' if start + len(piece) < len(text) else ''}")


def _is_absent(exc: Exception) -> bool:
    """Whether a file system of Prefect's says that a file is not there; each has its own way."""
    response = getattr(exc, "response", None)
    code = response.get("Error", {}).get("Code") if isinstance(response, dict) else None  # botocore's
    return isinstance(exc, FileNotFoundError) or str(exc).endswith("does not exist.") or code in ("NoSuchKey", "404")
