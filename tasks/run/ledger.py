"""The ledger of a run: what became of each chunk, which outputs are accepted, and the report at the end."""

from typing import Protocol

from helios.errors import HeliosError, OutputError, RetryBudget
from helios.media.copies import Copies
from helios.media.job_pictures import JobPictures
from helios.media.verify import VerifiedOutput
from helios.models.deadline import DeadlineReport
from helios.models.pictures import PictureFault, PictureFinding
from helios.models.place_report import PlaceReport
from helios.models.report import ChunkReport, ChunkResult, InputsReport, JobReport, OutputReport, ReusedFrom, RunState
from helios.models.spec import RenderJobChunk
from tasks.run.audits import Audits
from tasks.run.chunk_record import AttemptTimes, ChunkRecord
from tasks.run.cut_report import report_cut, report_cutting
from tasks.run.hedge_report import report_attempt, report_hedges
from tasks.run.identity import RunIdentity
from tasks.run.image_report import Delivered, report_images
from tasks.run.last_chunk import describe_length, essence, is_alike
from tasks.run.progress import ProgressTracker
from tasks.run.siblings import Siblings
from tasks.run.source_checks import unlike_sources
from tasks.run.spending import DECIMALS, Spending
from tasks.schedule.cutting import Cut
from tasks.schedule.place import Begun

ALIKE = 2
"""After so many attempts with the same wrong output a chunk is not tried again."""


class ReportsDeadline(Protocol):
    """A deadline that is watched."""

    def report(self) -> DeadlineReport:
        """How the run stands to it."""
        ...


class Ledger:
    """What has become of one run's chunks so far.

    Args:
        identity: Which run.
        progress: Told of accepted chunks; its clock dates everything.
    """

    def __init__(self, identity: RunIdentity, progress: ProgressTracker) -> None:
        self._identity = identity
        self._job = identity.job
        self._progress = progress
        positions = {chunk.id: position for position, chunk in enumerate(self._job.spec.chunks)}
        known = () if self._job.spec.grows else self._job.chunks
        self.records = {chunk.id: ChunkRecord(chunk, positions[chunk.id]) for chunk in known}
        """By chunk id: in frame order, or as they were cut (`ordered`)."""
        self.start_seconds: float | None = None
        """What starting a chunk takes, of a job that is cut on the way, once that is known."""
        self.split: list[ChunkRecord] = []
        """Chunks that hit a time limit, and were cut in two."""
        self.video: OutputReport | None = None
        """The stitched video, once it is there."""
        self.delivered: Delivered | None = None
        """Where its images are besides the job directory, once all are there."""
        self.pictures = JobPictures()
        """What was kept of the accepted chunks' pictures, at the level `pictures`."""
        self.copies = Copies()
        """Which accepted chunks hold the same pictures, at every level."""
        self.audits = Audits(identity)
        """Which chunks are rendered a second time, and what came of it."""
        self.spending = Spending(lambda: progress.seconds, budget=identity.job.budget)
        """What the attempts cost."""
        self.deadline: ReportsDeadline | None = None
        """Of the run, where it has one."""
        self.watched = 0
        """Chunks that were begun in the order in which they are seen, since somebody watched."""
        self.siblings = Siblings(self._job)
        """What accepted outputs have in common."""

    @property
    def ordered(self) -> list[ChunkRecord]:
        """The chunks' records in frame order."""
        found = list(self.records.values())
        return sorted(found, key=lambda record: record.chunk.start_frame) if self._job.spec.grows else found

    def add(self, cut: Cut) -> RenderJobChunk:
        """Add a chunk that was cut."""
        chunk = self._job.spec.cut(cut.id, start=cut.start, count=cut.frames)
        self.records[cut.id] = ChunkRecord(chunk, cut=cut)
        self._progress.grow(1)
        return chunk

    def drop(self, record: ChunkRecord, parts: tuple[Cut, ...]) -> None:
        """Take a chunk out that was cut in two: the parts are to be added."""
        record.parts = parts
        self.end_attempt(record, RunState.FAILED)
        del self.records[record.chunk.id]
        self.split.append(record)
        self._progress.grow(-1)

    def begin_attempt(
        self, record: ChunkRecord, asked: float, *, is_hedge: bool = False, begun: Begun | None = None
    ) -> AttemptTimes:
        """Count an attempt, which was asked for `asked` seconds after the run began."""
        record.state = RunState.RUNNING
        times = AttemptTimes(asked, is_hedge=is_hedge, begun=begun)
        record.times.append(times)
        self.spending.add(times, record)
        return times

    def end_attempt(self, record: ChunkRecord, outcome: RunState) -> None:
        """Write down how a chunk's last attempt ended; a chunk whose attempt never began only gets the state."""
        record.state = outcome
        if (last := record.current) is not None and last.ended is None:
            last.end(self._progress.seconds, outcome)

    def fail_attempt(self, record: ChunkRecord, error: HeliosError, *, is_elsewhere_untried: bool = False) -> bool:
        """Count a failed attempt.

        Args:
            record: Its chunk's.
            error: Why it failed.
            is_elsewhere_untried: Whether there is another place, where what can't work here may.

        Returns:
            Whether another attempt is due.
        """
        record.error = str(error)
        self.end_attempt(record, RunState.FAILED)
        if record.current is not None:
            record.current.failure = error.failure
        policy = self._identity.policy
        found = essence(error)
        record.alike = record.alike + 1 if is_alike(error, record.essence) else int(found is not None)
        record.essence = found
        match error.failure.budget:
            case RetryBudget.CHUNK:
                record.command_failures += 1
                self._progress.note(command_failures=self._progress.now.command_failures + 1)
                is_due = record.command_failures <= policy.retries and record.alike < ALIKE
            case RetryBudget.ENVIRONMENT:
                record.environment_failures += 1
                self._progress.note(environment_failures=self._progress.now.environment_failures + 1)
                is_due = record.environment_failures <= policy.environment_retries
            case RetryBudget.NONE:
                is_due = is_elsewhere_untried
        record.is_given_up = not is_due
        return is_due

    def accept(self, record: ChunkRecord, result: ChunkResult) -> None:
        """Write down an output that was accepted."""
        record.result, record.error = result, None
        self.end_attempt(record, RunState.COMPLETED)
        self.spending.frames += result.frames
        self._progress.add(result.frames)

    def reuse(
        self, result: ChunkResult, verified: VerifiedOutput, *, source: ReusedFrom = ReusedFrom.EARLIER_RUN
    ) -> bool:
        """Take an output that this run did not render; say whether it fits its siblings."""
        record = self.records[result.chunk_id]
        try:
            self.siblings.check_fits(f"chunk {result.chunk_id}", verified)
        except OutputError:
            return False
        record.state, record.result, record.error = RunState.COMPLETED, result, None
        record.packets = verified.packets
        record.reused_at, record.reused_from = self._progress.seconds, source
        self._progress.add(result.frames, reused=True)
        return True

    def reject(self, record: ChunkRecord, message: str) -> None:
        """Take an accepted output back, because its pictures are wrong beside those of other chunks.

        It is rendered again once: a second output with the same fault has the same cause.
        """
        assert record.result is not None  # noqa: S101  it was accepted
        self._progress.withdraw(record.result.frames, reused=record.reused)
        self.pictures.remove(record.chunk.id)
        self.copies.remove(record.chunk.id)
        record.state, record.error, record.result = RunState.FAILED, message, None
        record.reused_at, record.reused_from = None, None
        for times in record.times:
            if times.outcome is RunState.COMPLETED:
                times.outcome = RunState.FAILED
        record.command_failures += 1
        record.rejections += 1
        record.is_given_up = record.rejections > 1

    def reuse_images(self, result: ChunkResult, *, source: ReusedFrom = ReusedFrom.EARLIER_RUN) -> bool:
        """Take a whole chunk of images that this run did not render; they were held against the others before."""
        record = self.records[result.chunk_id]
        record.state, record.result, record.error = RunState.COMPLETED, result, None
        record.reused_at, record.reused_from = self._progress.seconds, source
        self._progress.add(result.frames, reused=True)
        return True

    def warnings(self) -> tuple[PictureFinding, ...]:
        """What is suspicious in the accepted chunks' pictures, in frame order."""
        found = self.pictures.warnings()
        named = {finding.chunk_id for finding in found if finding.kind is PictureFault.RESTART}
        copies = self.copies.findings(total=len(self.records), named=named)
        unlike = unlike_sources(self.records.values())
        return tuple(sorted((*found, *copies, *unlike), key=lambda finding: finding.frame))

    def report(
        self,
        state: RunState,
        *,
        duration_ms: int,
        inputs: InputsReport | None = None,
        error: str | None = None,
        places: tuple[PlaceReport, ...] = (),
    ) -> JobReport:
        """What has become of the job."""
        policy = self._identity.policy
        return JobReport(
            run_id=self._identity.run_id,
            job_id=self._job.spec.id,
            state=state,
            output=self.video.path if self.video else None,
            job_dir=str(self._job.directory.path),
            merged=state is RunState.COMPLETED and self._job.output is None and self._job.merge is not None,
            frames=sum(record.result.frames for record in self.records.values() if record.result),
            chunks=tuple(self._chunk_report(record) for record in self.ordered),
            duration_ms=duration_ms,
            retries=policy.retries,
            environment_retries=policy.environment_retries,
            hand_overs=self._identity.hand_overs.done,
            video=self.video,
            error=error,
            warnings=self.warnings(),
            audit=self.audits.report(),
            hedge=report_hedges(self._job.hedge, [*self.records.values(), *self.split]),
            cutting=report_cutting(self._job.spec, self.split, start_seconds=self.start_seconds),
            places=places,
            cost=self.spending.report(),
            deadline=self.deadline.report() if self.deadline else None,
            inputs=inputs,
            last_chunk=self._last_chunk,
            watched=self.watched,
            images=report_images(self._job, self.records.values(), delivered=self.delivered),
        )

    def _cost(self, times: AttemptTimes) -> float | None:
        return round(self.spending.cost(times), DECIMALS) if self.spending.counts else None

    @property
    def _last_chunk(self) -> str | None:
        record = next(reversed(self.ordered), None)
        return None if record is None or record.result is None else describe_length(record.chunk, record.result.frames)

    def _chunk_report(self, record: ChunkRecord) -> ChunkReport:
        result = record.result
        return ChunkReport(
            id=record.chunk.id,
            state=record.state,
            attempts=record.attempts,
            command_failures=record.command_failures,
            environment_failures=record.environment_failures,
            reused=record.reused,
            reused_from=record.reused_from,
            adapter=self._job.place(record.place).adapter_name,
            duration_ms=result.render_ms if result else None,
            worker=result.worker if result else None,
            rendered_by=result.rendered_by if result else None,
            bytes=result.artifact.bytes if result else None,
            frames=result.frames if result else None,
            verified=result.verified if result else None,
            kept_images=result.frames - len(record.images_rendered) if result and result.images else None,
            quality=result.quality if result else None,
            timeline=tuple(report_attempt(times, cost=self._cost(times)) for times in record.times),
            error=record.error,
            cut=report_cut(record),
        )
