"""The ledger of a run: what became of each chunk, which outputs are accepted, and the report at the end."""

from helios.errors import HeliosError, MisfitError, OutputError, RetryBudget
from helios.media.animation_kinds import joined_name
from helios.media.containers import check_container
from helios.media.copies import Copies
from helios.media.job_pictures import JobPictures
from helios.media.parameters import AudioParameters
from helios.media.verify import VerifiedOutput
from helios.models.images import ImageKind
from helios.models.pictures import PictureFault, PictureFinding
from helios.models.report import ChunkReport, ChunkResult, InputsReport, JobReport, OutputReport, ReusedFrom, RunState
from tasks.run.audits import Audits
from tasks.run.chunk_record import AttemptTimes, ChunkRecord
from tasks.run.hedge_report import report_attempt, report_hedges
from tasks.run.identity import RunIdentity
from tasks.run.image_report import Delivered, report_images
from tasks.run.last_chunk import describe_length, essence, is_alike
from tasks.run.progress import ProgressTracker
from tasks.run.source_checks import unlike_sources

ALIKE = 2
"""After so many attempts with the same wrong output a chunk is not tried again."""


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
        self.records = {chunk.id: ChunkRecord(chunk, positions[chunk.id]) for chunk in self._job.chunks}
        """By chunk id, in frame order."""
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
        self.is_rehearsal_due = False
        """Whether no chunk of the kind accepted has been tried in the wanted video."""
        self._first_accepted: tuple[str, VerifiedOutput] | None = None
        self._first_with_sound: tuple[str, VerifiedOutput] | None = None
        self._first_images: tuple[str, ImageKind] | None = None

    def begin_attempt(self, record: ChunkRecord, asked: float, *, is_hedge: bool = False) -> AttemptTimes:
        """Count an attempt, which was asked for `asked` seconds after the run began."""
        record.state = RunState.RUNNING
        record.times.append(AttemptTimes(asked, is_hedge=is_hedge))
        return record.times[-1]

    def end_attempt(self, record: ChunkRecord, outcome: RunState) -> None:
        """Write down how a chunk's last attempt ended; a chunk whose attempt never began only gets the state."""
        record.state = outcome
        if (last := record.current) is not None and last.ended is None:
            last.end(self._progress.seconds, outcome)

    def fail_attempt(self, record: ChunkRecord, error: HeliosError) -> bool:
        """Count a failed attempt.

        Returns:
            Whether another attempt is due.
        """
        record.error = str(error)
        self.end_attempt(record, RunState.FAILED)
        policy = self._identity.policy
        found = essence(error)
        record.alike = record.alike + 1 if is_alike(error, record.essence) else int(found is not None)
        record.essence = found
        match error.failure.budget:
            case RetryBudget.CHUNK:
                record.command_failures += 1
                is_due = record.command_failures <= policy.retries and record.alike < ALIKE
            case RetryBudget.ENVIRONMENT:
                record.environment_failures += 1
                is_due = record.environment_failures <= policy.environment_retries
            case RetryBudget.NONE:
                is_due = False
        record.is_given_up = not is_due
        return is_due

    def accept(self, record: ChunkRecord, result: ChunkResult) -> None:
        """Write down an output that was accepted."""
        record.result, record.error = result, None
        self.end_attempt(record, RunState.COMPLETED)
        self._progress.add(result.frames)

    def reuse(
        self, result: ChunkResult, verified: VerifiedOutput, *, source: ReusedFrom = ReusedFrom.EARLIER_RUN
    ) -> bool:
        """Take an output that this run did not render; say whether it fits its siblings."""
        record = self.records[result.chunk_id]
        try:
            self.check_fits(f"chunk {result.chunk_id}", verified)
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

    def check_fits(self, name: str, verified: VerifiedOutput) -> None:
        """Compare a verified output with the first accepted ones, and the first output with the wanted video.

        Raises:
            OutputError: It can't be joined with its siblings.
            RequestError: No chunk of this kind can be joined into the wanted video.
        """
        for known in (self._first_accepted, self._first_with_sound):
            if known is not None:
                verified.check_sibling(known[1], name=name, other_name=known[0])
        is_first, is_loud = self._first_accepted is None, verified.audio and self._first_with_sound is None
        if self._job.output is not None and is_first:
            check_container(joined_name(self._job.output), verified.video.codec)
        if is_first:
            self._first_accepted = (name, verified)
        if is_loud:
            self._first_with_sound = (name, verified)
        if is_first or is_loud:
            self.is_rehearsal_due = self._job.output is not None

    def check_images_fit(self, name: str, kind: ImageKind) -> None:
        """Compare the images of a chunk with those of the first accepted one.

        Raises:
            MisfitError: They are of another kind.
        """
        if self._first_images is None:
            self._first_images = name, kind
        first, known = self._first_images
        if kind != known:
            raise MisfitError(f"{name} does not fit {first}: {kind.differences(known)}; expected images of one kind")

    @property
    def image_kind(self) -> ImageKind | None:
        """What the accepted images are; None as long as no chunk is whole."""
        return self._first_images[1] if self._first_images else None

    def reuse_images(self, result: ChunkResult, *, source: ReusedFrom = ReusedFrom.EARLIER_RUN) -> bool:
        """Take a whole chunk of images that this run did not render; they were held against the others before."""
        record = self.records[result.chunk_id]
        record.state, record.result, record.error = RunState.COMPLETED, result, None
        record.reused_at, record.reused_from = self._progress.seconds, source
        self._progress.add(result.frames, reused=True)
        return True

    @property
    def sound(self) -> AudioParameters | None:
        """Format of the accepted chunks' sound; None as long as none has any."""
        return self._first_with_sound[1].audio if self._first_with_sound else None

    def warnings(self) -> tuple[PictureFinding, ...]:
        """What is suspicious in the accepted chunks' pictures, in frame order."""
        found = self.pictures.warnings()
        named = {finding.chunk_id for finding in found if finding.kind is PictureFault.RESTART}
        copies = self.copies.findings(total=len(self._job.spec.chunks), named=named)
        unlike = unlike_sources(self.records.values())
        return tuple(sorted((*found, *copies, *unlike), key=lambda finding: finding.frame))

    def report(
        self,
        state: RunState,
        *,
        duration_ms: int,
        inputs: InputsReport | None = None,
        error: str | None = None,
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
            chunks=tuple(self._chunk_report(record) for record in self.records.values()),
            duration_ms=duration_ms,
            retries=policy.retries,
            environment_retries=policy.environment_retries,
            hand_overs=self._identity.hand_overs.done,
            video=self.video,
            error=error,
            warnings=self.warnings(),
            audit=self.audits.report(),
            hedge=report_hedges(self._job.hedge, self.records.values()),
            inputs=inputs,
            last_chunk=self._last_chunk,
            images=report_images(self._job, self.records.values(), delivered=self.delivered),
        )

    @property
    def _last_chunk(self) -> str | None:
        record = list(self.records.values())[-1]
        return None if record.result is None else describe_length(record.chunk, record.result.frames)

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
            adapter=self._job.adapter_name,
            duration_ms=result.render_ms if result else None,
            worker=result.worker if result else None,
            rendered_by=result.rendered_by if result else None,
            bytes=result.artifact.bytes if result else None,
            frames=result.frames if result else None,
            verified=result.verified if result else None,
            kept_images=result.frames - len(record.images_rendered) if result and result.images else None,
            quality=result.quality if result else None,
            timeline=tuple(report_attempt(times) for times in record.times),
            error=record.error,
        )
