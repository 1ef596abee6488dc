"""Where the time of a run went: what each attempt did when, and why the job took as long as it did."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from statistics import median

from helios.models.cost_text import describe_cost
from helios.models.explained import place_lines
from helios.models.report import ReusedFrom, RunState
from helios.models.report_text import duration
from tasks.run.chunk_record import AttemptTimes, ChunkRecord
from tasks.run.hedge_report import report_hedges
from tasks.run.run import Run

SLOWEST = 5
"""Chunks that are named as the slowest."""
TAIL_SECONDS = 1.0
"""A last chunk that is alone for less is not worth a line."""
MOST_LINES = 16
"""Machines, and GPUs, that have a line of their own."""


class Kind(StrEnum):
    """What goes on in a stretch of time."""

    QUEUED = "queued"
    """The chunk waits: for its turn, for its next attempt, for a slot of the adapter's limit, or for GPUs."""
    BOOTING = "booting"
    """The worker starts, and fetches the job and its input files."""
    RENDERING = "rendering"
    """The command of the first attempt runs."""
    RETRYING = "rendering again"
    """The command of a later attempt runs."""
    FAILED = "failed"
    """The command of an attempt that failed ran."""
    HEDGING = "second attempt"
    """The command of a second attempt runs, beside another one."""
    STOPPED = "stopped"
    """The command of an attempt that was cancelled ran."""
    UPLOADING = "uploading"
    """The output goes into storage, and from there to this machine."""
    CHECKING = "checking"
    """The output is verified."""
    REUSED = "reused"
    """An earlier run's output was found, and taken."""
    STITCHING = "stitching"
    """The chunks are joined."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stretch of time, in seconds since the run began."""

    kind: Kind
    """What goes on."""
    start: float
    """Its begin."""
    end: float
    """Its end."""
    gpus: tuple[str, ...] = ()
    """The GPUs that the command had in this time."""
    machine: str = ""
    """Where the command ran, once that is known."""
    is_beside: bool = False
    """Whether it is of a second attempt, beside the chunk's own."""

    @property
    def seconds(self) -> float:
        """Its length."""
        return self.end - self.start


def attempt_stretches(times: AttemptTimes, number: int, now: float) -> Iterator[Stretch]:
    """What one attempt did, without gaps.

    Args:
        times: The attempt.
        number: Which of its chunk's, counted from 1.
        now: Where an attempt ends that still runs.
    """
    end = now if times.ended is None else times.ended
    if times.started is None:
        yield Stretch(Kind.QUEUED, times.began, end)
        return
    given = times.started + (times.worker.wait_ms / 1000 if times.worker else 0)
    yield Stretch(Kind.QUEUED, times.began, given)
    answered = end if times.answered is None else times.answered
    fetched = end if times.fetched is None else times.fetched
    boot, upload = _beside_rendering(times, answered - given)
    yield Stretch(Kind.BOOTING, given, given + boot)
    yield Stretch(_rendering(times, number), given + boot, answered - upload, times.gpus, times.rendered_by or "")
    yield Stretch(Kind.UPLOADING, answered - upload, fetched)
    yield Stretch(Kind.CHECKING, fetched, end)


def chunk_stretches(record: ChunkRecord, now: float) -> Iterator[Stretch]:
    """What became of a chunk from the run's begin on, without gaps; up to now where it has not ended.

    Second attempts, which run beside these, are `hedge_stretches`.
    """
    if record.reused_at is not None:
        yield Stretch(Kind.REUSED, record.reused_at, record.reused_at)
        return
    before, number = 0.0, 0
    for times in tuple(record.times):
        if times.is_hedge:
            continue
        number += 1
        yield Stretch(Kind.QUEUED, before, times.began)
        yield from attempt_stretches(times, number, now)
        before = now if times.ended is None else times.ended
    if record.state in (RunState.PENDING, RunState.FAILED):
        yield Stretch(Kind.QUEUED, before, now)


def hedge_stretches(record: ChunkRecord, now: float) -> Iterator[Stretch]:
    """What the second attempts of a chunk did, from their begins on."""
    for times in tuple(record.times):
        if times.is_hedge:
            for stretch in attempt_stretches(times, 1, now):
                if stretch.kind is not Kind.QUEUED:
                    yield replace(stretch, is_beside=True)


def joining(run: Run, now: float) -> Stretch | None:
    """When the chunks were joined; None before that."""
    for phase, start, end in run.progress.phases(now):
        if phase.is_join:
            return Stretch(Kind.STITCHING, start, end)
    return None


def chunk_seconds(record: ChunkRecord, now: float) -> float:
    """How long a chunk's attempts took one after the other, the pauses between them not counted."""
    own = [times for times in tuple(record.times) if not times.is_hedge]
    return sum((now if times.ended is None else times.ended) - times.began for times in own)


def slowest(run: Run, now: float) -> list[tuple[ChunkRecord, float, str]]:
    """The chunks that took longest, the longest first: each with its seconds, and why as far as that is known."""
    tried = [(record, chunk_seconds(record, now)) for record in run.ledger.records.values() if record.times]
    if not tried:
        return []
    middle = median(seconds for _, seconds in tried)
    tried.sort(key=lambda pair: -pair[1])
    return [(record, seconds, _why(record, seconds, middle, now)) for record, seconds in tried[:SLOWEST]]


def explain(run: Run, now: float, *, is_over: bool) -> list[str]:
    """Say in a few sentences why a run takes, or took, as long as it does."""
    lines = [_phases(run, now, "in all" if is_over else "so far")]
    attempts = [times for record in run.ledger.records.values() for times in tuple(record.times)]
    reused = sum(record.reused for record in run.ledger.records.values())
    if reused:
        cached = sum(record.reused_from is ReusedFrom.CACHE for record in run.ledger.records.values())
        source = f"; {cached} of them come from the cache" if cached else ""
        lines.append(f"{reused} of {len(run.ledger.records)} chunks were reused, and cost nothing{source}.")
    if not attempts:
        return lines
    spans = [(times.began, now if times.ended is None else times.ended) for times in attempts]
    work, wall = sum(end - begin for begin, end in spans), max(end for _, end in spans) - min(spans)[0]
    lines.append(f"{duration(work)} of work in {duration(wall)}: {work / max(wall, 1e-9):.1f} chunks at a time.")
    waited = sum((now if times.started is None else times.started) - times.began for times in attempts)
    if waited >= TAIL_SECONDS:
        lines.append(f"Attempts waited {duration(waited)} for a slot of the adapter's limit.")
    failed = [end - begin for (begin, end), times in zip(spans, attempts, strict=True)
              if times.outcome is RunState.FAILED]  # fmt: skip
    if failed:
        lines.append(f"{len(failed)} attempts failed, and took {duration(sum(failed))}.")
    lines += place_lines(run.places.report(list(run.ledger.records.values())))
    lines += hedge_lines(run)
    lines += [describe_cost(cost)] if (cost := run.ledger.spending.report()) is not None else []
    lines += machine_lines(attempts, now)
    lines += gpu_lines(attempts, now)
    if (tail := _tail(run)) is not None:
        chunk, seconds = tail
        lines.append(f"For the last {duration(seconds)} of rendering, chunk {chunk} was alone.")
    return lines


def hedge_lines(run: Run) -> list[str]:
    """A sentence about the second attempts of slow chunks; none where there were none."""
    found = report_hedges(run.identity.job.hedge, run.ledger.records.values())
    if found is None:
        return []
    return [
        f"{found.attempts} second attempts of slow chunks, of which {found.won} won; they took "
        f"{duration(found.seconds)}, and {duration(found.lost_seconds)} of attempts were stopped."
    ]


def machine_lines(attempts: Sequence[AttemptTimes], now: float) -> list[str]:
    """A sentence for each machine, or worker, where there are several; the busiest first, at most `MOST_LINES`."""
    busy: dict[str, list[AttemptTimes]] = {}
    for times in attempts:
        if times.rendered_by:
            busy.setdefault(times.rendered_by, []).append(times)
    return _busy_lines(busy, now, "machines") if len(busy) > 1 else []


def gpu_lines(attempts: Sequence[AttemptTimes], now: float) -> list[str]:
    """A sentence for each GPU that was given to attempts, the busiest first, at most `MOST_LINES`."""
    busy: dict[tuple[str, str], list[AttemptTimes]] = {}
    for times in attempts:
        for gpu in times.gpus:
            busy.setdefault((times.rendered_by or "", gpu), []).append(times)
    several = len({worker for worker, _ in busy}) > 1
    named = {f"GPU {gpu} of {worker}" if several else f"GPU {gpu}": own for (worker, gpu), own in busy.items()}
    return _busy_lines(named, now, "GPUs")


def _busy_lines(busy: Mapping[str, Sequence[AttemptTimes]], now: float, what: str) -> list[str]:
    spent = {name: sum(times.rendered_seconds(now) for times in own) for name, own in busy.items()}
    ranked, lines = sorted(busy, key=lambda name: -spent[name]), []
    for name in ranked[:MOST_LINES]:
        failed = sum(times.outcome is RunState.FAILED for times in busy[name])
        failures = f", {failed} of which failed" if failed else ""
        lines.append(f"{name}: {duration(spent[name])} of rendering in {len(busy[name])} attempts{failures}.")
    return lines + ([f"{len(ranked) - MOST_LINES} further {what}."] if len(ranked) > MOST_LINES else [])


def _phases(run: Run, now: float, until: str) -> str:
    phases = [(phase, end - start) for phase, start, end in run.progress.phases(now) if end - start >= 0.05]
    parts = ", ".join(f"{phase} {duration(seconds)}" for phase, seconds in phases)
    return f"{duration(now)} {until}: {parts}." if parts else f"{duration(now)} {until}."


def _tail(run: Run) -> tuple[int, float] | None:
    """The chunk that ended last, and how long it was alone; None while something runs, or where it was not."""
    ends: list[tuple[float, int]] = []
    for record in run.ledger.records.values():
        if record.times:
            last = [times.ended for times in record.times]
            if None in last:
                return None
            ends.append((max(end for end in last if end is not None), record.chunk.id))
    if len(ends) < 2:
        return None
    ends.sort()
    alone = ends[-1][0] - ends[-2][0]
    return (ends[-1][1], alone) if alone >= TAIL_SECONDS else None


def _why(record: ChunkRecord, seconds: float, middle: float, now: float) -> str:
    reasons = []
    if len(record.times) > 1:
        reasons.append(f"{len(record.times)} attempts")
    by_kind: dict[Kind, float] = {}
    if record.hedges:
        reasons.append("hedged")
    for number, times in enumerate([one for one in tuple(record.times) if not one.is_hedge], start=1):
        for stretch in attempt_stretches(times, number, now):
            by_kind[stretch.kind] = by_kind.get(stretch.kind, 0) + stretch.seconds
    reasons += [
        f"{kind} {duration(by_kind[kind])}"
        for kind in (Kind.QUEUED, Kind.BOOTING, Kind.UPLOADING, Kind.CHECKING)
        if by_kind.get(kind, 0) > seconds / 5
    ]
    if middle > 0 and seconds > 1.5 * middle:
        reasons.append(f"{seconds / middle:.1f} × the median")
    return ", ".join(reasons)


def _beside_rendering(times: AttemptTimes, seconds: float) -> tuple[float, float]:
    """How much of the time until the answer a worker spent before and after its command, in seconds."""
    worker = times.worker
    if worker is None or times.render_ms is None:
        return 0.0, 0.0
    upload = (worker.verify_ms + worker.upload_ms) / 1000
    boot = max(0.0, seconds - times.render_ms / 1000 - upload)
    return boot, min(upload, seconds - boot)


def _rendering(times: AttemptTimes, number: int) -> Kind:
    if times.outcome is RunState.FAILED:
        return Kind.FAILED
    if times.ended is not None and times.outcome is RunState.CANCELLED:
        return Kind.STOPPED
    if times.is_hedge:
        return Kind.HEDGING
    return Kind.RENDERING if number == 1 else Kind.RETRYING
