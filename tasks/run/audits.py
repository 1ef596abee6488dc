"""Which chunks of a run are rendered a second time, and what came of it."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from prefect.client.schemas.objects import TaskRun

from helios.errors import HeliosError, RetryBudget
from helios.models.audit import AuditReport, AuditVerdict, ChunkAudit
from tasks.prefect_api.log import RunLogger
from tasks.run.errors import JobFailedError
from tasks.run.identity import RunIdentity

MOST_PICTURES = 6
"""Chunks whose two pictures are kept: PNGs of some megabytes on disk, and 20 to 80 kB in memory."""


@dataclass
class AuditRecord:
    """The record of one chunk's audit."""

    audit: ChunkAudit
    """What came of it so far."""
    attempts: int = 0
    """Executions so far."""
    environment_failures: int = 0
    """How many of them their environment has failed."""
    both: bytes | None = None
    """A JPEG of the frame that differs most, in both renders, if that is too much."""
    task_run: TaskRun | None = None
    """The audit's task run in Prefect, once there is one."""


class Audits:
    """The audits of one run. The draw is made at once, before anything runs.

    Args:
        identity: Which run.
    """

    def __init__(self, identity: RunIdentity) -> None:
        self._order = identity.job.audit
        self._policy = identity.policy
        self.seed = UUID(identity.run_id).int % 2**32 if self._order.seed is None else self._order.seed
        """Of the draw."""
        ids = [chunk.id for chunk in identity.job.chunks]
        drawn = draw(ids, share=self._order.share, seed=self.seed, job=identity.job.name)
        self.records = {chunk_id: AuditRecord(ChunkAudit(chunk_id=chunk_id)) for chunk_id in ids if chunk_id in drawn}
        """By chunk id, in frame order: the chunks that were drawn."""
        self.pictures_left = MOST_PICTURES
        """Chunks whose pictures are still to be kept, where they differ."""

    def fail_attempt(self, record: AuditRecord, error: HeliosError) -> bool:
        """Count a failed attempt; return whether another one is due.

        A command that fails is not tried again: it rendered the same chunk well before, so its failure is a finding.
        """
        if error.failure.budget is not RetryBudget.ENVIRONMENT:
            return False
        record.environment_failures += 1
        return record.environment_failures <= self._policy.environment_retries

    def report(self) -> AuditReport | None:
        """What has come of the audits; None where none was asked for."""
        if not self.records:
            return None
        chunks = tuple(record.audit for record in self.records.values())
        found = {chunk.verdict for chunk in chunks}
        ranked = (AuditVerdict.DIFFERENT, AuditVerdict.FAILED, AuditVerdict.PENDING, AuditVerdict.PASSED)
        return AuditReport(
            share=self._order.share,
            seed=self.seed,
            least_psnr=self._order.least_psnr,
            verdict=next(verdict for verdict in ranked if verdict in found),
            chunks=chunks,
        )


def draw(ids: Iterable[int], *, share: float, seed: int, job: str) -> frozenset[int]:
    """Draw a share of the chunks, at least one if the share is above 0.

    Each chunk's digest decides, and no generator of random numbers: the draw is the same in every version of Python,
    and a larger share has all chunks of a smaller one.

    Args:
        ids: The chunks' ids.
        share: 0 to 1.
        seed: Another one draws others.
        job: The job's name: another job has another draw.
    """
    if share <= 0:
        return frozenset()
    ordered = sorted(ids, key=lambda chunk_id: hashlib.sha256(f"{seed} {chunk_id} {job}".encode()).digest())
    return frozenset(ordered[: max(1, round(share * len(ordered)))])


def heed_audits(audits: Audits, log: RunLogger, *, has_id: bool) -> None:
    """End a job whose audit has failed; all its chunks are accepted.

    Args:
        audits: The run's.
        log: The run's.
        has_id: Whether later runs of the job take what this one accepted.

    Raises:
        JobFailedError: It has.
    """
    report = audits.report()
    if report is None:
        return
    wrong = [chunk.message or "" for chunk in report.chunks if chunk.verdict is not AuditVerdict.PASSED]
    if not wrong:
        lowest = min((chunk.lowest_psnr for chunk in report.chunks if chunk.lowest_psnr is not None), default=None)
        found = "all frames are equal" if lowest is None else f"the lowest PSNR is {lowest:.1f} dB"
        log.info("Audit passed: %d chunks were rendered twice, and %s", len(report.chunks), found)
        return
    lines = [f"The audit failed: {wrong[0]}"]
    if len(wrong) > 1:
        lines.append(f"  {len(wrong) - 1} more of {len(report.chunks)} audited chunks failed: see the report")
    if has_id:
        lines.append("  The chunks stay accepted: a run of this job without an audit (--audit) only joins them")
    raise JobFailedError("\n".join(lines))
