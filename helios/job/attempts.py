"""The layout of artifact storage, which orchestrator and workers share, and the record of one attempt in it.

STORAGE/assets/DIGEST                             an input file, by content; shared by all jobs
STORAGE/assets/DIGEST.blocks                      the digests of its blocks, of a file whose parts are fetched
STORAGE/jobs/JOB/TOKEN/assets-DIGEST.json         the input files of a job: path, digest, size, whether it is a program
STORAGE/jobs/JOB/TOKEN/chunk-7/job.json           a job document with this chunk alone, so that what a worker reads does
                                                  not grow with the job
STORAGE/jobs/JOB/TOKEN/chunk-7/attempt-1/
    started.json    a worker has taken the attempt on, and how long the worker may run
    result.json     the worker's answer; written once, so that the first of two executions counts
    cancel          asks the worker to stop
    EXECUTION/…     output and log of one execution; images, `image-17.png` for frame 17, as soon as they are whole

STORAGE/jobs/JOB/TOKEN/place-DIGEST/…             the same of one place, where a job has several kinds of workers

JOB is the job's name in records, the same for all its runs; TOKEN tells executions of a run apart, so that a new run
finds what a dead one left. The orchestrator's side is `tasks.site.storage`.
"""

import json
import re
from dataclasses import dataclass

from pydantic import ValidationError

from helios.bounded_json import read_json
from helios.errors import WorkerUnavailableError
from helios.models.invocation import ChunkAnswer
from helios.storage.folder import Storage
from helios.storage.urls import join_url, parent_url

RESULT, STARTED, CANCEL = "result.json", "started.json", "cancel"
MAX_ANSWER_BYTES = 1024 * 1024
"""A worker's answer has two tails of 16 KiB, which JSON may write six times as long."""

_IMAGE = re.compile(r"image-(\d{1,18})\.\w+", re.ASCII)


def image_name(frame: int, extension: str) -> str:
    """The name of a frame's image, at the end of its key."""
    return f"image-{frame}{extension}"


def image_frame(key: str) -> int | None:
    """The frame of an image by its key; None for any other key."""
    found = _IMAGE.search(key.rpartition("/")[2])
    return int(found[1]) if found is not None and key.endswith(found[0]) else None


def attempt_url(job_url: str, attempt: int) -> str:
    """The folder of one attempt of the chunk whose document is at `job_url`."""
    return join_url(parent_url(job_url), f"attempt-{attempt}")


@dataclass(frozen=True)
class AttemptRecord:
    """One attempt's folder in storage."""

    storage: Storage
    """A folder above it."""
    url: str
    """The attempt's folder."""

    def key(self, *names: str) -> str:
        """The key of something in the folder."""
        return "/".join([self.storage.key_of(self.url), *names])

    async def result(self) -> ChunkAnswer | None:
        """The answer of the execution that ended first, if one has.

        Raises:
            WorkerUnavailableError: The record is not an answer.
        """
        data = await self.storage.read(self.key(RESULT), limit=MAX_ANSWER_BYTES)
        return None if data is None else read_answer(data, source=join_url(self.url, RESULT))

    async def finish(self, answer: ChunkAnswer) -> ChunkAnswer:
        """Record an execution's answer, unless another execution was first; return what counts."""
        if await self.storage.write(self.key(RESULT), write_answer(answer), once=True):
            return answer
        return await self.result() or answer

    async def begin(self, execution: str, remaining_seconds: float | None) -> None:
        """Say that an execution has taken the attempt on, and how long its worker may live."""
        note = {"execution": execution, "remainingSeconds": remaining_seconds}
        await self.storage.write(self.key(STARTED), json.dumps(note).encode())

    async def started(self) -> float | None:
        """How many seconds the worker gave itself when it began; infinity where it has no limit, None before."""
        data = await self.storage.read(self.key(STARTED), limit=MAX_ANSWER_BYTES)
        if data is None:
            return None
        try:
            remaining = read_json(data).get("remainingSeconds")
        except (ValueError, AttributeError):
            remaining = None
        return float(remaining) if isinstance(remaining, int | float) else float("inf")

    async def cancel(self) -> None:
        """Ask the worker to stop."""
        await self.storage.write(self.key(CANCEL), b"")

    async def is_cancelled(self) -> bool:
        """Whether the worker was asked to stop."""
        return await self.storage.size(self.key(CANCEL)) is not None


def write_answer(answer: ChunkAnswer) -> bytes:
    """An answer as JSON."""
    return answer.model_dump_json(exclude_none=True).encode()


def read_answer(data: bytes | str, *, source: str) -> ChunkAnswer:
    """Read an answer: as it is, or inside Lambda's `{"statusCode", "body"}`.

    Raises:
        WorkerUnavailableError: The data are not an answer; the message quotes them.
    """
    try:
        document = read_json(data)
        if isinstance(document, dict) and "body" in document and "exitCode" not in document:
            body = document["body"]
            status = document.get("statusCode", 200)
            document = read_json(body) if isinstance(body, str) else body
            # Helios's handler says what went wrong in words alone.
            if isinstance(document, dict) and "exitCode" not in document and status != 200:
                text = str(document.get("error") or document.get("message") or document)
                document = {"exitCode": 1, "stderr": text}
        return ChunkAnswer.model_validate(document)
    except (ValueError, TypeError, ValidationError) as exc:
        start = data[:200] if isinstance(data, str) else data[:200].decode("utf-8", "replace")
        raise WorkerUnavailableError(
            f"{source} is not the answer of a worker; expected JSON with an exitCode, and it begins {start!r}"
        ) from exc
