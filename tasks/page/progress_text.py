"""Progress in words, for people: in Prefect's UI, on a terminal, in a log."""

from helios.models.cost_text import money
from helios.models.report_text import duration
from tasks.run.progress import Progress


def describe(progress: Progress) -> str:
    """`rendering: 120 of 300 frames, 4 of 10 chunks, 29.5 frames/s, 6.1 s left; a chunk waits for …`."""
    underway = f" (and {progress.underway_frames} underway)" if progress.underway_frames else ""
    words = (
        f"{progress.phase}: {progress.frames} of {progress.total_frames} frames{underway}, "
        f"{progress.chunks} of {progress.total_chunks} chunks"
    )
    if (rate := progress.frames_per_second) is not None:
        words += f", {rate:.3g} frames/s, {duration(max(progress.total_frames - progress.frames, 0) / rate)} left"
    handed_over = [progress.handed_over] if progress.handed_over else []
    return "; ".join([words, *cost_words(progress), *handed_over, *obstacles(progress)])


def cost_words(progress: Progress) -> list[str]:
    """`1.23 USD`, or `1.23 USD of 5.00 USD spent`, where anything costs something."""
    if progress.cost is None:
        return []
    spent = money(progress.cost, progress.currency)
    return [spent if progress.budget is None else f"{spent} of {money(progress.budget, progress.currency)} spent"]


def obstacles(progress: Progress) -> list[str]:
    """What holds the run up, a clause each."""
    found = []
    if (count := progress.waiting_chunks) > 0:
        chunks = "a chunk waits" if count == 1 else f"{count} chunks wait"
        found.append(f"{chunks} for a slot of the limit {progress.limit}")
    if progress.all_benched:
        found.append(f"all places fail and have a pause: {progress.benched}")
    elif progress.benched:
        found.append(f"gets no chunks since its attempts failed: {progress.benched}")
    if progress.is_paused:
        found.append("paused")
    if (seconds := progress.overdue_seconds) is not None:
        found.append(f"takes longer than the {duration(seconds)} that it should")
    if (late := progress.late_seconds) is not None:
        found.append(f"the deadline is missed by about {duration(late)}")
    return found
