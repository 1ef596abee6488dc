"""Hold the pictures of each accepted chunk against those of the others: whole at the level `pictures`, else packets."""

from prefect import get_run_logger

from helios.media.bounds import reading_bounds
from helios.media.copies import Motion, look_at
from helios.media.seams import Piece
from helios.models.spec import RenderJobChunk
from helios.models.verification import VerifyLevel
from helios.processes.reader import run_apart
from tasks.prefect_api.log import RunLogger
from tasks.run.errors import JobFailedError
from tasks.run.ledger import Ledger
from tasks.run.run import Run


async def note_copies(run: Run, chunk: RenderJobChunk) -> None:
    """See whether a chunk that was just accepted holds the pictures of another one, and say so the first time."""
    ledger, record = run.ledger, run.ledger.records[chunk.id]
    if record.result is None or record.packets is None or not ledger.copies.add(chunk, record.packets):
        return
    if (images := record.result.images) is not None:
        digests = {sha256 for _, sha256 in images.digests}
        ledger.copies.judge(record.packets, Motion.STILL if len(digests) == 1 else Motion.MOVING)
        return
    is_first = not ledger.copies.findings(total=0)
    metadata = run.identity.job.spec.metadata
    bounds = reading_bounds(frames=record.result.frames, width=metadata.width, height=metadata.height)
    motion = await run_apart(look_at, record.result.path, bounds=bounds)
    ledger.copies.judge(record.packets, motion)
    if is_first and motion is Motion.MOVING:
        found = ledger.copies.findings(total=0)
        if found:  # a chunk may have been taken back meanwhile
            get_run_logger().warning("So far, %s", found[0].message)


async def check_pictures(run: Run, chunk: RenderJobChunk) -> RenderJobChunk | None:
    """Judge a chunk that was just accepted beside the chunks that were accepted before.

    Returns:
        The chunk whose pictures are wrong, which is to be rendered again; it may be another one.

    Raises:
        JobFailedError: They are wrong for the second time, in one chunk more than may fail.
    """
    ledger, result = run.ledger, run.ledger.records[chunk.id].result
    if result is None or result.pictures is None or not run.identity.job.level.covers(VerifyLevel.PICTURES):
        return None
    found = ledger.pictures.add(Piece(chunk.id, chunk.start_frame, result.frames, result.pictures))
    if found is None:
        return None
    record = ledger.records[found.chunk_id]
    ledger.reject(record, found.message)
    await run.cache.forget(record.chunk)
    if record.is_given_up:
        run.holes.add(record, f"{found.message}. It was rendered twice, with the same pictures")
        return None
    get_run_logger().warning("%s\nIt is rendered again", found.message)
    return record.chunk


def heed_warnings(ledger: Ledger, log: RunLogger, *, strict: bool) -> None:
    """Say what is suspicious in the pictures of a job whose chunks are all accepted.

    Args:
        ledger: The run's.
        log: The run's.
        strict: Whether warnings are failures.

    Raises:
        JobFailedError: There are warnings, and they are failures.
    """
    messages = [warning.message for warning in ledger.warnings()]
    for message in messages:
        log.warning("Suspicious: %s", message)
    refuse_warnings(messages, strict=strict)


def refuse_warnings(messages: list[str], *, strict: bool) -> None:
    """End a job that has warnings, if it is to have none.

    Raises:
        JobFailedError: It has.
    """
    if strict and messages:
        more = f" (and {len(messages) - 1} more)" if len(messages) > 1 else ""
        raise JobFailedError(f"Warnings are failures here (--strict): {messages[0]}{more}")
