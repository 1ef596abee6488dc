"""One chunk in a workspace: fetch, run, verify, hand over."""

import asyncio
import hashlib
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from helios.adapter import OutputSink
from helios.bounded_json import read_json
from helios.errors import CommandTimeoutError, HeliosError, RequestError, WorkerUnavailableError
from helios.gpus import gpus_in
from helios.job.assets import AssetBundle, list_digest
from helios.job.source import describe, parse_job_spec
from helios.models.invocation import ChunkAnswer, ChunkRequest
from helios.models.log_rules import LogRules
from helios.models.sandbox import stricter
from helios.models.spec import JobMetadata, JobSpec, RenderJobChunk
from helios.models.verification import DEFAULT_LEVEL
from helios.models.worker import WorkerResult
from helios.processes.environment import clean_environment
from helios.processes.sandbox import sandbox_of
from helios.worker.asset_cache import AssetCache, check_tree, find_folder, free_bytes
from helios.worker.clock import Clock
from helios.worker.command_log import CommandLog
from helios.worker.delivery import Keep
from helios.worker.job_document import fetch_document, job_document
from helios.worker.outputs import BoundsOf, Output, beside, output_of
from helios.worker.ranged_inputs import RangedInputs
from helios.worker.settings import WorkerSettings
from helios.worker.workspace import Workspace

BITS_PER_PIXEL = 1
"""Disk space of an output: about ten times as much as H.264 takes at good quality."""
IMAGE_BITS_PER_PIXEL = 24
"""Likewise, of images: eight bits for each color, hardly compressed."""
BASE_BYTES = 32 * 1024 * 1024
"""Free disk for all that is not output: the log, the command's temporary files."""
SHORTEST_SECONDS = 1.0
"""A command is not started with less time than this."""
ENDED_BY_OTHERS = frozenset({-9, -15, 128 + 9, 128 + 15})
"""Exit codes of commands that SIGKILL or SIGTERM has ended, also within a shell."""
ENDING_SECONDS = 0.5
"""How long to wait then for word that the machine is being taken away."""


class Rendering:
    """Carries out one request, in a workspace of its own.

    Args:
        request: Which chunk.
        settings: What the deployment decides.
        assets: Kept input files.
        clock: How much time is left.
    """

    def __init__(self, request: ChunkRequest, *, settings: WorkerSettings, assets: AssetCache, clock: Clock) -> None:
        self._request = request
        self._settings = settings
        self._assets = assets
        self._clock = clock
        self._ranged: RangedInputs | None = None

    async def render(self, keep: Keep) -> ChunkAnswer:
        """Render the chunk.

        Args:
            keep: Takes the output and the log.

        Raises:
            HeliosError: It could not be rendered, and there is no command's output to report.
        """
        with Workspace(self._settings.folder) as space:
            chunk, spec = await self._clock.timed("fetch_ms", self._prepare(space))
            level = self._request.verify or spec.verify or DEFAULT_LEVEL
            log = CommandLog(space.log, limit=self._settings.log_bytes)
            output, bounds = output_of(chunk, spec.metadata, space.files, level=level), self._bounds_for(spec.metadata)
            output.clear()
            ended, error = None, None
            try:
                rules = self._request.log_rules or spec.log_rules
                command = (self._watched(chunk, output, space, log, rules) if rules
                           else self._command(chunk, output, space, log))  # fmt: skip
                if self._ranged is not None:
                    command = self._ranged.around(command, space.files, user=self._settings.user, log=log)
                async with beside(output.keep_finished(keep, bounds)):
                    ended = await self._clock.timed("render_ms", command)
                await self._check_machine(ended)
                if ended.exit_code == 0:
                    await self._clock.timed("verify_ms", output.verify(bounds))
            except HeliosError as exc:
                if not exc.failure.command_ran:
                    raise
                error = exc
            finally:
                log.close()
            handing = output.hand_over(keep, bounds, has_folder=self._request.attempt_url is not None)
            delivered = await self._clock.timed("upload_ms", handing)
            return await self._publish(keep, space, log=log, ended=ended, error=error, delivered=delivered)

    async def _check_machine(self, ended: WorkerResult) -> None:
        """Tell a command that was ended with its machine from one that failed.

        A cluster's queue signals all processes of a job: the command can be gone before this process knows it.

        Raises:
            WorkerUnavailableError: The machine is being taken away.
        """
        if ended.exit_code in ENDED_BY_OTHERS and not self._settings.is_ending():
            await asyncio.sleep(ENDING_SECONDS)
        if ended.exit_code != 0 and self._settings.is_ending():
            raise WorkerUnavailableError("The worker's machine is being stopped, and has ended the command")

    async def _prepare(self, space: Workspace) -> tuple[RenderJobChunk, JobSpec]:
        """Fetch the job and its input files into the workspace."""
        path, index = self._request.job_path, self._request.chunk_index
        spec = parse_job_spec(await job_document(self._request, self._settings), source=path)
        if index >= len(spec.chunks):
            raise RequestError(f"{path} has {len(spec.chunks)} chunks; there is none at position {index}")
        chunk = spec.chunks[index]
        needed = self._chunk_bytes(chunk, spec.metadata)
        if spec.assets_url is None:
            self._check_disk(needed)
        elif spec.assets_url.endswith(".json"):
            bundle = await self._bundle(spec.assets_url)
            check_tree((asset.path for asset in bundle.assets), chunk.output_file)
            if self._request.ranged_inputs:
                self._ranged = RangedInputs(bundle, self._request.ranged_inputs, self._assets.blocks)
                bundle = self._ranged.rest
            self._check_disk(needed, bundle)
            await self._assets.place(bundle, space.files)
        else:
            self._settings.check_place(spec.assets_url)
            folder = await find_folder(spec.assets_url)
            check_tree(folder.keys, chunk.output_file)
            self._check_disk(needed + folder.bytes)
            await folder.fetch(space.files)
        return chunk, spec

    async def _bundle(self, url: str) -> AssetBundle:
        self._settings.check_place(url)
        bundle = await self._assets.listed(list_digest(url), partial(self._fetch_bundle, url))
        self._settings.check_place(bundle.storage_url)
        return bundle

    async def _fetch_bundle(self, url: str) -> AssetBundle:
        try:
            data = await fetch_document(url, check=self._settings.check_place)
            if (digest := list_digest(url)) not in (None, hashlib.sha256(data).hexdigest()):
                raise WorkerUnavailableError(f"{url} arrived damaged: its digest is not {digest}")
            return AssetBundle.model_validate(read_json(data))
        except ValidationError as exc:
            problem = describe(exc, of="of a list of input files")[0]
            raise RequestError(f"{url} is not a list of input files: {problem}") from None
        except ValueError as exc:
            raise RequestError(f"{url} is not a list of input files: {exc}") from None

    def _check_disk(self, needed: int, bundle: AssetBundle | None = None) -> None:
        """Refuse a chunk that the disk can't hold; kept input files of other jobs make room for it.

        Args:
            needed: Bytes, beside the bundle's.
            bundle: Input files, of which some may be here.
        """
        assets = self._assets
        total = needed + (assets.missing_bytes(bundle) if bundle else 0)
        if free_bytes(self._settings.folder) < total:
            assets.drop_others(bundle)
        if (free := free_bytes(self._settings.folder)) < total:
            raise WorkerUnavailableError(_no_room(free, total))

    def _chunk_bytes(self, chunk: RenderJobChunk, metadata: JobMetadata) -> int:
        if self._settings.chunk_bytes is not None:
            return self._settings.chunk_bytes
        bits = BITS_PER_PIXEL if chunk.images is None else IMAGE_BITS_PER_PIXEL
        return BASE_BYTES + metadata.width * metadata.height * chunk.frame_count * bits // 8

    async def _watched(
        self, chunk: RenderJobChunk, output: Output, space: Workspace, log: CommandLog, rules: LogRules
    ) -> WorkerResult:
        """Run the command, and look at what it prints."""
        from helios.processes.log_watch import watched

        async with watched(rules, name=Path(chunk.argv[0]).name, sink=log) as watch:
            ended = await self._command(chunk, output, space, watch)
        return watch.checked(ended)

    async def _command(self, chunk: RenderJobChunk, output: Output, space: Workspace, log: OutputSink) -> WorkerResult:
        from helios.processes.command import run_command
        from helios.processes.reader import prepare_readers

        prepare_readers()  # they import what they need while the command runs
        if self._settings.user is not None:
            space.give_to(self._settings.user)
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
                wrapper=self._wrapper(space),
                user=self._settings.user,
                timeout_seconds=own if is_own else timeout,
                stall_seconds=self._request.stall_seconds,
                output_file=output.watched,
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

    def _wrapper(self, space: Workspace) -> list[str]:
        """What puts the command into its sandbox, if the deployment or the request asks for one.

        Raises:
            WorkerUnavailableError: It does not work here; another worker may have it.
        """
        kind = stricter(self._settings.sandbox, self._request.sandbox)
        if kind is None:
            return []
        try:
            return sandbox_of(kind).around([space.files, space.temporary])
        except RequestError as exc:
            raise WorkerUnavailableError(f"The worker runs no command outside of a sandbox here: {exc}") from None

    def _environment(self, space: Workspace) -> dict[str, str]:
        """The command's environment: variables of the job, of the deployment, and those that programs need."""
        user = self._settings.user.environment if self._settings.user else {}
        own = {**user, **space.environment}
        return {**clean_environment(self._settings.command_env, own=own), **self._request.env}

    def _bounds_for(self, metadata: JobMetadata) -> BoundsOf:
        from helios.media.bounds import Bounds, reading_bounds

        def bounds(frames: int) -> Bounds:
            found = reading_bounds(frames=frames, width=metadata.width, height=metadata.height)
            if (left := self._clock.left()) is None:
                return found
            # To answer before the platform ends this worker.
            most = max(left - self._settings.reserve_seconds / 2, SHORTEST_SECONDS)
            return replace(found, seconds=min(found.seconds, most))

        return bounds

    async def _publish(
        self,
        keep: Keep,
        space: Workspace,
        *,
        log: CommandLog,
        ended: WorkerResult | None,
        error: HeliosError | None,
        delivered: dict[str, Any],
    ) -> ChunkAnswer:
        """Hand over the log; return the answer, with what was handed over of the output."""
        gpus, logged = gpus_in(self._request.env), None
        if log.has_lines and self._request.attempt_url:
            logged = await self._clock.timed("upload_ms", keep(space.log, space.log.name))
        if error is not None:
            return ChunkAnswer.failed(error, log=logged, timings=self._clock.timings, gpus=gpus)
        assert ended is not None  # noqa: S101  the command ended, or there is an error
        return ChunkAnswer(
            exit_code=ended.exit_code,
            output=ended.stdout,
            stdout=ended.stdout,
            stderr=ended.stderr,
            duration_ms=ended.duration_ms,
            log=logged,
            timings=self._clock.timings,
            gpus=gpus,
            **delivered,
        )


def _no_room(free: int, needed: int) -> str:
    return (
        f"The worker's disk has {free // 2**20} MiB free; the chunk needs about {needed // 2**20} MiB. Give the worker "
        "a larger disk, render fewer frames per chunk, or say what a chunk takes (HELIOS_CHUNK_BYTES)"
    )
