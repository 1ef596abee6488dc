"""The worker: carries out requests, one or several at a time, and answers whatever happens."""

import asyncio
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from pydantic import ValidationError

from helios.bounded_json import check_bounds, read_json
from helios.errors import RequestError, WorkerUnavailableError
from helios.models.invocation import ChunkAnswer, ChunkRequest, WorkerIdentity
from helios.processes.sandbox import sandbox_of
from helios.worker.asset_cache import AssetCache
from helios.worker.attempt import Attempt
from helios.worker.clock import Clock
from helios.worker.failures import failure_of
from helios.worker.settings import WorkerSettings

ASSETS = "assets"
"""The folder of kept input files, in the worker's."""


class WorkerRuntime:
    """Renders chunks, one or several at a time, in one process.

    Args:
        settings: What the deployment decides.

    Raises:
        RequestError: It asks for a sandbox that does not work here.
    """

    def __init__(self, settings: WorkerSettings) -> None:
        if settings.sandbox is not None:
            sandbox_of(settings.sandbox)
        self.settings = settings
        self.assets = AssetCache(settings.folder / ASSETS)
        """Kept input files."""
        self.running: set[asyncio.Task[Any]] = set()
        """What runs now."""
        self.taken = 0
        """How many places of the HTTP service are taken."""
        self._stopped = False
        self._token = uuid.uuid4().hex[:8]
        self._is_first = True

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Take one of the places for requests of the HTTP service within the block.

        Raises:
            WorkerUnavailableError: All are taken.
        """
        if self.taken >= self.settings.chunks_at_once:
            raise WorkerUnavailableError(f"The worker renders {self.taken} chunks already; try another one")
        self.taken += 1
        try:
            yield
        finally:
            self.taken -= 1

    async def run(self, request: ChunkRequest, *, remaining_seconds: float | None = None) -> ChunkAnswer:
        """Carry out a request; whatever goes wrong is in the answer.

        Args:
            request: Which chunk.
            remaining_seconds: When the platform will end this worker; as the request says when None.
        """
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  coroutines run in tasks
        self.running.add(task)
        try:
            clock = Clock(remaining_seconds or request.remaining_seconds, boot_ms=self._boot_ms())
            answer = await Attempt(
                request, settings=self.settings, assets=self.assets, clock=clock, identity=self.identity
            ).run()
        except asyncio.CancelledError:
            if not self._stopped:
                raise
            task.uncancel()
            answer = ChunkAnswer.failed(WorkerUnavailableError("The worker was stopped by its platform"))
        except Exception as exc:  # noqa: BLE001  whoever asked gets an answer
            answer = ChunkAnswer.failed(failure_of(exc))
        finally:
            self.running.discard(task)
        return answer if answer.worker else answer.model_copy(update={"worker": self.identity})

    def stop(self) -> None:
        """End what runs, so that it is reported before the platform kills this process."""
        self._stopped = True
        for task in self.running:
            task.cancel()

    @property
    def identity(self) -> WorkerIdentity:
        """The identity of this worker."""
        # The platform's name alone is not enough: containers on Cloud Run are all called localhost.
        instance = f"{self.settings.instance} {self._token}".strip()
        return WorkerIdentity(version=package_version(), host=self.settings.name, instance=instance)

    def _boot_ms(self) -> int:
        if not self._is_first:
            return 0
        self._is_first = False
        import psutil

        return max(0, round((time.time() - psutil.Process().create_time()) * 1000))


@cache
def package_version() -> str:
    """The version of the package that this worker runs; every answer has it."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("helios-render")
    except PackageNotFoundError:
        return "unknown"


def read_request(data: bytes | str | dict[str, Any]) -> ChunkRequest:
    """Read a request: an object, its JSON, or an HTTP event of Lambda with it as `body`.

    Raises:
        RequestError: It is none.
    """
    try:
        document = read_json(data) if isinstance(data, bytes | str) else data
        if isinstance(document, dict) and "body" in document and "jobPath" not in document:
            document = read_json(document["body"])
        check_bounds(document)
        return ChunkRequest.model_validate(document)
    except ValidationError as exc:
        first = exc.errors(include_url=False)[0]
        path = ".".join(map(str, first["loc"])) or "request"
        raise RequestError(f"{path}: {first['msg']}; expected a request such as {EXAMPLE}") from None
    except (ValueError, TypeError, AttributeError) as exc:
        raise RequestError(f"The request is not JSON ({exc}); expected one such as {EXAMPLE}") from None


EXAMPLE = '{"jobPath": "s3://bucket/jobs/1/job.json", "chunkIndex": 0}'
