"""The places of a live run: their sites, their limits, and which of them an attempt gets."""

import asyncio
from collections.abc import AsyncIterator, Callable, Container, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import NamedTuple

from helios.adapter import StorageAdapter
from helios.errors import HeliosError, file_system_error
from helios.models.place_report import PlaceReport
from helios.models.report_text import duration
from tasks.prefect_api.log import RunLogger
from tasks.request.prepare import PreparedJob
from tasks.request.prepared_places import PreparedPlace
from tasks.run.chunk_record import AttemptTimes, ChunkRecord
from tasks.run.limits import RunLimits
from tasks.run.open_sites import OpenSites
from tasks.run.place_ends import ended, is_command, kind_of, report_place
from tasks.run.place_queue import PlaceQueue
from tasks.run.progress import Phase, ProgressTracker
from tasks.schedule.deadline import Option
from tasks.schedule.place import Begun, Change, Ended, Place, Wanted
from tasks.schedule.places import Placement

FULL_SECONDS = 5.0
"""An attempt waits so long for a slot of its place's limit over all jobs, and then for another place."""


class Held(NamedTuple):
    """What an attempt has while it runs."""

    at: PreparedPlace
    """Its place."""
    begun: Begun | None
    """What the policy of places knows of it; None where there is one place alone."""


class RunPlaces:
    """The places of one run. With one place alone nothing is decided here, and nothing benched.

    Args:
        job: The job.
        limits: The limits over all jobs.
        progress: Its clock dates everything; shows which places are benched.
        log: The run's.
    """

    def __init__(self, job: PreparedJob, limits: RunLimits, *, progress: ProgressTracker, log: RunLogger) -> None:
        self.all: Mapping[str, PreparedPlace] = {place.name: place for place in job.places}
        """By name, the preferred one first."""
        self._job = job
        self._limits = limits
        self._progress = progress
        self._log = log
        self._sites: OpenSites | None = None
        self._placement: Placement | None = None
        self._queue: PlaceQueue | None = None
        self.too_dear: Callable[[], frozenset[str]] = frozenset
        """Says at which places nothing may start, since the budget is nearly spent; not all of them."""

    @property
    def first(self) -> PreparedPlace:
        """The preferred place; the only one, mostly."""
        return self._job.places[0]

    @property
    def are_several(self) -> bool:
        """Whether there is a choice."""
        return len(self.all) > 1

    @property
    def bounds(self) -> dict[str, int]:
        """Chunks that each place has at a time, by its name."""
        has_deadline = self._job.deadline is not None
        return {
            name: place.concurrency or place.site.slots(has_deadline=has_deadline) for name, place in self.all.items()
        }

    async def open(
        self, key: str, token: str, *, known: Mapping[str, tuple[str, int]], left_out: Container[str] = ()
    ) -> None:
        """Make the sites ready for a run; one of several that can't be reached is tried again later.

        Args:
            key: The job's name in records.
            token: Tells this execution from others.
            known: Digests and sizes of input files that were hashed already, by their names.
            left_out: Places that are opened when they get their first chunk, by name; not all of them.

        Raises:
            RequestError: A site can't be used.
            WorkerUnavailableError: None of them can be reached.
        """

        async def open_one(place: PreparedPlace) -> None:
            await place.site.open(
                key, token, known=known, on_upload=self._begin_upload,
                tell=lambda line: self._log.info("%s", f"{place.name}: {line}" if self.are_several else line),
            )  # fmt: skip

        self._sites = sites = OpenSites(open_one)
        for name, error in (await sites.open_some(self._job.places, left_out=left_out)).items():
            self._log.warning("%s can't be used yet: %s", name, error)

    def plan(self, costs: Mapping[int, float], *, prices: Mapping[str, float], backlog: Callable[[], float]) -> None:
        """Begin to choose among several places.

        Args:
            costs: What each chunk is expected to cost, by id.
            prices: What an hour of a worker costs at each place, by its name.
            backlog: What the chunks cost together that have not asked for a place yet.
        """
        if not self.are_several:
            return
        bounds = self.bounds
        self._placement = Placement([Place(name, bounds[name], prices.get(name, 0.0)) for name in self.all], costs)
        self._queue = PlaceQueue(self._placement, clock=lambda: self._progress.seconds, backlog=backlog)
        for name in self._sites.away if self._sites is not None else ():
            self._tell([self._placement.note_away(name, self._progress.seconds)])

    def options(self, most: int) -> list[Option]:
        """What each place could do for a deadline.

        Args:
            most: Chunks at a time, where there is one place alone.
        """
        if self._placement is None:
            return [Option("", most)]
        return self._placement.options(self._progress.seconds, barred=self.too_dear())

    def allot(self, slots: Mapping[str, int], *, seconds_left: float) -> None:
        """Open places as far as a deadline needs them, and close the others.

        Args:
            slots: Chunks at a time at each place that is open.
            seconds_left: Until the deadline.
        """
        if self._placement is not None and self._queue is not None:
            self._placement.allot(slots, ends=self._progress.seconds + seconds_left)
            self._queue.look()

    @property
    def planned_slots(self) -> int:
        """Chunks at a time, those included that closed places still have; 0 where there is one place alone."""
        return 0 if self._placement is None else self._placement.slots

    @asynccontextmanager
    async def held(self, record: ChunkRecord, *, is_hedge: bool = False) -> AsyncIterator[Held]:
        """Have a place, and slots of its limits, within the block; wait for them before."""
        if (queue := self._queue) is None:
            async with self._limits.held(record.chunk, self.first.limit):
                yield Held(self.first, None)
            return
        full = frozenset[str]()
        while True:
            async with AsyncExitStack() as stack:
                try:
                    # A place whose limit other jobs have taken is left for another one, and is tried again after that.
                    async with asyncio.timeout(FULL_SECONDS if full else None):
                        begun = await self._take(record, queue, is_hedge=is_hedge, full=full)
                    stack.callback(queue.leave, begun)
                    async with asyncio.timeout(FULL_SECONDS):
                        await stack.enter_async_context(self._limits.held(record.chunk, self.all[begun.place].limit))
                except TimeoutError:
                    full = frozenset() if full else frozenset({begun.place})
                    continue
                yield Held(self.all[begun.place], begun)
                return

    def of(self, times: AttemptTimes | None) -> PreparedPlace:
        """The place of an attempt; the preferred one where there is none."""
        return self._job.place(None if times is None else times.place)

    def that_left(self, name: str | None) -> PreparedPlace:
        """The place of a worker that has left images in storage; of an earlier run that may have had other places."""
        elsewhere = (place for place in self.all.values() if isinstance(place.adapter, StorageAdapter))
        return self.all.get(name or "") or next(elsewhere, self.first)

    def may_hedge(self, record: ChunkRecord) -> bool:
        """Whether a chunk's attempt that runs can have another one beside it."""
        return self.of(record.current).site.is_repeatable(record.chunk) and len(self._barred(record)) < len(self.all)

    def has_untried(self, record: ChunkRecord) -> bool:
        """Whether there is a place where the command of a chunk has not failed, its last attempt included."""
        failed = {times.place for times in record.times if times is record.current or is_command(times)}
        return self.are_several and len(failed) < len(self.all)

    def slowness(self, times: AttemptTimes) -> float:
        """How many times as long an attempt's place takes as the preferred one: times of several places compare so."""
        return 1.0 if self._placement is None or times.place is None else self._placement.slowness(times.place)

    def judge(self, record: ChunkRecord, error: HeliosError | None = None) -> None:
        """Count what the attempts of a chunk that have ended say of their places."""
        for times in record.times:
            if times.begun is not None and times.ended is not None and not times.is_judged:
                times.is_judged = True
                self._judge(times.begun, ended(times), times=times, error=error)

    def judge_audit(self, begun: Begun | None, error: HeliosError) -> None:
        """Count an audit that failed."""
        if begun is not None:
            self._judge(begun, kind_of(error), error=error)

    async def close(self) -> None:
        """Give up what the sites took hold of."""
        if self._queue is not None:
            self._queue.close()
        async with AsyncExitStack() as stack:
            for place in self.all.values():
                stack.push_async_callback(place.site.close)

    async def clean(self, key: str) -> int:
        """Remove what the run left at its sites; return the number of objects.

        Raises:
            HeliosError: Some can't be removed.
        """
        tried = self._sites.tried if self._sites is not None else ()
        return sum([await place.site.clean(key) for place in self.all.values() if place.name in tried])

    def report(self, records: Sequence[ChunkRecord]) -> tuple[PlaceReport, ...]:
        """What each place did; empty where there is one alone."""
        known = () if self._placement is None else self._placement.known.values()
        return tuple(report_place(one, self.all[one.place.name].adapter_name, records) for one in known)

    async def _take(self, record: ChunkRecord, queue: PlaceQueue, *, is_hedge: bool, full: frozenset[str]) -> Begun:
        beside = record.current.place if is_hedge and record.current is not None else None
        barred = full | (self._barred(record) if is_hedge else frozenset())
        while True:
            begun = await queue.take(Wanted(record.chunk.id, beside, barred | self.too_dear()))
            if begun.place in self.too_dear():  # it waited so long
                queue.leave(begun)
                continue
            try:
                if await self._has_site(begun.place):
                    return begun
            except BaseException:
                queue.leave(begun)
                raise
            queue.leave(begun)

    async def _has_site(self, name: str) -> bool:
        """Open a place's site where it is not open yet; say whether it is."""
        assert self._placement is not None and self._sites is not None  # noqa: S101, PT018  narrows the types
        if self._sites.has(name):
            return True
        try:
            await self._sites.open(self.all[name])
        except (HeliosError, OSError) as exc:
            error = exc if isinstance(exc, HeliosError) else file_system_error(exc)
            self._tell([self._placement.note_away(name, self._progress.seconds)], error)
            return False
        return True

    def _begin_upload(self) -> None:
        if self._progress.now.phase is Phase.STARTING:
            self._progress.enter(Phase.UPLOADING)

    def _barred(self, record: ChunkRecord) -> frozenset[str]:
        """Where a chunk can't have a second attempt beside the one that runs.

        By itself none is begun on the disk on which the first one writes: two commands would write to one folder.
        """
        own = self.of(record.current)
        on_disk = not self._job.is_hedge_named and own.site.hedge == 0
        return frozenset(
            name
            for name, place in self.all.items()
            if not place.site.is_repeatable(record.chunk) or (on_disk and place.site.hedge == 0)
        )

    def _judge(
        self, begun: Begun, how: Ended, *, times: AttemptTimes | None = None, error: HeliosError | None = None
    ) -> None:
        if self._placement is None or self._queue is None:
            return
        seconds = 0.0 if times is None else times.seconds
        render_seconds = 0.0 if times is None else (times.render_ms or 0) / 1000
        changes = self._placement.end(
            begun, how, self._progress.seconds, seconds=seconds, render_seconds=render_seconds
        )
        self._tell(changes, error)
        self._queue.look()

    def _tell(self, changes: Sequence[Change], error: HeliosError | None = None) -> None:
        """Say which places are benched, and which are back."""
        assert self._placement is not None  # noqa: S101  the callers have looked
        for name, pause in changes:
            if pause is None:
                self._log.info("%s works again, and gets chunks as before", name)
            else:
                why = f": {error}" if error is not None else ": commands failed there, and not elsewhere"
                self._log.warning(
                    "%s gets no chunks for %s, and then one to see whether it works again%s", name, duration(pause), why
                )
        benched = [name for name, known in self._placement.known.items() if known.bench.is_benched]
        self._progress.note(benched=", ".join(benched), all_benched=len(benched) == len(self.all))
