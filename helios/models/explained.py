"""Why a run took as long as it did, from its report: what waited, what was tried again, what was hedged."""

from collections.abc import Iterable, Iterator

from helios.models.cost_text import describe_cost
from helios.models.cut_report import SplitReport
from helios.models.place_report import PlaceReport
from helios.models.report import AttemptReport, ChunkReport, JobReport, RunState
from helios.models.report_text import duration

MOST_LINES = 20
"""Chunks that are named for one reason."""
_WHYS = {
    "kept": "as an earlier run had cut them",
    "first": "before anything was timed",
    "target": "of that time",
    "limit": "below a time limit",
    "end": "shorter, so that all end together",
    "half": "out of chunks that hit a time limit",
}
"""What `CutReport.why` means."""
WAIT_SECONDS = 1.0
"""A shorter wait for a slot is not named."""


def explain_report(report: JobReport) -> list[str]:
    """Say in lines for people why a run took its time.

    Args:
        report: Of a run that has ended.
    """
    attempts = [one for chunk in report.chunks for one in chunk.timeline]
    lines = [f"{duration(report.duration_ms / 1000)} in all, {len(attempts)} attempts of {len(report.chunks)} chunks."]
    if report.error is not None:
        accepted = sum(chunk.state is RunState.COMPLETED for chunk in report.chunks)
        lines.append(f"{accepted} of {len(report.chunks)} chunks were accepted. Its end: {report.error}")
    reused = sum(chunk.reused for chunk in report.chunks)
    if reused:
        lines.append(f"{reused} chunks were reused, and waited for nothing.")
    if work := sum(one.seconds for one in attempts):
        begin = min(one.started for one in attempts if one.started is not None)
        wall = max(one.ended for one in attempts if one.ended is not None) - begin
        at_once = work / max(wall, 1e-3)
        lines.append(f"{duration(work)} of work in {duration(wall)} of rendering: {at_once:.1f} attempts at a time.")
    lines += _watched(report)
    lines += place_lines(report.places)
    lines += _cutting(report)
    lines += _bounded(list(_waits(report)), "further chunks waited for a slot")
    lines += _bounded(list(_failures(report)), "further attempts failed")
    lines += _bounded([line for chunk in report.chunks for line in _hedges(chunk)], "further second attempts")
    lines += _hedge_sum(report)
    lines += [describe_cost(report.cost)] if report.cost is not None else []
    lines += _deadline(report) if report.deadline is not None else []
    return lines + _tail(report)


def place_lines(places: Iterable[PlaceReport]) -> list[str]:
    """A sentence about what each of several places did.

    Args:
        places: As in the report; none where there was one alone.
    """
    return [
        f"{place.name}: {place.accepted} chunks accepted of {place.attempts} attempts"
        + (f", {place.failed} of which failed" if place.failed else "")
        + f"; {duration(place.seconds)} of work, at most {place.concurrency} at a time"
        + (f"; the commands of {place.strikes} chunks failed there, and not elsewhere" if place.strikes else "")
        + (f"; benched {place.benched} times" if place.benched else "")
        + "."
        for place in places
    ]


def _watched(report: JobReport) -> list[str]:
    if not report.watched:
        return []
    chunks = "A chunk was" if report.watched == 1 else f"{report.watched} chunks were"
    return [f"{chunks} begun in the order of the video, and not the longest first, since somebody watched it."]


def _bounded(lines: list[str], rest: str) -> list[str]:
    more = len(lines) - MOST_LINES
    return lines[:MOST_LINES] + ([f"… and {more} {rest}."] if more > 0 else [])


def _cutting(report: JobReport) -> list[str]:
    """How a job was cut while it was rendered."""
    if (cutting := report.cutting) is None:
        return []
    by_why: dict[str, list[int]] = {}
    for chunk in report.chunks:
        if chunk.cut is not None:
            by_why.setdefault(chunk.cut.why, []).append(chunk.cut.frame_count)
    parts = [f"{len(by_why[why])} {words} ({_range(by_why[why])})" for why, words in _WHYS.items() if why in by_why]
    starts = "" if cutting.start_seconds is None else f" Starting a chunk takes {cutting.start_seconds:.2f} s."
    lines = [f"Cut while it was rendered, to take {cutting.target_seconds:g} s: {', '.join(parts)}.{starts}"]
    return lines + _bounded([_split(split) for split in cutting.splits], "further chunks hit a time limit")


def _split(split: SplitReport) -> str:
    first, second = split.parts
    last = split.start_frame + split.frame_count - 1
    return (
        f"Chunk {split.id} (frames {split.start_frame} to {last}) hit a time limit after {duration(split.seconds)}, "
        f"and was cut into chunks {first} and {second}."
    )


def _range(frames: list[int]) -> str:
    least, most = min(frames), max(frames)
    return f"{least} frames" if least == most else f"{least} to {most} frames"


def _waits(report: JobReport) -> Iterator[str]:
    waits = [
        (one.started - one.began, chunk.id, one)
        for chunk in report.chunks
        for one in chunk.timeline
        if one.started is not None and one.started - one.began >= WAIT_SECONDS
    ]
    for seconds, chunk_id, one in sorted(waits, key=lambda wait: -wait[0]):
        yield f"Chunk {chunk_id} waited {duration(seconds)} for a slot of a limit, from {one.began:.1f} s on."


def _failures(report: JobReport) -> Iterator[str]:
    for chunk in report.chunks:
        for number, one in enumerate(chunk.timeline, start=1):
            if one.outcome is RunState.FAILED:
                yield f"Chunk {chunk.id}: attempt {number} failed after {duration(one.seconds)}{_where(one)}."


def _hedges(chunk: ChunkReport) -> Iterator[str]:
    for number, one in enumerate(chunk.timeline, start=1):
        if not one.hedge:
            continue
        other = next((own for own in reversed(chunk.timeline[: number - 1]) if not own.hedge), None)
        ran = (
            ""
            if other is None or other.started is None
            else f", when its own had run {duration(one.began - other.started)}"
        )
        head = f"Chunk {chunk.id} was hedged at {one.began:.1f} s{ran}: attempt {number}"
        if one.outcome is RunState.COMPLETED:
            cost = f"; the other was stopped after {duration(other.seconds)}" if other is not None else ""
            yield f"{head} won in {duration(one.seconds)}{_where(one)}{cost}."
        elif one.outcome is RunState.FAILED:
            yield f"{head} failed after {duration(one.seconds)}{_where(one)}."
        else:
            yield f"{head} won nothing, and was stopped after {duration(one.seconds)}."


def _hedge_sum(report: JobReport) -> list[str]:
    found = report.hedge
    if found is None:
        return []
    share = found.seconds / max(found.work_seconds, 1e-3)
    return [
        f"{found.won} of {found.attempts} second attempts won; all of them took {duration(found.seconds)}, {share:.1%} "
        f"of the time of the others. {duration(found.lost_seconds)} of attempts were stopped, as another was faster. "
        f"Those that win nothing may cost {found.share:.1%}, or one attempt."
    ]


def _deadline(report: JobReport) -> list[str]:
    """Whether the deadline was met, and which of several places it needed."""
    if (found := report.deadline) is None:
        return []
    met = "was met" if found.met else "was missed"
    said = ""
    if found.foreseen_seconds is not None:
        said = f"; that it can't be was first said at {found.foreseen_seconds:.1f} s"
    lines = [f"The deadline {found.at:%Y-%m-%d %H:%M:%S} {met}, with at most {found.slots} chunks at a time{said}."]
    spans = [
        f"For the deadline, {span.name} got chunks from {span.opened_seconds:.1f} s on, at most {span.slots} at a time"
        + (f", and none from {span.closed_seconds:.1f} s on" if span.closed_seconds is not None else "")
        + "."
        for span in found.places
    ]
    used = {span.name for span in found.places}
    spare = [place.name for place in report.places if place.name not in used]
    return lines + _bounded(spans, "further times a place was opened") + [f"It did not need {name}." for name in spare]


def _tail(report: JobReport) -> list[str]:
    """Which chunk ended last, and for how long it was alone."""
    ends = sorted(
        (max(one.ended for one in chunk.timeline if one.ended is not None), chunk.id)
        for chunk in report.chunks
        if any(one.ended is not None for one in chunk.timeline)
    )
    if len(ends) < 2 or (alone := ends[-1][0] - ends[-2][0]) < WAIT_SECONDS:
        return []
    return [f"For the last {duration(alone)} of rendering, chunk {ends[-1][1]} was alone."]


def _where(one: AttemptReport) -> str:
    at = f" at {one.place}" if one.place else ""
    return f"{at} on {one.rendered_by}" if one.rendered_by else at
