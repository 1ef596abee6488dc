"""One live run: its parts in one object, so that a task takes one parameter."""

from collections.abc import Callable
from typing import Protocol

from helios.job.own_outputs import OwnOutputs
from helios.models.report import InputsReport
from tasks.prefect_api.api import RunApi
from tasks.run.accepted import AcceptedChunks
from tasks.run.budget import RunBudget
from tasks.run.chunk_cache import ChunkCache
from tasks.run.chunk_log import LineBudget
from tasks.run.chunk_record import ChunkRecord
from tasks.run.companions import Companions
from tasks.run.contest import Contests
from tasks.run.control import RunControl
from tasks.run.holes import Holes
from tasks.run.identity import RunIdentity
from tasks.run.image_delivery import ImageDelivery
from tasks.run.image_records import ImageRecords
from tasks.run.inputs import RunInputs
from tasks.run.ledger import Ledger
from tasks.run.limits import RunLimits
from tasks.run.places import RunPlaces
from tasks.run.preview import Preview
from tasks.run.progress import ProgressTracker
from tasks.run.task_states import TaskStates


class Splitting(Protocol):
    """What cuts chunks in two."""

    def split(self, record: ChunkRecord) -> bool:
        """Cut a chunk in two whose last attempt was stopped at a time limit; say whether that could be done."""
        ...


class Run:
    """One live run of a job.

    Tasks take it as a parameter. It is a plain class, and no model, dataclass or collection: Prefect walks through
    these for every task run, so that a chunk's cost would grow with the length of the job.

    Args:
        identity: Which run.
        api: Prefect's API.
        inputs: What its chunks are rendered from.
        accepted: The job's records.
        cancel: Cancels the flow's task.
    """

    def __init__(
        self,
        identity: RunIdentity,
        api: RunApi,
        *,
        inputs: RunInputs,
        accepted: AcceptedChunks,
        cancel: Callable[[], None] = lambda: None,
    ) -> None:
        job = identity.job
        self.identity = identity
        """Which run: its job, its names, its retry policy."""
        self.control = RunControl(cancel)
        """Pause, resume and stop."""
        self.holes = Holes(identity.policy.most_failed, self.control, api.log)
        """Chunks that failed for good."""
        self.progress = ProgressTracker(job.total_frames, 0 if job.spec.grows else len(job.chunks))
        """What people watch."""
        if identity.hand_overs.done:
            self.progress.note(handed_over=str(identity.hand_overs))
        self.inputs = inputs
        """What its chunks are rendered from."""
        self.cache = ChunkCache(identity, inputs, api.log)
        """Outputs that many jobs share."""
        self.delivery = ImageDelivery(job, api.log)
        """The images' place in storage."""
        self.outputs = OwnOutputs(job.directory.path, identity.run_id)
        """Which files in the job directory are outputs, and may be replaced."""
        self.ledger = Ledger(identity, self.progress)
        """What became of each chunk."""
        self.preview = Preview(identity, self.ledger, self.progress, api.log)
        """What is watched while it renders."""
        self.budget = RunBudget(self.ledger.spending, stops=job.budget_stops)
        """What keeps it within its budget."""
        self.images = ImageRecords(identity, accepted, inputs)
        """The images of chunks that are not whole yet."""
        self.companions = Companions(self.outputs, job.input_rules.written, api.log)
        """Further files that commands named after their outputs."""
        self.contests = Contests(self._may_hedge)
        """The attempts of one chunk that run at the same time."""
        self.cutting: Splitting | None = None
        """What cuts a chunk in two that hits a time limit, of a job that is cut while it is rendered."""
        self.task_states = TaskStates()
        """What Prefect was told of each task run."""
        self.limits = RunLimits(api, job, run_id=identity.run_id, control=self.control, progress=self.progress)
        """Slots of the limits over all jobs: the adapters', and those of licences."""
        self.places = RunPlaces(job, self.limits, progress=self.progress, log=api.log)
        """Where chunks are rendered."""
        self.log_lines = LineBudget()
        """Lines of commands that may still go into Prefect's log."""

    def _may_hedge(self, record: ChunkRecord) -> bool:
        """Whether two attempts of a chunk can run at the same time. Images are accepted one by one: theirs can't."""
        return self.identity.job.hedge > 0 and record.chunk.images is None and self.places.may_hedge(record)

    def report_inputs(self) -> InputsReport | None:
        """What changed of its inputs; None when nothing did."""
        records = self.ledger.records.values()
        return self.inputs.report(chunks=len(records), reused=sum(record.reused for record in records))
