"""What earlier runs of a job accepted: Prefect's persisted results of its chunks' tasks are the record.

RESULT STORAGE/helios-render/JOB/document                 the job document that the outputs were rendered from
RESULT STORAGE/helios-render/JOB/chunk-7-FINGERPRINT      the result of chunk 7's task: a `ChunkResult`
RESULT STORAGE/helios-render/JOB/images-7-FINGERPRINT     chunk 7's accepted images, before all of them are
RESULT STORAGE/helios-render/JOB/inputs-KEY               what a run's chunks were rendered from; their records name it
RESULT STORAGE/helios-render/JOB/cuts-0                   chunks as they were cut, of a job that is cut on the way
RESULT STORAGE/helios-render/JOB/timings                  how long each chunk took, by its id: [frames, seconds]
RESULT STORAGE/helios-render/JOB/spending-RUN             what a run has spent so far, by purpose

JOB is the document's id; for a document without an id, the flow run's, so that such a job shares nothing with another
run. Result storage is Prefect's: a local folder (PREFECT_LOCAL_STORAGE_PATH), or a block
(PREFECT_DEFAULT_RESULT_STORAGE_BLOCK=s3-bucket/NAME).
"""

import asyncio
import sys
from collections.abc import Mapping, Sequence
from math import inf
from typing import Any

from prefect.results import ResultStore
from pydantic import ValidationError

from helios.errors import RequestError
from helios.job.changes import list_changes
from helios.job.input_list import InputList
from helios.models.images import PartialImages
from helios.models.paths import PathRules
from helios.models.report import ChunkResult
from helios.models.spec import JobSpec, RenderJobChunk
from tasks.prefect_api.log import RunLogger
from tasks.run.identity import RunIdentity
from tasks.schedule.expectation import Timing

SHOWN_CHANGES = 5
"""How many differences between two documents an error names."""


class AcceptedChunks:
    """A job's records.

    Args:
        identity: The run that goes on with the job.
        store: Prefect's result storage.
        only_own: Take what this very run accepted (before it was stopped, and retried), and nothing of other runs.
        log: Told of records that are ignored.
    """

    def __init__(self, identity: RunIdentity, store: ResultStore, *, only_own: bool = False, log: RunLogger) -> None:
        self._identity = identity
        self._job = identity.job
        self._store = store.model_copy(update={"metadata_storage": None})  # as Prefect does for tasks
        self._only_own = only_own
        self._log = log
        self._has_records = False

    async def open(self) -> None:
        """Compare the job document with the document of earlier runs, and keep it for later runs.

        Raises:
            RequestError: The documents differ; says in what. Or the record can't be written; or there is none, and
                nothing can be written where the outputs are to lie.
        """
        key = self._identity.document_key
        # A torn document is ignored: each chunk has a record of its own.
        self._has_records, before = await self._read(key, dict)
        if not self._has_records:  # else outputs that were accepted before may be all that is needed
            directory = self._job.directory
            outputs = [path for chunk in self._job.chunks for path in directory.outputs(chunk)]
            outputs += [self._job.output] if self._job.output else []
            await asyncio.to_thread(directory.check_writable, outputs)
        document = self._job.spec.to_document()
        if before is not None and not self._only_own:
            self._refuse_changes(before)
        if before != document:
            try:
                await self._store.awrite(document, key=key)
            except Exception as exc:  # a storage block of any kind may raise anything
                raise RequestError(
                    f"Prefect's result storage can't be written, so that the job could not be resumed: {exc}\n"
                    "  Mend it, or name another one (PREFECT_LOCAL_STORAGE_PATH, PREFECT_DEFAULT_RESULT_STORAGE_BLOCK)"
                ) from exc

    async def find(self, chunk: RenderJobChunk) -> ChunkResult | None:
        """The record of a chunk; None where there is none that this run may take."""
        if not self._has_records:
            return None
        found: ChunkResult | None
        _, found = await self._read(self._identity.record_key(chunk), ChunkResult)
        if found is None or (self._only_own and found.run_id != self._identity.run_id):
            return None
        if found.chunk_id != chunk.id:
            self._log.warning("The record of chunk %d is another chunk's, and is ignored", chunk.id)
            return None
        return found

    async def write(self, chunk: RenderJobChunk, result: ChunkResult) -> None:
        """Replace the record of a chunk; without it, the same work is done again by the next run."""
        try:
            await self._store.awrite(result, key=self._identity.record_key(chunk))
        except Exception as exc:  # noqa: BLE001  a storage block of any kind may raise anything
            self._log.warning("The record of chunk %d could not be replaced: %s", chunk.id, exc)

    async def find_images(self, chunk: RenderJobChunk) -> PartialImages | None:
        """The record of a chunk's images, before all of them were accepted; None where this run may take none."""
        if not self._has_records:
            return None
        found: PartialImages | None
        _, found = await self._read(self._identity.images_key(chunk), PartialImages)
        if found is None or found.chunk_id != chunk.id or (self._only_own and found.run_id != self._identity.run_id):
            return None
        return found

    async def write_images(self, chunk: RenderJobChunk, images: PartialImages) -> None:
        """Put the images of a chunk on record, of which more are to come."""
        try:
            await self._store.awrite(images, key=self._identity.images_key(chunk))
        except Exception as exc:  # noqa: BLE001  a storage block of any kind may raise anything
            self._log.warning("The images of chunk %d could not be put on record: %s", chunk.id, exc)

    async def read_inputs(self, key: str) -> InputList | None:
        """A list of inputs that a chunk's record names; None if it is gone or torn."""
        _, document = await self._read(self._identity.inputs_key(key), dict)
        try:
            return None if document is None else InputList.from_document(document)
        except ValueError as exc:
            self._log.warning("A list of inputs can't be read, and is ignored: %s", exc)
            return None

    async def write_inputs(self, inputs: InputList) -> None:
        """Keep a list of inputs; without it, a later run can't say what changed since."""
        key = self._identity.inputs_key(inputs.key)
        try:
            if not await self._store.aexists(key):
                await self._store.awrite(inputs.document, key=key)
        except Exception as exc:  # noqa: BLE001  a storage block of any kind may raise anything
            self._log.warning("The list of the job's inputs could not be kept: %s", exc)

    async def read_cuts(self, number: int) -> list[tuple[int, int, int]] | None:
        """A part of the list of what was cut: id, first frame and frames of each; None where there is no such part."""
        if not self._has_records:
            return None
        is_there, document = await self._read(self._identity.cuts_key(number), dict)
        return _cuts(document or {}) if is_there else None

    async def write_cuts(self, number: int, cuts: Sequence[tuple[int, int, int]]) -> None:
        """Keep a part of the list of what was cut; without it, a later run cuts and renders these frames again."""
        try:
            await self._store.awrite({"cuts": [list(cut) for cut in cuts]}, key=self._identity.cuts_key(number))
        except Exception as exc:  # noqa: BLE001  a storage block of any kind may raise anything
            self._log.warning("What was cut could not be put on record: %s", exc)

    async def read_timings(self) -> dict[int, Timing]:
        """How long chunks took in earlier runs of the job, by chunk id; what can't be read is left out."""
        if not self._has_records:
            return {}
        _, document = await self._read(self._identity.timings_key, dict)
        return _timings(document or {})

    async def write_timings(self, timings: Mapping[int, Timing]) -> None:
        """Keep how long chunks took, for the order of later runs."""
        document = {str(chunk_id): [one.frames, round(one.seconds, 3)] for chunk_id, one in timings.items()}
        try:
            await self._store.awrite(document, key=self._identity.timings_key)
        except Exception as exc:  # noqa: BLE001  a storage block of any kind may raise anything
            self._log.warning("How long chunks took could not be kept: %s", exc)

    async def read_spending(self) -> dict[str, float]:
        """What earlier processes of this run have spent, by purpose; what can't be read is left out."""
        _, document = await self._read(self._identity.spending_key, dict)
        return {
            str(purpose): float(amount)
            for purpose, amount in (document or {}).items()
            if isinstance(amount, int | float) and 0 <= amount < inf
        }

    async def write_spending(self, spending: Mapping[str, float]) -> None:
        """Keep what this run has spent, for its later processes."""
        try:
            await self._store.awrite(dict(spending), key=self._identity.spending_key)
        except Exception as exc:  # noqa: BLE001  a storage block of any kind may raise anything
            self._log.warning("What the run has spent could not be kept: %s", exc)

    async def _read(self, key: str, kind: type[Any]) -> tuple[bool, Any]:
        """Whether there is a record; and what it says, if that can be read."""
        try:
            record = (await self._store.aread(key)).result
        except Exception as exc:  # noqa: BLE001  a torn or a foreign record may raise anything in a reader
            if _is_absent(exc):
                return False, None
            reason = str(exc).partition("\n")[0] or type(exc).__name__
            self._log.warning("The record %s can't be read, and is ignored: %s", key, reason)
            return True, None
        if not isinstance(record, kind):
            self._log.warning("The record %s was not written by helios-render, and is ignored", key)
            return True, None
        return True, record

    def _refuse_changes(self, document: dict[str, Any]) -> None:
        try:
            before = JobSpec.model_validate(document, context=PathRules(levels=sys.maxsize))
        except ValidationError:
            self._log.warning("The document on record of job %s can't be read, and is ignored", self._job.name)
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


def _timings(document: Mapping[str, Any]) -> dict[int, Timing]:
    found = {}
    for name, pair in document.items():
        match pair:
            case [int(frames), float() | int() as seconds] if frames > 0 and 0 < seconds < inf and name.isdecimal():
                found[int(name)] = Timing(frames, float(seconds))
    return found


def _cuts(document: Mapping[str, Any]) -> list[tuple[int, int, int]]:
    found = []
    for one in document.get("cuts") or ():
        match one:
            case [int(chunk_id), int(start), int(frames)] if chunk_id >= 0 and start >= 0 and frames > 0:
                found.append((chunk_id, start, frames))
    return found


def _is_absent(exc: Exception) -> bool:
    """Whether a file system of Prefect's reports a missing file; each has its own way."""
    response = getattr(exc, "response", None)
    code = response.get("Error", {}).get("Code") if isinstance(response, dict) else None  # botocore's
    return isinstance(exc, FileNotFoundError) or str(exc).endswith("does not exist.") or code in ("NoSuchKey", "404")
