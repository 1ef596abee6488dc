"""Render one chunk: fetch, run, verify, upload, answer."""

import asyncio
import json
import os
import time
import uuid
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from helios.assets import AssetBundle
from helios.attempts import AttemptRecord
from helios.errors import CommandTimeoutError, HeliosError, OutputError, RequestError, WorkerUnavailableError
from helios.models.invocation import PROTOCOL, ChunkAnswer, ChunkRequest, WorkerIdentity
from helios.models.spec import JobMetadata, RenderJobChunk
from helios.models.worker import Artifact, WorkerResult, WorkerTimings
from helios.source import is_url, parse_job_spec, read_document
from helios.storage import SMALL_BYTES, Storage, is_storage_url, join_url, parent_url, storage_root
from helios.worker.asset_cache import AssetCache, find_folder, free_bytes
from helios.worker.command_log import CommandLog
from helios.worker.settings import WorkerSettings
from helios.worker.workspace import Workspace

T = TypeVar("T")
BITS_PER_PIXEL = 1
"""What an output may take on disk: about ten times what H.264 takes at good quality."""
BASE_BYTES = 32 * 1024 * 1024
"""Free disk for all that is not output: the log, the command's temporary files."""
SHORTEST_SECONDS = 1.0
"""Less time than this is not worth a start."""


class WorkerRuntime:
    """Renders chunks, one or several at a time, in one process.

    Args:
        settings: What the deployment decides.
    """

    def __init__(self, settings: WorkerSettings) -> None:
        self.settings = settings
        self.assets = AssetCache(settings.folder / "assets")
        """Kept input files."""
        self.running: set[asyncio.Task[Any]] = set()
        """What runs now."""
        self._stopped = False
        self._is_first = True

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
            clock = _Clock(remaining_seconds or request.remaining_seconds, boot_ms=self._boot_ms())
            answer = await _Attempt(request, self, clock).run()
        except asyncio.CancelledError:
            if not self._stopped:
                raise
            task.uncancel()
            answer = ChunkAnswer.failed(WorkerUnavailableError("The worker was stopped by its platform"))
        except HeliosError as exc:
            answer = ChunkAnswer.failed(exc)
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
        """Who answers."""
        return WorkerIdentity(version=package_version(), protocol=PROTOCOL, host=self.settings.name)

    def _boot_ms(self) -> int:
        if not self._is_first:
            return 0
        self._is_first = False
        import psutil

        return max(0, round((time.time() - psutil.Process().create_time()) * 1000))


def package_version() -> str:
    """The version of the package that this worker runs."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("helios-render")
    except PackageNotFoundError:
        return "unknown"


@dataclass
class _Clock:
    """How much time is left, and where it went."""

    remaining_seconds: float | None
    boot_ms: int = 0
    fetch_ms: int = 0
    render_ms: int = 0
    verify_ms: int = 0
    upload_ms: int = 0
    started: float = field(default_factory=time.monotonic)

    def left(self) -> float | None:
        """Seconds until the platform ends this worker; None for never."""
        return None if self.remaining_seconds is None else self.remaining_seconds - (time.monotonic() - self.started)

    async def timed(self, name: str, work: Coroutine[Any, Any, T]) -> T:
        """Await, and add the time to a field."""
        started = time.monotonic()
        try:
            return await work
        finally:
            setattr(self, name, getattr(self, name) + round((time.monotonic() - started) * 1000))

    @property
    def timings(self) -> WorkerTimings:
        return WorkerTimings(
            boot_ms=self.boot_ms, fetch_ms=self.fetch_ms, render_ms=self.render_ms,
            verify_ms=self.verify_ms, upload_ms=self.upload_ms,
        )  # fmt: skip


class _Attempt:
    """One execution of one request."""

    def __init__(self, request: ChunkRequest, runtime: WorkerRuntime, clock: _Clock) -> None:
        self._request = request
        self._runtime = runtime
        self._settings = runtime.settings
        self._clock = clock
        self._execution = uuid.uuid4().hex[:12]
        self._record: AttemptRecord | None = None

    async def run(self) -> ChunkAnswer:
        if self._request.protocol > PROTOCOL:
            raise RequestError(
                f"The worker {self._settings.name} is version {package_version()} and speaks protocol {PROTOCOL}; "
                f"the request is in protocol {self._request.protocol}. Deploy the worker of the orchestrator's version"
            )
        self._settings.check_place(self._request.job_path)
        if self._request.attempt_url is None:
            if self._request.probe:
                return ChunkAnswer(exit_code=0, output=f"free disk: {free_bytes(self._settings.folder)} bytes")
            return await self._render(self._beside_document())
        self._settings.check_place(self._request.attempt_url)
        storage = storage_root(self._request.attempt_url)
        self._record = AttemptRecord(storage, self._request.attempt_url)
        if (answer := await self._record.result()) is not None:
            return answer  # delivered twice: the work is done already
        if await self._record.is_cancelled():
            raise WorkerUnavailableError("The chunk was cancelled before a worker took it on")
        await self._record.begin(self._execution, self._clock.left())
        if self._request.probe:
            await _fetch(self._request.job_path)
            return await self._recorded(ChunkAnswer(exit_code=0, output="the storage can be read and written"))
        return await self._finish(join_url(self._request.attempt_url, self._execution))

    def _beside_document(self) -> str:
        """Where Helios's orchestrator, which names no place, finds outputs."""
        path = self._request.job_path
        if is_url(path):
            raise RequestError(f"The job at {path} names no place for its outputs; add attemptUrl to the request")
        return parent_url(path if is_storage_url(path) else Path(path).resolve().as_uri())

    async def _finish(self, folder: str) -> ChunkAnswer:
        """Render, and record how it ended; what another execution recorded before is what counts."""
        assert self._record is not None  # noqa: S101  set by the caller
        try:
            answer = await self._until_cancelled(self._render(folder))
        except HeliosError as exc:
            answer = ChunkAnswer.failed(exc, timings=self._clock.timings)
        except asyncio.CancelledError:
            # Stopped by the platform: a few seconds are left to say so, and somebody may wait for the record.
            error = WorkerUnavailableError("The worker was stopped by its platform")
            await asyncio.shield(self._recorded(ChunkAnswer.failed(error, timings=self._clock.timings)))
            raise
        counts = await self._recorded(answer)
        if answer.artifact is not None and counts.artifact != answer.artifact:
            await self._record.storage.delete_folder(self._record.key(self._execution))
        return counts

    async def _recorded(self, answer: ChunkAnswer) -> ChunkAnswer:
        """Record an answer, and who gives it; return the one that counts."""
        assert self._record is not None  # noqa: S101  set by the caller
        return await self._record.finish(answer.model_copy(update={"worker": self._runtime.identity}))

    async def _until_cancelled(self, work: Coroutine[Any, Any, ChunkAnswer]) -> ChunkAnswer:
        """Await, and look now and then whether the orchestrator has called the chunk off."""
        assert self._record is not None  # noqa: S101
        task = asyncio.create_task(work)
        try:
            while True:
                done, _ = await asyncio.wait([task], timeout=self._settings.cancel_poll_seconds or None)
                if done:
                    return task.result()
                with suppress(WorkerUnavailableError):  # the storage may be away for a moment
                    if await self._record.is_cancelled():
                        raise _CalledOffError
        except _CalledOffError:
            raise WorkerUnavailableError("The chunk was cancelled") from None
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def _render(self, folder: str) -> ChunkAnswer:
        with Workspace(self._settings.folder) as space:
            chunk, metadata = await self._clock.timed("fetch_ms", self._prepare(space))
            log = CommandLog(space.log, limit=self._settings.log_bytes)
            ended, error, frames = None, None, None
            try:
                ended = await self._clock.timed("render_ms", self._command(chunk, space, log))
                if ended.exit_code == 0:
                    frames = await self._clock.timed("verify_ms", self._verify(chunk, metadata, space))
            except (CommandTimeoutError, OutputError) as exc:
                error = exc
            finally:
                log.close()
            return await self._publish(chunk, folder, space, log=log, ended=ended, error=error, frames=frames)

    async def _prepare(self, space: Workspace) -> tuple[RenderJobChunk, JobMetadata]:
        """Fetch the job and its input files into the workspace."""
        path, index = self._request.job_path, self._request.chunk_index
        spec = parse_job_spec(await _fetch(path), source=path)
        if index >= len(spec.chunks):
            raise RequestError(f"{path} has {len(spec.chunks)} chunks; there is none at position {index}")
        chunk = spec.chunks[index]
        needed = self._chunk_bytes(chunk, spec.metadata)
        if spec.assets_url is None:
            self._check_disk(needed)
        elif spec.assets_url.endswith(".json"):
            bundle = await self._bundle(spec.assets_url)
            self._check_disk(needed, bundle)
            await self._runtime.assets.place(bundle, space.files)
        else:
            self._settings.check_place(spec.assets_url)
            folder = await find_folder(spec.assets_url)
            self._check_disk(needed + folder.bytes)
            await folder.fetch(space.files)
        (space.files / chunk.output_file).parent.mkdir(parents=True, exist_ok=True)
        return chunk, spec.metadata

    async def _bundle(self, url: str) -> AssetBundle:
        self._settings.check_place(url)
        try:
            bundle = AssetBundle.model_validate_json(await _fetch(url))
        except ValidationError as exc:
            raise RequestError(f"{url} is not a list of input files ({exc.error_count()} problems)") from None
        self._settings.check_place(bundle.storage_url)
        return bundle

    def _check_disk(self, needed: int, bundle: AssetBundle | None = None) -> None:
        """Refuse a chunk that the disk can't hold; kept input files of other jobs make room for it.

        Args:
            needed: Bytes, beside the bundle's.
            bundle: Input files, of which some may be here.
        """
        assets = self._runtime.assets
        total = needed + (assets.missing_bytes(bundle) if bundle else 0)
        if free_bytes(self._settings.folder) < total:
            assets.drop_others(bundle)
        if (free := free_bytes(self._settings.folder)) < total:
            raise WorkerUnavailableError(_no_room(free, total))

    def _chunk_bytes(self, chunk: RenderJobChunk, metadata: JobMetadata) -> int:
        if self._settings.chunk_bytes is not None:
            return self._settings.chunk_bytes
        return BASE_BYTES + metadata.width * metadata.height * chunk.frame_count * BITS_PER_PIXEL // 8

    async def _command(self, chunk: RenderJobChunk, space: Workspace, log: CommandLog) -> WorkerResult:
        from helios.process import run_command

        timeout, left = self._request.timeout_seconds, self._clock.left()
        own = None if left is None else left - self._settings.reserve_seconds
        if own is not None and own < SHORTEST_SECONDS:
            raise WorkerUnavailableError(
                f"The worker has {left:.0f} s left and keeps {self._settings.reserve_seconds:g} s of them to answer: "
                "too little to begin; give it a longer time limit"
            )
        is_own = own is not None and (timeout is None or own < timeout)
        try:
            return await run_command(
                chunk.argv,
                env=self._environment(space),
                cwd=space.files,
                timeout_seconds=own if is_own else timeout,
                grace_seconds=self._settings.grace_seconds,
                on_output=log,
            )
        except CommandTimeoutError as exc:
            if not is_own:
                raise
            raise CommandTimeoutError(
                f"{exc}\n  It was stopped {self._settings.reserve_seconds:g} s before the end of the worker's own time "
                "limit: render fewer frames per chunk, or give the worker a longer limit"
            ) from exc

    def _environment(self, space: Workspace) -> dict[str, str]:
        """What the command sees: the job's variables, the deployment's, and what programs can't do without."""
        named = {name: os.environ[name] for name in self._settings.command_env if name in os.environ}
        usual = {"PATH": os.environ.get("PATH", os.defpath), "LANG": os.environ.get("LANG", "C.UTF-8")}
        return {**usual, **space.environment, **named, **self._request.env}

    async def _verify(self, chunk: RenderJobChunk, metadata: JobMetadata, space: Workspace) -> int:
        from helios.media.verify import verify_output  # FFmpeg's libraries: not before there is something to read

        output = space.files / chunk.output_file
        if not output.resolve().is_relative_to(space.files.resolve()):
            raise OutputError(f"{chunk.output_file} is a link that leaves the workspace")
        verified = await asyncio.to_thread(
            verify_output,
            output,
            frames=chunk.frame_count,
            fps=metadata.fps,
            width=metadata.width,
            height=metadata.height,
        )
        return verified.frames

    async def _publish(
        self,
        chunk: RenderJobChunk,
        folder: str,
        space: Workspace,
        *,
        log: CommandLog,
        ended: WorkerResult | None,
        error: HeliosError | None,
        frames: int | None,
    ) -> ChunkAnswer:
        """Put output and log into storage, and say what came of it."""
        storage = storage_root(folder)
        artifact = logged = None
        if frames is not None:
            name = f"output{Path(chunk.output_file).suffix}" if self._record else chunk.output_file
            artifact = await self._upload(storage, space.files / chunk.output_file, join_url(folder, name))
        if log.has_lines and self._record:
            logged = await self._upload(storage, space.log, join_url(folder, space.log.name))
        if error is not None:
            return ChunkAnswer.failed(error, log=logged, timings=self._clock.timings)
        assert ended is not None  # noqa: S101  the command ended, or there is an error
        return ChunkAnswer(
            exit_code=ended.exit_code,
            output=ended.stdout,
            stdout=ended.stdout,
            stderr=ended.stderr,
            duration_ms=ended.duration_ms,
            artifact=artifact,
            log=logged,
            timings=self._clock.timings,
            frames=frames,
        )

    async def _upload(self, storage: Storage, path: Path, url: str) -> Artifact:
        return await self._clock.timed("upload_ms", storage.upload(path, storage.key_of(url)))


class _CalledOffError(Exception):
    """The orchestrator has cancelled the chunk."""


async def _fetch(place: str) -> bytes:
    """Read a document from a path or a URL."""
    if not is_storage_url(place):
        return await asyncio.to_thread(read_document, place, redirects=False)
    storage = storage_root(place)
    data = await storage.read(storage.key_of(place), limit=SMALL_BYTES)
    if data is None:
        raise RequestError(f"{place} does not exist; expected a document")
    return data


def _no_room(free: int, needed: int) -> str:
    return (
        f"The worker's disk has {free // 2**20} MiB free; the chunk needs about {needed // 2**20} MiB. Give the worker "
        "a larger disk, render fewer frames per chunk, or say what a chunk takes (HELIOS_CHUNK_BYTES)"
    )


def read_request(data: bytes | str | dict[str, Any]) -> ChunkRequest:
    """Read a request: an object, its JSON, or an HTTP event of Lambda with it as `body`.

    Raises:
        RequestError: It is none.
    """
    try:
        document = json.loads(data) if isinstance(data, bytes | str) else data
        if isinstance(document, dict) and "body" in document and "jobPath" not in document:
            document = json.loads(document["body"])
        return ChunkRequest.model_validate(document)
    except ValidationError as exc:
        first = exc.errors(include_url=False)[0]
        path = ".".join(map(str, first["loc"])) or "request"
        raise RequestError(f"{path}: {first['msg']}; expected a request such as {EXAMPLE}") from None
    except (ValueError, TypeError) as exc:
        raise RequestError(f"The request is not JSON ({exc}); expected one such as {EXAMPLE}") from None


EXAMPLE = '{"jobPath": "s3://bucket/jobs/1/job.json", "chunkIndex": 0}'
