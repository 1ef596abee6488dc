"""The verified output of one attempt: a candidate, of which a chunk accepts one."""

import asyncio
import time
from dataclasses import dataclass, replace
from pathlib import Path

from prefect import get_run_logger

from helios.errors import HeliosError, file_system_error
from helios.job.own_file import is_shared, make_own
from helios.media.bounds import reading_bounds
from helios.media.verify import VerifiedOutput, verify_output
from helios.models.pictures import ChunkPictures
from helios.models.quality import read_quality
from helios.models.report import ChunkResult, RunState
from helios.models.spec import RenderJobChunk
from helios.models.verification import VerifyLevel
from helios.models.worker import Artifact
from helios.processes.reader import run_apart
from tasks.attempt import Rendered, render_once
from tasks.rehearsing import rehearse_join
from tasks.request.prepared_places import PreparedPlace
from tasks.run.chunk_record import AttemptTimes, ChunkRecord
from tasks.run.last_chunk import LastChunk, allowed_frames
from tasks.run.making_way import make_way
from tasks.run.run import Run
from tasks.site import Attempt


@dataclass(frozen=True)
class Candidate:
    """What an attempt rendered, verified, in its own place. It is accepted, or discarded."""

    attempt: Attempt
    """The attempt."""
    rendered: Rendered
    """What it left on this machine."""
    verified: VerifiedOutput
    """What that is."""
    verify_ms: int
    """Time to verify and hash it."""
    times: AttemptTimes
    """When the attempt did what."""

    def accept(self, record: ChunkRecord, run: Run) -> ChunkResult:
        """Give the output its name.

        Raises:
            OSError: It can't be given it; then it is removed.
        """
        attempt, rendered, verified, ended = self.attempt, self.rendered, self.verified, self.rendered.ended
        try:
            if rendered.place != attempt.output:
                make_way(attempt.output, run.outputs, get_run_logger())
                run.companions.accept(rendered.place, attempt.output)
                with run.outputs.held(rendered.place) as held:
                    held.replace(held.with_name(attempt.output.name))
        except BaseException:
            rendered.discard()
            raise
        run.outputs.note(attempt.output)
        record.packets = verified.packets
        self.times.outcome = RunState.COMPLETED
        return ChunkResult(
            run_id=run.identity.run_id,
            chunk_id=attempt.chunk.id,
            artifact=Artifact(url=attempt.output.as_uri(), bytes=verified.bytes, sha256=verified.sha256),
            frames=verified.frames,
            codec=verified.video.codec,
            attempt=attempt.number,
            adapter=self.rendered.adapter,
            render_ms=ended.duration_ms,
            verified=verified.level,
            pictures=verified.pictures,
            verify_ms=self.verify_ms,
            fetch_ms=rendered.fetch_ms,
            worker=ended.timings,
            rendered_by=ended.rendered_by,
            quality=read_quality(ended.stdout),
            inputs=run.inputs.digest_of(attempt.chunk),
            input_list=run.inputs.list_key,
        )

    def discard(self) -> None:
        """Remove the output."""
        self.rendered.discard()


async def produce(attempt: Attempt, run: Run, *, at: PreparedPlace, log: Path, times: AttemptTimes) -> Candidate:
    """Have a chunk's command run once, and verify what it wrote, also beside what its siblings wrote.

    Args:
        attempt: What is rendered.
        run: The job's run.
        at: Where it is rendered.
        log: The file for what the command prints.
        times: Gets the times of what happens, up to the attempt's end.

    Raises:
        HeliosError, OSError: There is no sound output, and no file left.
    """
    try:
        rendered = await render_once(attempt, run, at=at, log=log, times=times)
        try:
            candidate = await _verified(attempt, rendered, run, times)
        except BaseException:
            rendered.discard()
            raise
    except asyncio.CancelledError:
        times.end(run.progress.seconds, RunState.CANCELLED)
        raise
    except Exception as exc:
        times.end(run.progress.seconds, RunState.FAILED)
        if isinstance(exc, HeliosError | OSError):
            times.failure = (exc if isinstance(exc, HeliosError) else file_system_error(exc)).failure
        raise
    times.end(run.progress.seconds, RunState.CANCELLED)  # until it is accepted
    return candidate


async def _verified(attempt: Attempt, rendered: Rendered, run: Run, times: AttemptTimes) -> Candidate:
    chunk, verifying = attempt.chunk, time.monotonic()
    with run.outputs.held(rendered.place) as held:
        if is_shared(held):
            own = run.identity.own_place(attempt.output, f"{chunk.id}-{attempt.number}-own")
            await asyncio.to_thread(make_own, held, held.with_name(own.name))
    verified = await verify(rendered.place, chunk, run, done=rendered.done, pictures=rendered.ended.pictures)
    run.ledger.siblings.check_fits(f"chunk {chunk.id}", verified)
    if run.ledger.siblings.is_rehearsal_due:
        await rehearse_join(rendered.place, chunk, run)
    return Candidate(attempt, rendered, verified, round((time.monotonic() - verifying) * 1000), times)


async def verify(
    place: Path, chunk: RenderJobChunk, run: Run, *, done: VerifyLevel, pictures: ChunkPictures | None
) -> VerifiedOutput:
    """Compare a whole output with the job's order.

    Args:
        place: The output.
        chunk: What was ordered.
        run: The job's run.
        done: The level at which these bytes are known to have been verified.
        pictures: What was kept of their pictures then.

    Returns:
        The output, with the level that it has now.

    Raises:
        OutputError: The output is not what was ordered.
    """
    metadata, wanted = run.identity.job.spec.metadata, run.identity.job.level
    if pictures is None and done.covers(VerifyLevel.PICTURES):
        done = VerifyLevel.DECODE
    is_done = done.covers(wanted)
    frames, job = chunk.frame_count, run.identity.job
    if job.last_chunk is not None and job.is_last(chunk):
        bounds = reading_bounds(frames=frames, width=metadata.width, height=metadata.height)
        found = await run_apart(allowed_frames, place, chunk, LastChunk(job.last_chunk), bounds=bounds)
        frames = chunk.frame_count if found is None else found
    verified = await run_apart(
        verify_output,
        place,
        bounds=reading_bounds(frames=frames, width=metadata.width, height=metadata.height),
        frames=frames,
        fps=metadata.fps,
        width=metadata.width,
        height=metadata.height,
        level=VerifyLevel.CONTAINER if is_done else wanted,
    )
    return replace(verified, level=done, pictures=pictures) if is_done else verified
