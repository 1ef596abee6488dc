"""The chunks of a run that cuts them while it renders: they are on record before they are rendered.

The record is a list that only grows, in parts of a bounded size: a chunk costs the same however many there are. A run
that goes on keeps the ranges whose outputs are on record, the newest cut first, and cuts what lies between them.
"""

import asyncio
from bisect import bisect_left, insort
from collections.abc import Sequence
from typing import Protocol

from helios.bounded import map_bounded
from helios.models.report import ChunkResult
from helios.models.spec import JobSpec
from tasks.run.accepted import AcceptedChunks
from tasks.run.chunk_record import ChunkRecord
from tasks.run.ledger import Ledger
from tasks.run.run import Run
from tasks.schedule.cutting import Cut, Cutter, Wanted, rest_of

CUTS_OF_A_PART = 64
"""Cuts of a part of the list, which is written as a whole."""
READS_AT_ONCE = 16
Listed = tuple[int, int, int]
"""Id, first frame and frames of a chunk."""


class Records(Protocol):
    """Where the list is kept."""

    async def write_cuts(self, number: int, cuts: list[Listed]) -> None:
        """Keep a part of it."""
        ...


class CutList:
    """What was cut of a job, on record.

    Args:
        records: The job's.
        listed: What is on record.
    """

    def __init__(self, records: Records, listed: Sequence[Listed] = ()) -> None:
        self._records = records
        self._listed = list(listed)
        self._written = len(self._listed)
        self._turn = asyncio.Lock()

    async def add(self, *cuts: Cut) -> None:
        """Put chunks on record; what several slots cut at the same time is written at once."""
        self._listed += [(cut.id, cut.start, cut.frames) for cut in cuts]
        wanted = len(self._listed)
        async with self._turn:
            while self._written < wanted:
                number = self._written // CUTS_OF_A_PART
                part = self._listed[number * CUTS_OF_A_PART : (number + 1) * CUTS_OF_A_PART]
                await self._records.write_cuts(number, part)
                self._written = number * CUTS_OF_A_PART + len(part)


class RunCutting:
    """The cutting of one run.

    Args:
        cutter: Decides how long chunks are.
        cuts: The record.
        ledger: Gets the chunks.
    """

    def __init__(self, cutter: Cutter, cuts: CutList, ledger: Ledger) -> None:
        self.cutter = cutter
        """Decides how long chunks are."""
        self._cuts = cuts
        self._ledger = ledger

    async def begin(self, *cuts: Cut) -> None:
        """Make chunks of what was cut, and put them on record."""
        for cut in cuts:
            self._ledger.add(cut)
        await self._cuts.add(*cuts)
        self._ledger.start_seconds = self.cutter.profile.start_seconds if self.cutter.profile.is_known else None

    def split(self, record: ChunkRecord) -> bool:
        """Cut a chunk in two whose last attempt was stopped at a time limit; say whether that could be done."""
        ran = record.current.seconds if record.current is not None else 0.0
        if ran <= 0 or (parts := self.cutter.split(record.chunk.id, ran)) is None:
            return False
        self._ledger.drop(record, parts)
        return True


async def open_cutting(run: Run, accepted: AcceptedChunks, *, slots: int) -> RunCutting:
    """Find what earlier runs cut and accepted, and begin to cut the rest.

    Args:
        run: The run; its ledger gets the chunks that are kept.
        accepted: The job's records.
        slots: Chunks at a time.
    """
    spec, template = run.identity.job.spec, run.identity.job.spec.template
    assert template is not None and template.target_seconds is not None  # noqa: S101, PT018  the job grows
    listed = await _read(accepted)
    found = await _kept(spec, listed, accepted)
    kept = [cut for cut, _ in found]
    total = spec.metadata.total_frames
    wanted = Wanted(
        template.target_seconds,
        template.least(total),
        template.longest,
        template.cuts,
        run.identity.policy.timeout_seconds,
    )
    cutter = Cutter(template.start_frame, total, wanted=wanted, slots=slots, most=len(spec.chunks), kept=kept)
    for cut, result in found:
        run.ledger.add(cut)
        if result.render_ms > 0:
            cutter.note(cut.id, result.render_ms / 1000)
    return RunCutting(cutter, CutList(accepted, listed), run.ledger)


async def _read(accepted: AcceptedChunks) -> list[Listed]:
    listed: list[Listed] = []
    while (part := await accepted.read_cuts(len(listed) // CUTS_OF_A_PART)) is not None:
        listed += part
        if len(part) < CUTS_OF_A_PART:
            break
    return listed


async def _kept(spec: JobSpec, listed: Sequence[Listed], accepted: AcceptedChunks) -> list[tuple[Cut, ChunkResult]]:
    """The chunks on record that have an accepted output, in frame order: of those that overlap, the newest."""
    first = spec.chunks[0].start_frame
    end, most = first + spec.metadata.total_frames, len(spec.chunks)
    newest = list(dict.fromkeys(reversed(listed)))
    fitting = [one for one in newest if one[0] < most and first <= one[1] and one[1] + one[2] <= end]

    async def find(one: Listed) -> ChunkResult | None:
        return await accepted.find(spec.cut(one[0], start=one[1], count=one[2]))

    results = await map_bounded(find, fitting, limit=READS_AT_ONCE)
    kept: dict[int, tuple[Cut, ChunkResult]] = {}
    places: list[Cut] = []
    for (chunk_id, start, frames), result in zip(fitting, results, strict=True):
        cut = Cut(chunk_id, start, frames)
        if result is not None and chunk_id not in kept and _is_free(cut, places):
            kept[chunk_id] = cut, result
            insort(places, cut, key=lambda one: one.start)
    if len(kept) + len(rest_of(first, end, places)) > most:
        return []  # the document now says that chunks are longer: these leave more rests than it has chunks
    return [kept[cut.id] for cut in places]


def _is_free(cut: Cut, places: Sequence[Cut]) -> bool:
    """Whether a chunk overlaps none of some in frame order."""
    after = bisect_left(places, cut.start, key=lambda one: one.start)
    return (after == len(places) or places[after].start >= cut.end) and (
        after == 0 or places[after - 1].end <= cut.start
    )
