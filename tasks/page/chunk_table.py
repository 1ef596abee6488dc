"""A run's chunks as a table in Prefect's UI; of a large job, a bounded number of rows: chunks in trouble first."""

from typing import Any

from helios.models.report import ReusedFrom, RunState
from tasks.page.timeline import chunk_seconds
from tasks.run.chunk_record import ChunkRecord
from tasks.run.ledger import Ledger

MOST_ROWS = 500
"""Chunks in the table. A row has 200 bytes."""
_FIRST = {RunState.RUNNING: 0, RunState.FAILED: 1, RunState.CANCELLED: 2}


def chunk_table(ledger: Ledger, *, adapter: str, now: float) -> list[dict[str, Any]]:
    """A row for each chunk, in frame order. A job of more than `MOST_ROWS` chunks shows the rows that matter most."""
    records = ledger.ordered
    if len(records) > MOST_ROWS:
        records.sort(key=_rank)
        records = sorted(records[:MOST_ROWS], key=lambda record: record.chunk.start_frame)
    has_quality = any(record.result and record.result.quality for record in records)
    return [_row(record, adapter, now) | (_quality(record) if has_quality else {}) for record in records]


def _rank(record: ChunkRecord) -> tuple[int, int]:
    """Put chunks in flight first, then chunks in trouble, then chunks of several attempts, then the others."""
    rank = _FIRST.get(record.state, 3 if record.attempts > 1 else 4)
    return rank, record.chunk.start_frame


def _row(record: ChunkRecord, adapter: str, now: float) -> dict[str, Any]:
    chunk, seconds = record.chunk, chunk_seconds(record, now)
    result = record.result if record.state is RunState.COMPLETED and not record.reused else None
    rate = chunk.frame_count * 1000 / result.render_ms if result and result.render_ms else None
    state = record.state.value
    if record.state is RunState.RUNNING and record.current is not None and (done := record.current.frames_done):
        state += f", {done} of {chunk.frame_count}"
    if record.hedge is not None:
        state += ", second attempt won" if record.hedge.outcome is RunState.COMPLETED else ", hedged"
    if record.reused:
        state = "from the cache" if record.reused_from is ReusedFrom.CACHE else "reused"
    if record.state is RunState.FAILED and not record.is_given_up:
        state = "to be tried again"
    return {
        "chunk": chunk.id,
        "frames": f"{chunk.start_frame} to {chunk.end_frame - 1}",
        "state": state,
        "attempts": record.attempts,
        "adapter": record.place or adapter,
        "machine": _machine(record),
        "seconds": f"{seconds:.1f}" if record.times else "",
        "frames/s": f"{rate:.3g}" if rate else "",
        "log": f"[log](/runs/task-run/{record.task_run.id}?tab=Logs)" if record.task_run else "",
    }


def _machine(record: ChunkRecord) -> str:
    """Where a chunk was rendered, or last tried; empty until that is known."""
    if record.result is not None:
        return record.result.rendered_by or ""
    return next((times.rendered_by for times in reversed(record.times) if times.rendered_by), "")


def _quality(record: ChunkRecord) -> dict[str, str]:
    """How well an encoded chunk shows its source, as far as that was measured."""
    quality = record.result.quality if record.result else None
    score = f"{quality.metric} {quality.score:.2f}" if quality else ""
    return {"quality": score, "crf": (quality.crf or "the encoder's") if quality else ""}
